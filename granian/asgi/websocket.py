"""One WebSocket of an ASGI application, over any Channel.

Phases::

    CONNECTING -accept-> OPEN -close, return-> CLOSED
    CONNECTING -close, return-> CLOSED                       answered with 403 at once
    CONNECTING -http.response.start-> DENIED -first body, more-> DENYING -last body-> CLOSED
                                      DENIED -first body, whole-> CLOSED
    any -the peer's close, a lost transport-> CLOSED

Messages queue here until the application asks for them; beyond ``QUEUE`` the peer is not read
from. Everything runs on the loop's thread. ASGI WebSocket specification 2.3; sending on a closed
connection raises as 2.4 says.
"""

import logging
import time
from asyncio import CancelledError
from collections import deque
from typing import TYPE_CHECKING, Any, Deque, Dict, List, Optional, Sequence

from .._typing import Message
from .._waiter import Bell, Waiter, new_waiter
from ..wire.head import RequestHead
from .messages import as_octets, flow_error, unsupported

if TYPE_CHECKING:
    from .application import AsgiApplication

CONNECTING, DENIED, DENYING, OPEN, CLOSED = range(5)

QUEUE = 32
"""Messages held for an application that does not ask for them."""

RESUME = 16
"""Messages held at which the peer is read from again."""

INTERNAL_ERROR = 1011
LOST = 1006

_log = logging.getLogger("_granian")

Event = Dict[str, Any]


class TransportClosed(OSError, RuntimeError):  # noqa: N818 - what happened, not whose fault
    """Sending on a closed connection: ASGI 2.4's ``OSError`` and upstream's ``RuntimeError``."""

    def __init__(self) -> None:
        super().__init__("ASGI flow error: Transport closed")


class AsgiWebsocket:
    """The exchange: ``receive`` and ``send`` up, a SocketHandler down."""

    __slots__ = (
        "_bell",
        "_disconnect",
        "_events",
        "_headers",
        "_paused",
        "_receivers",
        "_senders",
        "_status",
        "application",
        "channel",
        "phase",
    )

    def __init__(self, application: "AsgiApplication", channel: Any) -> None:
        self.application = application
        self.channel = channel
        self.phase = CONNECTING
        self._events: Deque[Event] = deque(({"type": "websocket.connect"},))
        self._disconnect: Optional[Event] = None
        self._bell = Bell(application.loop)
        self._receivers: Optional[List[Waiter]] = None
        self._senders: Optional[List[Waiter]] = None
        self._paused = False
        self._status = 0
        self._headers: Any = ()

    # what the application calls

    async def receive(self) -> Event:  # hot
        """Return the next event; waits for one. After the end it is the disconnect, every time."""
        events = self._events
        while not events:
            if self._disconnect is not None:
                return self._disconnect.copy()
            bell = self._bell
            if bell.taken:
                await self._wait_in_line()
                continue
            bell.taken = True
            try:
                await bell
            except BaseException:
                bell.taken = False
                if events:
                    self._wake_receiver()
                raise
            bell.taken = False
        if self._paused and len(events) <= RESUME:
            self._paused = False
            self.channel.resume()
        return events.popleft()

    async def _wait_in_line(self) -> None:
        """Wait behind the task that has the bell."""
        waiter = new_waiter(self.application.loop)
        receivers = self._receivers
        if receivers is None:
            receivers = self._receivers = []
        receivers.append(waiter)
        try:
            await waiter
        except BaseException:
            # What woke it, if anything did, is for the next one.
            if waiter in receivers:
                receivers.remove(waiter)
            elif self._events:
                self._wake_receiver()
            raise

    async def send(self, event: Event) -> None:  # hot
        """Take the next event of the application's; waits while the peer is slower."""
        try:
            kind = event["type"]
        except (TypeError, KeyError):
            raise unsupported() from None
        if kind == "websocket.send":
            if self.phase != OPEN:
                if self.phase == CLOSED:
                    raise TransportClosed
                raise flow_error("Transport not initialized or closed")
            text, payload = event.get("text"), event.get("bytes")
            if text is not None:
                if payload is not None or not isinstance(text, str):
                    raise unsupported()
                payload = text
            elif payload.__class__ is not bytes:
                payload = as_octets(payload)
            if self.channel.send(payload) and self.phase == OPEN:
                await self._drain()
            return
        await self._send_unusual(kind, event)

    async def _send_unusual(self, kind: str, event: Event) -> None:
        phase = self.phase
        if kind == "websocket.accept":
            if phase == CONNECTING:
                self.channel.accept(event.get("subprotocol"), event.get("headers") or ())
                self.phase = OPEN
                self._answered(101)
            elif phase == OPEN:
                raise flow_error("Connection already upgraded")
            elif phase != CLOSED:
                raise flow_error("Response already started")
        elif kind == "websocket.close":
            if phase == CONNECTING:
                self._refuse()
            elif phase == OPEN:
                code, reason = event.get("code", 1000), event.get("reason") or ""
                self.channel.close_with(code, reason)
                self._events.clear()
                self._closed(code, reason)
            elif phase != CLOSED:
                raise flow_error("Response already started")
        elif kind in ("websocket.http.response.start", "websocket.http.response.body"):
            await self._send_response(kind, event)
        else:
            raise unsupported()

    async def _send_response(self, kind: str, event: Event) -> None:
        """Answer the handshake with a response (extension websocket.http.response)."""
        phase = self.phase
        if phase == OPEN:
            raise flow_error("Connection already upgraded")
        if phase == CLOSED:
            return
        if kind == "websocket.http.response.start":
            if phase != CONNECTING:
                raise flow_error("Response already started")
            self._deny(event)
        elif phase == CONNECTING:
            raise flow_error("Response not initialised")
        else:
            await self._send_denial(as_octets(event.get("body", b"")), event.get("more_body"))

    def _deny(self, event: Event) -> None:
        """Hold the head of a denial until its first body."""
        try:
            self._status = event["status"]
        except KeyError:
            raise unsupported() from None
        self._headers = event.get("headers") or ()
        self.phase = DENIED

    async def _send_denial(self, body: bytes, more: Any) -> None:
        channel = self.channel
        if self.phase == DENYING:
            if more:
                if channel.write(body):
                    await self._drain()
                return
            channel.finish((), body)
        elif more:
            wait = channel.start(self._status, self._headers, body)
            self.phase = DENYING
            self._answered(self._status)
            if wait:
                await self._drain()
            return
        else:
            channel.respond(self._status, self._headers, body)
            self._answered(self._status)
        self._closed(LOST, "")

    async def _drain(self) -> None:
        """Wait until the peer has taken most of what was sent, or has gone."""
        waiter = new_waiter(self.application.loop)
        if self._senders is None:
            self._senders = [waiter]
        else:
            self._senders.append(waiter)
        await waiter

    # what the channel calls

    def on_message(self, message: Message) -> None:  # hot
        """See ``waist.SocketHandler``."""
        key = "text" if message.__class__ is str else "bytes"
        events = self._events
        events.append({"type": "websocket.receive", key: message})
        bell = self._bell
        if bell.wake is not None:
            bell.ring()
        elif self._receivers:
            self._wake_receiver()
        elif len(events) >= QUEUE and not self._paused:
            self._paused = True
            self.channel.pause()

    def _wake_receiver(self) -> None:
        if self._bell.wake is not None:
            self._bell.ring()
            return
        receivers = self._receivers
        while receivers:
            waiter = receivers.pop(0)
            if not waiter.done():
                waiter.fire(None)
                return

    def on_writable(self) -> None:
        """See ``waist.SocketHandler``."""
        senders, self._senders = self._senders, None
        for waiter in senders or ():
            if not waiter.done():
                waiter.fire(None)

    def on_close(self, code: int, reason: str, left: bool) -> None:
        """See ``waist.SocketHandler``."""
        self._closed(code, reason)

    def on_disconnect(self) -> None:
        """See ``waist.SocketHandler``."""
        self._closed(LOST, "")

    def _closed(self, code: int, reason: str) -> None:
        """Nothing more comes or goes: wake whoever waits for either."""
        self.phase = CLOSED
        if self._disconnect is None:
            self._disconnect = {"type": "websocket.disconnect", "code": code, "reason": reason}
        if self._bell.wake is not None:
            self._bell.ring()
        receivers, self._receivers = self._receivers, None
        for waiter in receivers or ():
            if not waiter.done():
                waiter.fire(None)
        self.on_writable()

    # how it begins and ends

    def _answered(self, status: int) -> None:
        """The handshake was answered; a logged exchange writes its line."""

    def _refuse(self) -> None:
        self.channel.respond(403, (), b"")
        self._answered(403)
        self._closed(LOST, "")

    async def run(self, scope: Dict[str, Any]) -> None:
        """Run the application and settle what it leaves open."""
        error: Optional[BaseException] = None
        try:
            await self.application.target(scope, self.receive, self.send)
        except BaseException as raised:
            error = raised
            if self.phase != CLOSED or not isinstance(error, CancelledError):
                _log.error("Application callable raised an exception", exc_info=error)
        phase = self.phase
        if phase in (CONNECTING, DENIED):
            self._refuse()
        elif phase == DENYING:
            self.phase = CLOSED
            self.channel.abort()
        elif phase == OPEN:
            self.channel.close_with(None if error is None else INTERNAL_ERROR)
            self._closed(LOST, "")


