"""``python -m granian`` is the command ``granian``."""

from granian.cli import entrypoint

if __name__ == "__main__":
    entrypoint()
