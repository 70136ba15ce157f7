"""The certificates of the tests, made once by ``tests/certs/make.sh``."""

from pathlib import Path

CERTS = Path(__file__).parent.parent / "certs"


def path(name):
    """The absolute path of a file among the certificates."""
    return str(CERTS / f"{name}.pem")
