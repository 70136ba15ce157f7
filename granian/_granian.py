"""The names that upstream's native module exports, for those who import them from there.

A facade: imports only, and used by nobody inside. What has no meaning here is not imitated.
"""

from ._compat import BUILD_GIL
from ._version import __version__
from .net import SocketHolder
from .net import SocketSpec as ListenerSpec
from .net import UnixSocketSpec as UnixListenerSpec
from .rsgi import Headers as RSGIHeaders
from .rsgi import HTTPProtocol as RSGIHTTPProtocol
from .rsgi import ProtocolClosed as RSGIProtocolClosed
from .rsgi import ProtocolError as RSGIProtocolError
from .rsgi import Scope as RSGIHTTPScope
from .rsgi import WebsocketProtocol as RSGIWebsocketProtocol
from .rsgi.http import HTTPStreamTransport as RSGIHTTPStreamTransport
from .rsgi.scope import WebsocketScope as RSGIWebsocketScope
from .rsgi.websocket import WebsocketMessage as RSGIWebsocketMessage
from .rsgi.websocket import WebsocketTransport as RSGIWebsocketTransport
from .server.memory import ProcInfoCollector
from .server.signals import WorkerSignal

__all__ = [
    "BUILD_GIL",
    "ListenerSpec",
    "ProcInfoCollector",
    "RSGIHTTPProtocol",
    "RSGIHTTPScope",
    "RSGIHTTPStreamTransport",
    "RSGIHeaders",
    "RSGIProtocolClosed",
    "RSGIProtocolError",
    "RSGIWebsocketMessage",
    "RSGIWebsocketProtocol",
    "RSGIWebsocketScope",
    "RSGIWebsocketTransport",
    "SocketHolder",
    "UnixListenerSpec",
    "WorkerSignal",
    "__version__",
]
