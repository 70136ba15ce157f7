"""RSGI around the user's application: one object per event loop.

Runs on the thread of that loop; ``startup`` and ``shutdown`` while the loop stands still.
"""

import asyncio
from typing import Any, Callable, Coroutine, Sequence

from ..log import DEFAULT_ACCESSLOG_FMT, log_request_builder
from ..plan import WorkerPlan
from ..wire.head import RequestHead
from ..wire.waist import Peer, Responder
from .http import HTTPProtocol, Target, logged
from .scope import PeerFacts, Scope


class RsgiApplication:
    """Makes an exchange of every request and runs the application on its loop.

    Args:
        target: What the operator named: a callable, or an object with ``__rsgi__``.
        plan: The worker's plan.
        loop: The loop that runs the application.
        spawn: Starts a coroutine as a task of that loop, at once where it can.
    """

    def __init__(
        self,
        target: Any,
        plan: WorkerPlan,
        loop: asyncio.AbstractEventLoop,
        spawn: Callable[[Coroutine[Any, Any, None]], None],
    ) -> None:
        self.target: Target = getattr(target, "__rsgi__", target)
        self.plan = plan
        self.loop = loop
        self.spawn = spawn
        self.protocol = HTTPProtocol
        if plan.log_access:
            self.protocol = logged(
                log_request_builder(plan.log_access_format or DEFAULT_ACCESSLOG_FMT)
            )
        self._on_startup = getattr(target, "__rsgi_init__", None)
        self._on_shutdown = getattr(target, "__rsgi_del__", None)

    def startup(self) -> None:
        """Run the application's ``__rsgi_init__``; whatever it raises is the caller's to report."""
        if self._on_startup is not None:
            self._on_startup(self.loop)

    def shutdown(self) -> None:
        """Run the application's ``__rsgi_del__``, after the last exchange."""
        if self._on_shutdown is not None:
            self._on_shutdown(self.loop)

    def connect(self, peer: Peer) -> PeerFacts:
        """Write down what every scope of the connection shares."""
        return PeerFacts(peer)

    def disconnect(self, context: PeerFacts) -> None:
        """Tell every watcher that its connection has ended."""
        context.gone = True
        for protocol in tuple(context.watching):
            protocol.resolve_watchers()

    def begin(self, responder: Responder, head: RequestHead, body: bytes, complete: bool) -> None:
        """Start one exchange; the application runs to its first wait before this returns."""
        protocol = responder.handler = self.protocol(responder, self.loop, body, complete)
        self.spawn(protocol.serve(self.target, Scope(responder.context, head)))

    def begin_websocket(self, channel: Any, head: RequestHead, subprotocols: Sequence[str]) -> None:
        """Start one WebSocket."""
        raise NotImplementedError
