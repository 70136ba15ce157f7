"""Many clients at once whose answers can only be right for their own request."""

import hashlib
import os
import socket
import threading
import time

from .lines import post


def press(address, clients, requests, deadline):
    """Send unique bodies, in few packets or many, and want the hash of each; return the faults.

    Args:
        address: Of a server that answers every POST with the body's SHA-256 in hexadecimal.
        clients: Threads, each with one connection.
        requests: Of each of them.
        deadline: Seconds after which a client that still waits is a lost wake-up.
    """
    faults = []

    def run(number):
        try:
            sock = socket.create_connection(address, timeout=deadline)
            with sock, sock.makefile("rb") as reader:
                for count in range(requests):
                    ask(sock, reader, number, count)
        except Exception as error:
            faults.append(repr(error))

    threads = [threading.Thread(target=run, args=(number,)) for number in range(clients)]
    end = time.monotonic() + deadline
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, end - time.monotonic()))
    if any(thread.is_alive() for thread in threads):
        faults.append("a client still waits")
    return faults


def ask(sock, reader, number, count):
    body = b"%d-%d-" % (number, count) * (1 + (number * 7 + count * 13) % 200)
    sent = post(body, "/slow" if count % 10 == 0 else "/")
    half = len(sent) // 2 if count % 3 == 0 else len(sent)
    sock.sendall(sent[:half])
    if half != len(sent):
        sock.sendall(sent[half:])
    status, answer = read_answer(reader)
    assert status == b"200", status
    assert answer == hashlib.sha256(body).hexdigest().encode(), "another's answer"


def read_answer(reader):
    status, size = reader.readline().split(b" ")[1], 0
    for line in iter(reader.readline, b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            size = int(value)
    return status, reader.read(size)


def holdings():
    """Descriptors and threads of this process: what may not grow."""
    fds = len(os.listdir("/proc/self/fd")) if os.path.exists("/proc/self/fd") else 0
    return fds, threading.active_count()
