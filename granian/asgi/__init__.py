"""ASGI 3.0 applications: HTTP, WebSockets and lifespan."""

from .lifespan import LifespanProtocol

__all__ = ["LifespanProtocol"]
