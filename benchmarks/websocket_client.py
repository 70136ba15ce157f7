"""A WebSocket load generator: HOST PORT SECONDS SIZE; prints messages, seconds, errors.

Frames are masked once, before the clock starts; echoes are counted by their length, and the first
of each connection is compared octet by octet. Standard library only.
"""

import base64
import os
import selectors
import socket
import sys
import time

CONNECTIONS = 32


def frame(payload: bytes, mask: bytes) -> bytes:
    """A masked binary frame as a client sends it (RFC 6455 section 5.2)."""
    size = len(payload)
    if size < 126:
        head = bytes([0x82, 0x80 | size])
    elif size < 65_536:
        head = bytes([0x82, 0xFE]) + size.to_bytes(2, "big")
    else:
        head = bytes([0x82, 0xFF]) + size.to_bytes(8, "big")
    return head + mask + bytes(octet ^ mask[i & 3] for i, octet in enumerate(payload))


def reply(payload: bytes) -> bytes:
    """The same message as the server must send it back: unmasked."""
    size = len(payload)
    if size < 126:
        return bytes([0x82, size]) + payload
    if size < 65_536:
        return bytes([0x82, 126]) + size.to_bytes(2, "big") + payload
    return bytes([0x82, 127]) + size.to_bytes(8, "big") + payload


def connect(host: str, port: int) -> socket.socket:
    """Open one WebSocket without extensions."""
    sock = socket.create_connection((host, port), timeout=10)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    key = base64.b64encode(os.urandom(16)).decode()
    fields = ["Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13"]
    lines = ["GET / HTTP/1.1", f"Host: {host}:{port}", *fields, f"Sec-WebSocket-Key: {key}"]
    sock.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
    answer = b""
    while b"\r\n\r\n" not in answer:
        data = sock.recv(4096)
        if not data:
            raise SystemExit(f"refused: {answer!r}")
        answer += data
    if not answer.startswith(b"HTTP/1.1 101"):
        raise SystemExit(f"refused: {answer[:200]!r}")
    return sock


def main() -> None:
    host, port, seconds, size = sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4])
    payload = os.urandom(size)
    message, expected = frame(payload, os.urandom(4)), reply(payload)
    selector = selectors.DefaultSelector()
    for _ in range(CONNECTIONS):
        sock = connect(host, port)
        sock.sendall(message)
        got = b""
        while len(got) < len(expected):
            got += sock.recv(len(expected) - len(got))
        if got != expected:
            raise SystemExit("the echo differs from what was sent")
        sock.setblocking(False)
        selector.register(sock, selectors.EVENT_READ, [sock, len(expected)])
    count = errors = 0
    for key in list(selector.get_map().values()):
        key.fileobj.send(message)
    start = time.perf_counter()
    end = start + seconds
    while time.perf_counter() < end and selector.get_map():
        for key, _ in selector.select(1.0):
            state = key.data
            sock, missing = state
            try:
                missing -= len(sock.recv(262_144)) or missing + 1
            except BlockingIOError:
                continue
            except OSError:
                missing = -1
            if missing < 0:
                errors += 1
                selector.unregister(sock)
                continue
            if missing == 0:
                count += 1
                missing = len(expected)
                sent = sock.send(message)
                while sent < len(message):
                    sock.setblocking(True)
                    sent += sock.send(message[sent:])
                    sock.setblocking(False)
            state[1] = missing
    print(count, time.perf_counter() - start, errors)


if __name__ == "__main__":
    main()
