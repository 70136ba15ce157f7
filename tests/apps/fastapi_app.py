"""A FastAPI application: validation, dependencies, uploads, threads, lifespan state."""

import contextlib
import threading
from typing import List

from fastapi import Depends, FastAPI, File, Request, UploadFile
from fastapi.responses import StreamingResponse
from pydantic import BaseModel


@contextlib.asynccontextmanager
async def lifespan(app):
    yield {"greeting": "from lifespan"}


app = FastAPI(lifespan=lifespan)


class Item(BaseModel):
    name: str
    price: float
    tags: List[str] = []


def page(limit: int = 10):
    return limit


PAGE = Depends(page)
UPLOAD = File(...)


@app.get("/items/{item_id}")
async def read_item(item_id: int, request: Request, limit: int = PAGE):
    return {"id": item_id, "limit": limit, "greeting": request.state.greeting}


@app.post("/items")
async def create_item(item: Item):
    return item


@app.post("/upload")
async def upload(file: UploadFile = UPLOAD):
    return {"name": file.filename, "size": len(await file.read())}


@app.get("/thread")
def in_a_thread():
    return {"thread": threading.current_thread().name}


@app.get("/stream")
async def stream():
    async def produce():
        for number in range(100):
            yield f"{number:04}\n" * 100

    return StreamingResponse(produce(), media_type="text/plain")


@app.get("/fail")
async def fail():
    raise RuntimeError("told to fail")
