"""The RSGI interface, version 1.6: what applications annotate with and compare against."""

from .errors import ProtocolClosed, ProtocolError
from .http import HTTPProtocol
from .scope import Headers, Scope
from .websocket import WebsocketMessage, WebsocketMessageType, WebsocketProtocol

__all__ = [
    "HTTPProtocol",
    "Headers",
    "ProtocolClosed",
    "ProtocolError",
    "Scope",
    "WebsocketMessage",
    "WebsocketMessageType",
    "WebsocketProtocol",
]
