"""Granian: an HTTP server for ASGI, RSGI and WSGI applications, written in Python."""

from ._version import __version__

__all__ = ["__version__"]
