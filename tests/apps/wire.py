"""The same small behaviours over each interface, chosen by path; wire tests drive them.

``/`` and every unknown path read the whole body and answer with what was received, as JSON with
octets in latin-1. The rest misbehave in one way each.
"""

import asyncio
import json
import os
import threading

SEEN = []
"""What happened in this worker, as ``(path, event)``; read by in-process tests."""

BIG = 2_000_000


def report(method, path, query, version, headers, body):
    """What the application received."""
    return json.dumps(
        {
            "method": method,
            "path": path,
            "query": query,
            "version": version,
            "headers": headers,
            "body": body.decode("latin-1"),
            "pid": os.getpid(),
            "thread": threading.get_ident(),
        }
    ).encode()


# ASGI


async def asgi(scope, receive, send):
    if scope["type"] == "lifespan":
        await lifespan(scope, receive, send)
        return
    handler = ASGI.get(scope["path"], asgi_echo)
    await handler(scope, receive, send)


async def lifespan(scope, receive, send):
    while True:
        message = await receive()
        SEEN.append(("lifespan", message["type"]))
        await send({"type": message["type"] + ".complete"})
        if message["type"].endswith("shutdown"):
            return


async def read_all(receive):
    """The whole body, or None if the peer left before its end."""
    body = b""
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        body += message["body"]
        if not message["more_body"]:
            return body


async def answer(send, body=b"ok", status=200, headers=()):
    await send({"type": "http.response.start", "status": status, "headers": list(headers)})
    await send({"type": "http.response.body", "body": body})


async def asgi_echo(scope, receive, send):
    body = await read_all(receive)
    if body is None:
        SEEN.append((scope["path"], "disconnect"))
        return
    headers = [[n.decode("latin-1"), v.decode("latin-1")] for n, v in scope["headers"]]
    query = scope["query_string"].decode("latin-1")
    facts = (scope["method"], scope["path"], query, scope["http_version"], headers, body)
    await answer(send, report(*facts))


async def asgi_unread(scope, receive, send):
    await answer(send)


async def asgi_raise(scope, receive, send):
    raise ValueError("the application failed, as it was told to")


async def asgi_nothing(scope, receive, send):
    return


async def asgi_half(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"half", "more_body": True})
    raise ValueError("the application failed half way, as it was told to")


async def asgi_short(scope, receive, send):
    await answer(send, b"12345", headers=[(b"content-length", b"10")])


async def asgi_short_stream(scope, receive, send):
    headers = [(b"content-length", b"10")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"12345", "more_body": True})
    await send({"type": "http.response.body", "body": b""})


async def asgi_long(scope, receive, send):
    headers = [(b"content-length", b"3")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"12", "more_body": True})
    await send({"type": "http.response.body", "body": b"345"})


