"""A room of WebSockets: HOST PORT SECONDS SIZE; prints deliveries, seconds, errors.

Every client says something, everybody hears it, and who has heard as many messages as there are
clients speaks again: the server reads one message for each sixty-four that it sends. Deliveries
are counted by their length. Standard library only.
"""

import os
import selectors
import sys
import time

from websocket_client import connect, frame, reply

CLIENTS = 64


def main() -> None:
    host, port, seconds, size = sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4])
    payload = os.urandom(size)
    message, heard = frame(payload, os.urandom(4)), len(reply(payload))
    selector = selectors.DefaultSelector()
    for _ in range(CLIENTS):
        sock = connect(host, port)
        sock.setblocking(False)
        selector.register(sock, selectors.EVENT_READ, [sock, heard * CLIENTS])
    octets = errors = 0
    start = time.perf_counter()
    for key in list(selector.get_map().values()):
        key.fileobj.send(message)
    end = start + seconds
    while time.perf_counter() < end and selector.get_map():
        for key, _ in selector.select(1.0):
            state = key.data
            sock = state[0]
            try:
                got = len(sock.recv(262_144))
            except BlockingIOError:
                continue
            except OSError:
                got = 0
            if not got:
                errors += 1
                selector.unregister(sock)
                continue
            octets += got
            state[1] -= got
            if state[1] <= 0:
                state[1] += heard * CLIENTS
                sock.send(message)
    print(octets // heard, time.perf_counter() - start, errors)


if __name__ == "__main__":
    main()
