"""One application for the three interfaces, to be asked over HTTP/2 and TLS."""

import asyncio
import json

from granian.rsgi import WebsocketMessageType

BIG = b"0123456789abcdef" * 200_000


async def asgi(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": message["type"] + ".complete"})
            if message["type"] == "lifespan.shutdown":
                return
    if scope["type"] == "websocket":
        await receive()
        await send(
            {"type": "websocket.accept", "headers": [(b"x-version", scope["scheme"].encode())]}
        )
        while True:
            message = await receive()
            if message["type"] == "websocket.disconnect":
                return
            await send({"type": "websocket.send", "text": message["text"]})
    path = scope["path"]
    if path == "/hints":
        await send({"type": "http.response.early_hint", "links": [b"</style.css>; rel=preload"]})
    body = b""
    while path != "/early":  # which answers before it has read anything
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        body += message["body"]
        if not message["more_body"]:
            break
    trailers = path == "/trailers"
    if path == "/slow":
        await asyncio.sleep(0.3)
    headers = [(b"content-type", b"text/plain"), (b"x-method", scope["method"].encode())]
    await send(
        {"type": "http.response.start", "status": 200, "headers": headers, "trailers": trailers}
    )
    if path == "/stream":
        for piece in (b"one ", b"two ", b"three"):
            await send({"type": "http.response.body", "body": piece, "more_body": True})
            await asyncio.sleep(0)
        await send({"type": "http.response.body"})
    else:
        await send({"type": "http.response.body", "body": answer(path, body, lambda: facts(scope))})
    if trailers:
        await send({"type": "http.response.trailers", "headers": [(b"x-sum", b"42")]})


def answer(path, body, describe):
    if path == "/big":
        return BIG
    if path == "/echo":
        return body
    if path == "/scope":
        return json.dumps(describe()).encode()
    return b"hello"


def facts(scope):
    tls = scope["extensions"].get("tls")
    return {
        "http_version": scope["http_version"],
        "scheme": scope["scheme"],
        "headers": {name.decode(): value.decode() for name, value in scope["headers"]},
        "tls": tls and {key: tls[key] for key in ("client_cert_name", "tls_version")},
    }


async def rsgi(scope, protocol):
    if scope.proto == "ws":
        transport = await protocol.accept()
        while True:
            message = await transport.receive()
            if message.kind == WebsocketMessageType.close:
                return
            await transport.send_str(message.data)
    body = await protocol()
    if scope.path == "/stream":
        transport = protocol.response_stream(200, [("content-type", "text/plain")])
        for piece in (b"one ", b"two ", b"three"):
            await transport.send_bytes(piece)
        return

    def describe():
        return {"http_version": scope.http_version, "scheme": scope.scheme}

    if scope.path == "/slow":
        await asyncio.sleep(0.3)
    protocol.response_bytes(
        200,
        [("content-type", "text/plain"), ("x-method", scope.method)],
        answer(scope.path, body, describe),
    )


def wsgi(environ, start_response):
    body = environ["wsgi.input"].read()
    headers = [("content-type", "text/plain"), ("x-method", environ["REQUEST_METHOD"])]
    start_response("200 OK", headers)
    path = environ["PATH_INFO"]
    if path == "/stream":
        return (piece for piece in (b"one ", b"two ", b"three"))

    def describe():
        protocol = environ["SERVER_PROTOCOL"]
        return {"http_version": protocol.partition("/")[2], "scheme": environ["wsgi.url_scheme"]}

    return [answer(path, body, describe)]
