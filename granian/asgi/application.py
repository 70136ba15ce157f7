"""ASGI around the user's application: one object per event loop, on the thread of that loop."""

from sys import intern
from typing import TYPE_CHECKING, Any, Callable, Dict, Optional, Sequence

from ..wire.head import HTTP_1_1, RequestHead
from .http import STREAMING, AsgiHttp, LoggedAsgiHttp
from .messages import EXTENSIONS

if TYPE_CHECKING:
    import asyncio

    from ..metrics import AccessLog
    from .lifespan import LifespanProtocol

_VERSION, _SPEC_VERSION = intern("3.0"), intern("2.3")  # see ``HTTP_1_1``


class AsgiApplication:
    """An ASGI application on one loop: makes an exchange of each request.

    Args:
        target: The application.
        loop: The loop of this runtime thread.
        spawn: Starts a coroutine at once, on the caller's stack.
        root_path: The prefix under which the application is mounted.
        lifespan: Whose state requests get a copy of; None for ``asginl``.
        access: Writes access lines, or None.
    """

    def __init__(
        self,
        target: Callable[..., Any],
        loop: "asyncio.AbstractEventLoop",
        spawn: Callable[[Any], None],
        root_path: str,
        lifespan: "Optional[LifespanProtocol]",
        access: "Optional[AccessLog]",
    ) -> None:
        self.target = target
        self.loop = loop
        self.spawn = spawn
        self.root_path = root_path
        self.state: Dict[str, Any] = lifespan.state if lifespan is not None else {}
        self.access = access
        self._exchange = AsgiHttp if access is None else LoggedAsgiHttp
        self._extensions: Dict[str, Any] = {intern(name): {} for name in EXTENSIONS}

    def connect(self, peer: Any) -> Dict[str, Any]:
        """Make the part of the scope that every exchange of a connection shares."""
        extensions = self._extensions
        return {
            "type": "http",
            "scheme": peer.scheme,
            "server": peer.server,
            "client": peer.client,
            "root_path": self.root_path,
            "extensions": extensions if peer.tls is None else {**extensions, "tls": peer.tls},
        }

    def disconnect(self, context: Dict[str, Any]) -> None:
        """Nothing outlives its exchange here."""

    def begin(  # hot
        self, responder: Any, head: RequestHead, body: bytes, complete: bool
    ) -> None:
        """Start one exchange; see ``waist.Application``."""
        responder.handler = exchange = self._exchange(self, responder, body, complete)
        if (
            head.version != HTTP_1_1
            and (not head.headers or head.headers[0][0] != b"host")
            and head.field(b"host") is None
        ):
            head.headers.insert(0, (b"host", head.authority or b""))
        # One display of all keys, so that the dictionary is made in its final size; what an
        # application may write to is fresh.
        shared = responder.context
        scope = {
            "type": "http",
            "asgi": {"version": _VERSION, "spec_version": _SPEC_VERSION},
            "http_version": head.version,
            "server": shared["server"],
            "client": shared["client"],
            "scheme": shared["scheme"],
            "method": head.method,
            "root_path": shared["root_path"],
            "path": head.path,
            "raw_path": head.raw_path,
            "query_string": head.query,
            "headers": head.headers,
            "state": self.state.copy(),
            "extensions": shared["extensions"].copy(),
        }
        self.spawn(exchange.run(scope))
        if exchange.phase < STREAMING:
            exchange.on_first_wait()

    def begin_websocket(self, channel: Any, head: RequestHead, subprotocols: Sequence[str]) -> None:
        """Start one WebSocket; see ``waist.Application``."""
        # Late: most workers never see one.
        from . import websocket

        websocket.begin(self, channel, head, subprotocols)
