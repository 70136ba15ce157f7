"""Octets for requests, written once."""

import re
from typing import Iterator, List


def get(target: str = "/", *fields: str, version: str = "1.1", method: str = "GET") -> bytes:
    """A request head; Host is added for HTTP/1.1 unless a field names it."""
    lines = [f"{method} {target} HTTP/{version}"]
    if version == "1.1" and not any(field.lower().startswith("host:") for field in fields):
        lines.append("Host: a")
    return ("\r\n".join([*lines, *fields]) + "\r\n\r\n").encode("latin-1")


def post(body: bytes, target: str = "/", *fields: str, **options) -> bytes:
    """A request with a body of announced length."""
    length = f"Content-Length: {len(body)}"
    return get(target, length, *fields, method="POST", **options) + body


def chunked(*chunks: bytes, target: str = "/", end: bytes = b"0\r\n\r\n", fields=()) -> bytes:
    """A request with a chunked body."""
    head = get(target, "Transfer-Encoding: chunked", *fields, method="POST")
    return head + b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks) + end


def whole(data: bytes) -> List[bytes]:
    return [data]


def octets(data: bytes) -> Iterator[bytes]:
    return (data[i : i + 1] for i in range(len(data)))


def at_line_ends(data: bytes) -> List[bytes]:
    """Cut after each CR, and after each LF: the places where parsers forget what they saw."""
    return [piece for piece in re.split(rb"(?<=[\r\n])", data) if piece]
