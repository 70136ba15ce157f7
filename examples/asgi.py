"""An ASGI application without a framework: a page, an echo, a stream, and state from lifespan.

Run it: ``granian --interface asgi examples.asgi:app``
"""

import asyncio
import time

PAGE = b"""<!doctype html>
<meta charset="utf-8"><title>It works</title>
<h1>It works</h1>
<p>Served by Granian in Python. Try <a href="/stream">/stream</a> and
<code>curl -d hello http://127.0.0.1:8000/echo</code>.</p>
"""


async def app(scope, receive, send):
    """Route by path; what is not known is a 404."""
    if scope["type"] == "lifespan":
        await lifespan(scope, receive, send)
        return
    if scope["type"] != "http":
        return
    handler = ROUTES.get(scope["path"], missing)
    await handler(scope, receive, send)


async def lifespan(scope, receive, send):
    """Note when the worker started; every request finds it in its state."""
    while True:
        message = await receive()
        if message["type"] == "lifespan.startup":
            scope["state"]["started"] = time.time()
            await send({"type": "lifespan.startup.complete"})
        else:
            await send({"type": "lifespan.shutdown.complete"})
            return


async def page(scope, receive, send):
    """Answer with one whole body."""
    await answer(send, 200, PAGE, b"text/html; charset=utf-8")


async def uptime(scope, receive, send):
    """Read what lifespan left."""
    seconds = time.time() - scope["state"]["started"]
    await answer(send, 200, b"%.1f s\n" % seconds)


async def echo(scope, receive, send):
    """Send each piece of the body back as it comes."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        more = message["more_body"]
        await send({"type": "http.response.body", "body": message["body"], "more_body": more})


async def stream(scope, receive, send):
    """Ten lines, one every 200 ms."""
    headers = [(b"content-type", b"text/plain; charset=utf-8")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    for number in range(10):
        line = b"line %d\n" % number
        await send({"type": "http.response.body", "body": line, "more_body": True})
        await asyncio.sleep(0.2)
    await send({"type": "http.response.body"})


async def missing(scope, receive, send):
    """Answer what no route knows."""
    await answer(send, 404, b"Not found\n")


async def answer(send, status, body, kind=b"text/plain; charset=utf-8"):
    """Send one whole response."""
    headers = [(b"content-type", kind)]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


ROUTES = {"/": page, "/echo": echo, "/stream": stream, "/uptime": uptime}
