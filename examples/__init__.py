"""Applications that `make run` and the documentation show; each is one file a user could own."""
