"""Applications for drills of the supervisor: each path is one way to behave or to misbehave."""

import asyncio
import os
import signal
import sys
import time

HEAVY = ("pydantic", "pydantic_settings", "rich", "click", "watchdog", "multiprocessing")


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        await _lifespan(receive, send)
        return
    if scope["type"] == "websocket":
        await _websocket(receive, send)
        return
    path = scope["path"]
    body = b"ok"
    if path == "/pid":
        body = b"%d" % os.getpid()
    elif path == "/heavy":
        body = " ".join(name for name in HEAVY if name in sys.modules).encode()
    elif path == "/fds":
        body = b"%d" % len(os.listdir("/proc/self/fd"))
    elif path.startswith("/sleep/"):
        await asyncio.sleep(float(path[7:]))
    elif path == "/block":
        time.sleep(1000)
    elif path.startswith("/nap/"):
        print("napping", flush=True)
        time.sleep(float(path[5:]))  # a mistake of the application's
    elif path == "/ignore":
        await _ignore()
    elif path == "/exit":
        os._exit(3)
    elif path == "/segfault":
        os.kill(os.getpid(), signal.SIGSEGV)
    elif path == "/environ":
        body = os.environ.get("DRILL", "-").encode()
    elif path == "/stream":
        await _stream(send, receive)
        return
    elif path == "/talk":
        await _talk(send, receive)
        return
    elif path == "/eat":
        kept.append(b"x" * 50_000_000)
    headers = [(b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


kept = []


async def _lifespan(receive, send):
    while True:
        message = await receive()
        print(f"{message['type']} {os.getpid()}", flush=True)
        await send({"type": message["type"] + ".complete"})
        if message["type"] == "lifespan.shutdown":
            return


async def _websocket(receive, send):
    await receive()
    await send({"type": "websocket.accept"})
    while True:
        message = await receive()
        if message["type"] == "websocket.disconnect":
            return
        await send({"type": "websocket.send", "text": message.get("text") or ""})


async def _ignore():
    while True:
        try:
            await asyncio.sleep(1000)
        except asyncio.CancelledError:
            continue


async def _stream(send, receive):
    """An event stream that ends when it hears of a disconnect."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    gone = asyncio.ensure_future(_gone(receive))
    while not gone.done():
        await send({"type": "http.response.body", "body": b"data: x\n\n", "more_body": True})
        await asyncio.wait([gone], timeout=0.05)
    print("stream told", flush=True)


async def _talk(send, receive):
    """Answer each piece of the request as it comes."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            print("talk broken off", flush=True)
            return
        more = message["more_body"]
        await send({"type": "http.response.body", "body": message["body"], "more_body": more})
        if not more:
            return


async def _gone(receive):
    while (await receive())["type"] != "http.disconnect":
        pass
