"""The applications under load, one per row; each server serves exactly these.

They do as little as an application can, so that what is measured is the server. Loaded by servers
of any interface: standard library only, nothing of ours.
"""

import asyncio
import time

SMALL = b"Hello, world!"
LARGE = b"x" * 10_240
TEXT = [(b"content-type", b"text/plain; charset=utf-8")]
TEXT_STR = [("content-type", "text/plain; charset=utf-8")]


async def lifespan(receive, send):
    """Agree to everything a server announces."""
    while True:
        message = await receive()
        await send({"type": message["type"] + ".complete"})
        if message["type"] == "lifespan.shutdown":
            return


async def asgi_small(scope, receive, send):
    if scope["type"] != "http":
        await lifespan(receive, send)
        return
    await send({"type": "http.response.start", "status": 200, "headers": TEXT})
    await send({"type": "http.response.body", "body": SMALL})


async def asgi_large(scope, receive, send):
    if scope["type"] != "http":
        await lifespan(receive, send)
        return
    await send({"type": "http.response.start", "status": 200, "headers": TEXT})
    await send({"type": "http.response.body", "body": LARGE})


async def asgi_sleep(scope, receive, send):
    if scope["type"] != "http":
        await lifespan(receive, send)
        return
    await asyncio.sleep(0.01)
    await send({"type": "http.response.start", "status": 200, "headers": TEXT})
    await send({"type": "http.response.body", "body": SMALL})


async def asgi_echo(scope, receive, send):
    if scope["type"] != "http":
        await lifespan(receive, send)
        return
    body = b""
    more = True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    await send({"type": "http.response.start", "status": 200, "headers": TEXT})
    await send({"type": "http.response.body", "body": body})


async def asgi_socket(scope, receive, send):
    if scope["type"] == "lifespan":
        await lifespan(receive, send)
        return
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": TEXT})
        await send({"type": "http.response.body", "body": SMALL})
        return
    await receive()
    await send({"type": "websocket.accept"})
    while True:
        message = await receive()
        if message["type"] == "websocket.disconnect":
            return
        await send({"type": "websocket.send", "bytes": message["bytes"]})


ROOM = set()


async def asgi_room(scope, receive, send):
    """Whatever anybody says, everybody hears."""
    if scope["type"] != "websocket":
        await asgi_socket(scope, receive, send)
        return
    await receive()
    await send({"type": "websocket.accept"})
    ROOM.add(send)
    try:
        while True:
            message = await receive()
            if message["type"] == "websocket.disconnect":
                return
            for peer in list(ROOM):
                try:
                    await peer({"type": "websocket.send", "bytes": message["bytes"]})
                except (OSError, RuntimeError):
                    ROOM.discard(peer)
    finally:
        ROOM.discard(send)


async def rsgi_room(scope, protocol):
    """Whatever anybody says, everybody hears."""
    if scope.proto == "http":
        protocol.response_bytes(200, TEXT_STR, SMALL)
        return
    transport = await protocol.accept()
    ROOM.add(transport)
    try:
        while True:
            message = await transport.receive()
            if message.kind == 0:
                return
            for peer in list(ROOM):
                try:
                    await peer.send_bytes(message.data)
                except RuntimeError:
                    ROOM.discard(peer)
    finally:
        ROOM.discard(transport)


async def rsgi_small(scope, protocol):
    protocol.response_bytes(200, TEXT_STR, SMALL)


async def rsgi_large(scope, protocol):
    protocol.response_bytes(200, TEXT_STR, LARGE)


async def rsgi_echo(scope, protocol):
    protocol.response_bytes(200, TEXT_STR, await protocol())


async def rsgi_socket(scope, protocol):
    if scope.proto == "http":
        protocol.response_bytes(200, TEXT_STR, SMALL)
        return
    transport = await protocol.accept()
    while True:
        message = await transport.receive()
        if message.kind == 0:
            return
        await transport.send_bytes(message.data)


def wsgi_small(environ, start_response):
    start_response("200 OK", TEXT_STR)
    return [SMALL]


def wsgi_block(environ, start_response):
    time.sleep(0.01)
    start_response("200 OK", TEXT_STR)
    return [SMALL]


def wsgi_echo(environ, start_response):
    body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    start_response("200 OK", TEXT_STR)
    return [body]
