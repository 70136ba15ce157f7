"""A WebSocket load generator: HOST PORT SECONDS SIZE; prints messages, seconds, errors.

Frames are masked once, before the clock starts; echoes are counted by their length, and the first
of each connection is compared octet by octet. Standard library only.
"""

import base64
import os
import select
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
    poller, sockets, missing = select.epoll(), {}, {}
    for _ in range(CONNECTIONS):
        sock = connect(host, port)
        sock.sendall(message)
        got = b""
        while len(got) < len(expected):
            got += sock.recv(len(expected) - len(got))
        if got != expected:
            raise SystemExit("the echo differs from what was sent")
        sock.setblocking(False)
        poller.register(sock, select.EPOLLIN)
        sockets[sock.fileno()] = sock
        missing[sock.fileno()] = len(expected)
    print(*rounds(poller, sockets, missing, message, seconds))


def rounds(poller, sockets, missing, message, seconds):
    """Send a message on each socket whenever its echo is whole; return echoes, seconds, errors."""
    # Whatever this costs is missing from the load: a server that waits for it is not measured.
    verbs = {fd: (sock.recv_into, sock.send) for fd, sock in sockets.items()}
    whole, buffer, clock = missing.copy(), bytearray(262_144), time.perf_counter
    count = errors = 0
    start = clock()
    end = start + seconds
    for _, send in verbs.values():
        send(message)
    while clock() < end and sockets:
        for fd, _ in poller.poll(1.0):
            recv_into, send = verbs[fd]
            try:
                got = recv_into(buffer)
            except BlockingIOError:
                continue
            except OSError:
                got = 0
            left = missing[fd] - got
            if got and not left:
                count += 1
                missing[fd] = whole[fd]
                sent = send(message)
                if sent != len(message):
                    send_rest(sockets[fd], message[sent:])
            elif got and left > 0:
                missing[fd] = left
            else:
                errors += 1
                poller.unregister(fd)
                sockets.pop(fd).close()
    return count, clock() - start, errors


def send_rest(sock, octets):
    """Wait for the server to take what is left of a message."""
    sock.setblocking(True)
    sock.sendall(octets)
    sock.setblocking(False)


if __name__ == "__main__":
    main()