async def asgi_stream(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    for piece in (b"one,", b"two,", b"three"):
        await send({"type": "http.response.body", "body": piece, "more_body": True})
    await send({"type": "http.response.body"})


async def asgi_big(scope, receive, send):
    await answer(send, b"x" * BIG)


async def asgi_endless(scope, receive, send):
    """Writes until the peer leaves; how much was taken is noted."""
    sent = 0
    await send({"type": "http.response.start", "status": 200, "headers": []})
    gone = asyncio.ensure_future(wait_gone(receive))
    while not gone.done():
        await send({"type": "http.response.body", "body": b"x" * 65_536, "more_body": True})
        sent += 65_536
        SEEN.append(("/endless", sent))
        await asyncio.sleep(0)


async def wait_gone(receive):
    while (await receive())["type"] != "http.disconnect":
        pass


async def asgi_wait(scope, receive, send):
    """Answers nothing; notes when it learns that the peer has gone."""
    SEEN.append(("/wait", "begun"))
    await wait_gone(receive)
    SEEN.append(("/wait", "disconnect"))


async def asgi_sleep(scope, receive, send):
    SEEN.append(("/sleep", "begun"))
    await asyncio.sleep(float(scope["query_string"] or b"0.3"))
    await answer(send, b"slept")


async def asgi_block(scope, receive, send):
    """Blocks its loop until the body's end would have come: nothing is read meanwhile."""
    SEEN.append(("/late", "begun"))
    await asyncio.sleep(float(scope["query_string"] or b"0.3"))
    body = await read_all(receive)
    await answer(send, b"%d" % len(body))


async def asgi_cancel(scope, receive, send):
    """Cancels a task that waits for the peer to leave, and one in whose arms it waits."""
    await receive()
    outcomes = []
    for waiting in (receive, lambda: wait_gone(receive)):
        task = asyncio.ensure_future(waiting())
        await asyncio.sleep(0)
        task.cancel()
        try:
            await task
        except asyncio.CancelledError:
            outcomes.append(b"cancelled")
    await answer(send, b" ".join(outcomes))


async def asgi_no_body(scope, receive, send):
    await answer(send, b"ignored", status=int(scope["query_string"]))


async def asgi_order(scope, receive, send):
    await send({"type": "http.response.body", "body": b"too early"})


async def asgi_twice(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    try:
        await send({"type": "http.response.start", "status": 200, "headers": []})
    except RuntimeError as error:
        await send({"type": "http.response.body", "body": str(error.args[0]).encode()})


async def asgi_after(scope, receive, send):
    await answer(send, b"msg1")
    try:
        await send({"type": "http.response.body", "body": b"msg2"})
    except RuntimeError:
        SEEN.append(("/after", "raised"))


async def asgi_headers(scope, receive, send):
    """Sends the field that the query names: ``name=value``, percent-decoded by hand."""
    from urllib.parse import unquote_to_bytes

    name, _, value = scope["query_string"].partition(b"=")
    field = (unquote_to_bytes(name), unquote_to_bytes(value))
    await answer(send, headers=[field])


async def asgi_status(scope, receive, send):
    await answer(send, status=json.loads(scope["query_string"]))


async def asgi_hints(scope, receive, send):
    """Gives a hint before it waits for the body, two in one after it, and one that is too late."""
    hint = {"type": "http.response.early_hint"}
    await send({**hint, "links": [b"</a.css>; rel=preload"]})
    body = await read_all(receive)
    if body is None:
        return
    await send({**hint, "links": [b"</b.css>; rel=preload", b"</c.js>; rel=modulepreload"]})
    await send({"type": "http.response.start", "status": 200, "headers": [(b"link", b"</a.css>")]})
    await send({**hint, "links": [b"</late>"]})
    await send({"type": "http.response.body", "body": body})


async def asgi_exit(scope, receive, send):
    raise SystemExit("told to exit")


ASGI = {
    "/unread": asgi_unread,
    "/raise": asgi_raise,
    "/nothing": asgi_nothing,
    "/half": asgi_half,
    "/short": asgi_short,
    "/short-stream": asgi_short_stream,
    "/long": asgi_long,
    "/stream": asgi_stream,
    "/big": asgi_big,
    "/endless": asgi_endless,
    "/wait": asgi_wait,
    "/sleep": asgi_sleep,
    "/late": asgi_block,
    "/cancel": asgi_cancel,
    "/no-body": asgi_no_body,
    "/order": asgi_order,
    "/twice": asgi_twice,
    "/after": asgi_after,
    "/headers": asgi_headers,
    "/status": asgi_status,
    "/hints": asgi_hints,
    "/exit": asgi_exit,
}


# RSGI


async def rsgi(scope, protocol):
    if scope.path == "/unread":
        protocol.response_str(200, [], "ok")
        return
    if scope.path == "/raise":
        raise ValueError("the application failed, as it was told to")
    body = await protocol()
    headers = [list(pair) for pair in scope.headers.items()]
    facts = (scope.method, scope.path, scope.query_string, scope.http_version, headers, body)
    protocol.response_bytes(200, [], report(*facts))


# WSGI


def wsgi(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/raise":
        raise ValueError("the application failed, as it was told to")
    if path == "/unread":
        start_response("200 OK", [])
        return [b"ok"]
    if path == "/half":
        return wsgi_half(start_response)
    body = environ["wsgi.input"].read()
    headers = [[name, value] for name, value in environ.items() if name.startswith("HTTP_")]
    facts = (environ["REQUEST_METHOD"], path, environ["QUERY_STRING"])
    start_response("200 OK", [])
    return [report(*facts, environ["SERVER_PROTOCOL"], headers, body)]


def wsgi_half(start_response):
    start_response("200 OK", [])
    yield b"half"
    raise ValueError("the application failed half way, as it was told to")
