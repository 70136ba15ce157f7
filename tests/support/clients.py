"""Clients of other hands, set up for a server under test."""

import asyncio

import pytest


def http_client(server, second=False):
    """An httpx client of an ``EngineServer``; it speaks HTTP/2 and nothing else if ``second``."""
    httpx = pytest.importorskip("httpx")
    host, port = server.address
    versions = {"http1": not second, "http2": second}
    return httpx.Client(base_url=f"http://{host}:{port}", trust_env=False, **versions)


def run(coroutine):
    """Run a client in a loop of its own, under a deadline."""

    async def bounded():
        return await asyncio.wait_for(coroutine, 20)

    return asyncio.run(bounded())
