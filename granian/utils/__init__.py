"""Helpers that applications import; the name is upstream's."""