class LoggedAsgiWebsocket(AsgiWebsocket):
    """An exchange that writes its access line when the handshake is answered."""

    __slots__ = ("_began", "_scope", "_wall")

    async def run(self, scope: Dict[str, Any]) -> None:
        """Note the time, then run the application."""
        self._wall, self._began, self._scope = time.time(), time.monotonic(), scope
        await super().run(scope)

    def _answered(self, status: int) -> None:
        scope = self._scope
        client = scope["client"]
        request = {
            "addr_remote": client[0] if client else "",
            "protocol": "HTTP/" + scope["http_version"],
            "path": scope["path"],
            "qs": scope["query_string"],
            "method": "-",
            "scheme": scope["scheme"],
            "headers": scope["headers"],
            "responder": self.channel,
        }
        access = self.application.access
        assert access is not None
        access(self._wall, self._began, request, status)


def begin(
    application: "AsgiApplication", channel: Any, head: RequestHead, subprotocols: Sequence[str]
) -> None:
    """Start one WebSocket; see ``waist.Application.begin_websocket``."""
    kind = AsgiWebsocket if application.access is None else LoggedAsgiWebsocket
    exchange = channel.handler = kind(application, channel)
    if head.field(b"host") is None:
        head.headers.insert(0, (b"host", head.authority or b""))
    scope: Dict[str, Any] = channel.context.copy()
    extensions: Dict[str, Any] = {"websocket.http.response": {}}
    if channel.tls is not None:
        extensions["tls"] = channel.tls
    scope["type"] = "websocket"
    scope["asgi"] = {"version": "3.0", "spec_version": "2.3"}
    scope["http_version"] = head.version
    scope["scheme"] = "wss" if channel.scheme == "https" else "ws"
    scope["path"] = head.path
    scope["raw_path"] = head.raw_path
    scope["query_string"] = head.query
    scope["headers"] = head.headers
    scope["subprotocols"] = list(subprotocols)
    scope["state"] = application.state.copy()
    scope["extensions"] = extensions
    application.spawn(exchange.run(scope))
