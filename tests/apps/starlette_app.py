"""A Starlette application as people write them: lifespan state, streams, uploads, files."""

import asyncio
import contextlib
import os

from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.requests import ClientDisconnect
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, StreamingResponse
from starlette.routing import Mount, Route

EVENTS = []


@contextlib.asynccontextmanager
async def lifespan(app):
    yield {"greeting": "from lifespan", "counter": [0]}


async def home(request):
    request.state.counter[0] += 1
    facts = {"greeting": request.state.greeting, "count": request.state.counter[0]}
    url = {"url": str(request.url), "root": request.scope["root_path"]}
    client = list(request.client)
    return JSONResponse({**facts, **url, "client": client, "pid": os.getpid()})


async def upload(request):
    async with request.form() as form:
        content = await form["file"].read()
        return JSONResponse({"name": form["file"].filename, "size": len(content)})


async def consume(request):
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
    return PlainTextResponse(str(size))


async def numbers(request):
    async def produce():
        for number in range(int(request.query_params.get("count", "3"))):
            yield f"{number}\n"
            await asyncio.sleep(0)

    return StreamingResponse(produce(), media_type="text/plain")


async def watched(request):
    """Streams until the client leaves, and says so to whoever asks next."""

    async def produce():
        try:
            while True:
                yield "tick\n"
                await asyncio.sleep(0.01)
        finally:
            EVENTS.append("stream ended")

    return StreamingResponse(produce(), media_type="text/plain")


async def waiting(request):
    try:
        await request.body()
    except ClientDisconnect:
        EVENTS.append("client disconnect")
        raise
    return PlainTextResponse("read")


async def events(request):
    return JSONResponse(EVENTS)


async def background(request):
    return PlainTextResponse("answered", background=BackgroundTask(EVENTS.append, "background ran"))


async def fail(request):
    raise RuntimeError("told to fail")


async def this_file(request):
    return FileResponse(__file__)


async def slow(request):
    await asyncio.sleep(float(request.query_params.get("seconds", "0.5")))
    return PlainTextResponse("slow")


ROUTES = [
    Route("/", home),
    Route("/upload", upload, methods=["POST"]),
    Route("/consume", consume, methods=["POST"]),
    Route("/numbers", numbers),
    Route("/watched", watched),
    Route("/waiting", waiting, methods=["POST"]),
    Route("/events", events),
    Route("/background", background),
    Route("/fail", fail),
    Route("/file", this_file),
    Route("/slow", slow),
]
app = Starlette(routes=[*ROUTES, Mount("/mounted", routes=[Route("/", home)])], lifespan=lifespan)
