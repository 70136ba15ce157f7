"""Two readings of the same octets, compared."""
