"""Loops of every kind there is here, each for one test."""

import asyncio

import pytest

from tests.test_waiter import new_loops


@pytest.fixture(params=new_loops(), ids=lambda new: new.__module__)
def loop(request):
    loop = request.param()
    yield loop
    loop.close()


@pytest.fixture
def asyncio_loop():
    loop = asyncio.new_event_loop()
    yield loop
    loop.close()
