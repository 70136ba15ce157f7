"""Applications under test, one module per purpose."""
