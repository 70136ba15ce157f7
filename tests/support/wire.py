"""A client that sends exactly the octets it is given and reads answers with no mercy.

Everything a test says about an answer is read by ``parse``: it accepts only what RFC 9112 lets a
server send, so that each wire test also checks that nothing else left the socket.
"""

import re
import socket
import time
from typing import Dict, Iterable, List, NamedTuple, Optional, Sequence, Tuple, Union

STATUS_LINE = re.compile(rb"HTTP/1\.1 ([1-9][0-9]{2}) ([\t -~]*)")
FIELD_LINE = re.compile(rb"([a-z0-9!#$%&'*+.^_`|~-]+): ?([\t\x20-\x7e\x80-\xff]*)")
CHUNK_LINE = re.compile(rb"([0-9a-fA-F]{1,16})")
WAIT = 5.0


def tcp_pair() -> Tuple[socket.socket, socket.socket]:
    """Connect two sockets over loopback, where the ends of a pair of UNIX sockets will not do."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        theirs = socket.create_connection(listener.getsockname())
        ours, _ = listener.accept()
    return ours, theirs


class Response(NamedTuple):
    """One final or interim response."""

    status: int
    headers: List[Tuple[bytes, bytes]]
    body: bytes
    whole: bool
    chunks: int = 0

    def all(self, name: bytes) -> List[bytes]:
        return [value for key, value in self.headers if key == name]

    def get(self, name: bytes) -> Optional[bytes]:
        values = self.all(name)
        assert len(values) < 2, f"{name!r} came {len(values)} times"
        return values[0] if values else None

    @property
    def says_close(self) -> bool:
        return (self.get(b"connection") or b"").lower() == b"close"


class NotHttpError(AssertionError):
    """The server sent something that no client should accept."""


def parse(data: bytes, methods: Sequence[str] = (), ended: bool = False) -> List[Response]:
    """Read all responses in the octets; the last one may be partial (``whole`` is False).

    Args:
        data: Everything the server sent.
        methods: Methods of the requests in order; GET is assumed beyond.
        ended: The server closed its side, which ends a body without a length.
    """
    responses: List[Response] = []
    position = final = 0
    while position < len(data):
        end = data.find(b"\r\n\r\n", position)
        if end < 0:
            responses.append(Response(0, [], data[position:], False))
            break
        status, headers = parse_head(data[position:end])
        method = methods[final] if final < len(methods) else "GET"
        response, position = parse_body(data, end + 4, status, headers, method, ended)
        responses.append(response)
        final += status >= 200
    return responses


def parse_head(head: bytes) -> Tuple[int, List[Tuple[bytes, bytes]]]:
    lines = head.split(b"\r\n")
    status_line = STATUS_LINE.fullmatch(lines[0])
    if status_line is None:
        raise NotHttpError(f"status line {lines[0]!r}")
    headers = []
    for line in lines[1:]:
        field = FIELD_LINE.fullmatch(line)
        if field is None:
            raise NotHttpError(f"field line {line!r}")
        headers.append((field[1], field[2]))
    return int(status_line[1]), headers


def parse_body(data, start, status, headers, method, ended):
    fields: Dict[bytes, List[bytes]] = {}
    for name, value in headers:
        fields.setdefault(name, []).append(value)
    lengths, codings = fields.get(b"content-length", []), fields.get(b"transfer-encoding", [])
    if len(lengths) + len(codings) > 1:
        raise NotHttpError(f"more than one framing: {headers}")
    if status < 200 or status == 204:
        if lengths or codings:
            raise NotHttpError(f"a {status} with a body's framing: {headers}")
        return Response(status, headers, b"", True), start
    if method == "HEAD" or status == 304:
        return Response(status, headers, b"", True), start
    if codings:
        if codings != [b"chunked"]:
            raise NotHttpError(f"transfer-encoding {codings}")
        return parse_chunks(data, start, status, headers)
    if lengths:
        if not re.fullmatch(rb"[0-9]+", lengths[0]):
            raise NotHttpError(f"content-length {lengths}")
        end = start + int(lengths[0])
        return Response(status, headers, data[start:end], end <= len(data)), min(end, len(data))
    return Response(status, headers, data[start:], ended), len(data)


def parse_chunks(data, start, status, headers):
    body, count = b"", 0
    while True:
        end = data.find(b"\r\n", start)
        if end < 0:
            return Response(status, headers, body, False, count), len(data)
        line = CHUNK_LINE.fullmatch(data[start:end])
        if line is None:
            raise NotHttpError(f"chunk size line {data[start:end]!r}")
        size = int(line[1], 16)
        start, end = end + 2, end + 2 + size
        if size == 0:
            stop = data.find(b"\r\n", start) if data[start : start + 2] == b"\r\n" else -1
            trailers = data.find(b"\r\n\r\n", start) if stop < 0 else stop
            if trailers < 0:
                return Response(status, headers, body, False, count), len(data)
            length = 2 if stop >= 0 else 4
            return Response(status, headers, body, True, count), trailers + length
        if len(data) < end + 2:
            return Response(status, headers, body + data[start:end], False, count), len(data)
        if data[end : end + 2] != b"\r\n":
            raise NotHttpError(f"chunk of {size} ends with {data[end : end + 2]!r}")
        body += data[start:end]
        count += 1
        start = end + 2


class Wire:
    """One raw connection; a context manager.

    Attributes:
        received: Every octet the server sent so far.
        ended: The server closed its side (FIN).
        reset: The server broke the connection (RST).
    """

    def __init__(self, address: Union[str, Tuple[str, int]], wait: float = WAIT) -> None:
        if isinstance(address, str):
            self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self.sock.settimeout(wait)
            self.sock.connect(address)
        else:
            self.sock = socket.create_connection(address, timeout=wait)
            self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.wait = wait
        self.received = bytearray()
        self.ended = self.reset = False

    def __enter__(self) -> "Wire":
        return self

    def __exit__(self, *_) -> None:
        self.sock.close()

    def send(self, data: bytes) -> "Wire":
        """Send all; a server that has closed already is no error, its answer decides."""
        try:
            self.sock.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            pass
        return self

    def send_each(self, pieces: Iterable[bytes]) -> "Wire":
        """Send the pieces one by one, each in a segment of its own."""
        for piece in pieces:
            self.send(piece)
        return self

    def finish(self) -> "Wire":
        """Half-close: nothing more will be sent."""
        try:
            self.sock.shutdown(socket.SHUT_WR)
        except OSError:
            pass
        return self

    def step(self, timeout: float) -> bool:
        """Read once; False when nothing came in time or nothing will."""
        if self.ended or self.reset:
            return False
        self.sock.settimeout(max(timeout, 0.001))
        try:
            data = self.sock.recv(65_536)
        except socket.timeout:
            return False
        except ConnectionResetError:
            self.reset = True
            return False
        self.received += data
        self.ended = not data
        return bool(data)

    def read_until(self, what, timeout: Optional[float] = None) -> bytes:
        """Read until ``what`` (octets, or a predicate on the octets) is there."""
        found = what if callable(what) else lambda data: what in data
        deadline = time.monotonic() + (timeout or self.wait)
        while not found(self.received):
            left = deadline - time.monotonic()
            if left <= 0 or not self.step(left):
                raise AssertionError(f"waited for {what!r}, have {bytes(self.received)[-400:]!r}")
        return bytes(self.received)

    def read_to_end(self, timeout: Optional[float] = None) -> bytes:
        """Read until the server closes; that it does is part of the test."""
        deadline = time.monotonic() + (timeout or self.wait)
        while self.step(deadline - time.monotonic()):
            pass
        assert self.ended or self.reset, f"still open after {bytes(self.received)[-400:]!r}"
        return bytes(self.received)

    def responses(self, methods: Sequence[str] = ()) -> List[Response]:
        """Everything received so far, parsed."""
        return parse(bytes(self.received), methods, self.ended)

    def exchange(self, data: bytes = b"", method: str = "GET", count: int = 1) -> Response:
        """Send, wait for ``count`` more whole final responses, return the last."""
        before = len(finals(self.responses()))
        self.send(data)
        deadline = time.monotonic() + self.wait
        while True:
            done = finals(self.responses([method] * (before + count)))
            if len(done) >= before + count and done[-1].whole:
                return done[-1]
            if not self.step(deadline - time.monotonic()):
                done = finals(self.responses([method] * (before + count)))
                if len(done) >= before + count and done[-1].whole:
                    return done[-1]
                raise AssertionError(f"no answer, have {bytes(self.received)[-400:]!r}")


def finals(responses: Iterable[Response]) -> List[Response]:
    """Without the interim ones."""
    return [response for response in responses if response.status >= 200 or not response.whole]
