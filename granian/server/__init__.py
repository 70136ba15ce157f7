"""Processes and lifetimes: the supervisor, its workers, and what keeps them serving.

``Granian`` and ``Server`` are one class, whose workers are processes, or threads on free-threaded
builds. Runs in the main process; workers import ``server.worker`` only.
"""

from typing import TYPE_CHECKING

from .._compat import BUILD_GIL

if TYPE_CHECKING:
    from .mp import MPServer
    from .mp import MPServer as Granian
    from .mp import MPServer as Server
    from .mt import MTServer

__all__ = ["Granian", "MPServer", "MTServer", "Server"]


def __getattr__(name: str) -> object:
    # Imported where first needed: a worker comes through this package on its way to its own part.
    if name in ("Server", "Granian"):
        name = "MPServer" if BUILD_GIL else "MTServer"
    if name == "MPServer":
        from .mp import MPServer

        return MPServer
    if name == "MTServer":
        from .mt import MTServer

        return MTServer
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
