"""Granian: an HTTP server for ASGI, RSGI and WSGI applications, written in Python.

Importing the package alone loads nothing else: ``Granian``, ``loops`` and the public modules
(``granian.http`` and so on) are imported when they are first looked at.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from ._version import __version__

if TYPE_CHECKING:
    from ._loops import loops
    from .server import Server as Granian

__all__ = ["Granian", "__version__", "loops"]

_PUBLIC_MODULES = frozenset(
    ("asgi", "constants", "errors", "http", "log", "net", "rsgi", "server", "wsgi")
)


def __getattr__(name: str) -> object:
    if name in _PUBLIC_MODULES:
        return import_module(f".{name}", __name__)
    if name == "Granian":
        return import_module(".server", __name__).Server
    if name == "loops":
        return import_module("._loops", __name__).loops
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
