"""RSGI around the user's application: one object per event loop, on the thread of that loop."""

import asyncio
from typing import Any, Callable, Coroutine, Optional, Sequence

from ..metrics import AccessLog
from ..wire.head import RequestHead
from ..wire.waist import Peer, Responder
from .http import UNTAKEN, WAITING, HTTPProtocol, Target, logged
from .scope import PeerFacts, Scope, WebsocketScope
from .websocket import WebsocketProtocol, logged_websocket

_new: Any = object.__new__


class RsgiApplication:
    """Makes an exchange of every request and runs the application on its loop.

    Args:
        target: What the operator named: a callable, or an object with ``__rsgi__``.
        loop: The loop that runs the application.
        spawn: Starts a coroutine as a task of that loop, at once where it can.
        access: Writes the access line, if there is to be one.
    """

    def __init__(
        self,
        target: Any,
        loop: asyncio.AbstractEventLoop,
        spawn: Callable[[Coroutine[Any, Any, None]], None],
        access: Optional[AccessLog] = None,
    ) -> None:
        self.target: Target = getattr(target, "__rsgi__", target)
        self.loop = loop
        self.spawn = spawn
        self.protocol = HTTPProtocol if access is None else logged(access)
        self.websocket_protocol = WebsocketProtocol if access is None else logged_websocket(access)

    def connect(self, peer: Peer) -> PeerFacts:
        """Write down what every scope of the connection shares."""
        return PeerFacts(peer)

    def disconnect(self, context: PeerFacts) -> None:
        """Tell every watcher that its connection has ended."""
        context.gone = True
        for protocol in tuple(context.watching):
            protocol.resolve_watchers()

    def begin(  # hot
        self, responder: Responder, head: RequestHead, body: bytes, complete: bool
    ) -> None:
        """Start one exchange; the application runs to its first wait before this returns."""
        # Slot by slot: two calls less for each request (tests/test_budget.py).
        peer = responder.context
        scope = _new(Scope)
        scope._authority = head.authority
        scope._client = peer.client
        scope._headers = head.headers
        scope._http_version = head.version
        scope._method = head.method
        scope._path = head.path
        scope._query = head.query
        scope._scheme = peer.scheme
        scope._server = peer.server
        protocol = responder.handler = _new(self.protocol)
        protocol._responder = responder
        protocol._loop = self.loop
        protocol._peer = peer
        protocol._phase = WAITING
        protocol._taken = UNTAKEN
        protocol._gone = False
        protocol._complete = complete
        protocol._pieces = [body]
        protocol._consumed = 0
        protocol._reader = protocol._writers = protocol._watchers = None
        protocol.status = 500
        self.spawn(protocol.serve(self.target, scope))

    def begin_websocket(self, channel: Any, head: RequestHead, subprotocols: Sequence[str]) -> None:
        """Start one WebSocket; RSGI has no way to choose among ``subprotocols``."""
        protocol = channel.handler = self.websocket_protocol(channel, self.loop)
        self.spawn(protocol.serve(self.target, WebsocketScope(channel.context, head)))
