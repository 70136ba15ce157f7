"""Names of processes as tools like ps show them, where setproctitle is installed."""

from importlib.util import find_spec
from typing import Optional

from ..errors import FatalError


def check(name: Optional[str]) -> None:
    """Refuse a name that was asked for and cannot be given.

    Raises:
        FatalError: The library is not installed.
    """
    if name is not None and not available():
        raise FatalError(
            "A process name needs the package setproctitle: pip install 'granian[pname]'"
        )


def available() -> bool:
    """Tell whether processes can be named here."""
    return find_spec("setproctitle") is not None


def entitle(name: str) -> None:
    """Name this process."""
    import setproctitle

    setproctitle.setproctitle(name)
