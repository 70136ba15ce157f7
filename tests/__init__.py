"""The house in mirror: one test module for each module of the package, and the proofs."""
