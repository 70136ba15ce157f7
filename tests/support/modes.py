"""The threading modes, so that one battery meets an interface in each of them."""

import contextlib

import pytest

from granian.engine import threads

from .lines import get
from .servers import EngineServer
from .wire import Wire

ASYNC = {
    "one thread": {},
    "two runtimes": {"runtime_threads": 2, "runtime_mode": "st"},
    "four runtimes": {"runtime_threads": 4, "runtime_mode": "st"},
    "one runtime of two": {"runtime_threads": 2, "runtime_mode": "mt"},
    "one runtime of four": {"runtime_threads": 4, "runtime_mode": "mt"},
}
"""Of ASGI and RSGI; with one thread there is no difference between the modes."""

BLOCKING = {
    f"{count} threads{' of two crews' if crews > 1 else ''}": {
        "blocking_threads": count,
        "crews": crews,
    }
    for count in (1, 2, 4)
    for crews in (1, 2)
    if count >= crews
}
"""Of WSGI; two crews is what a build without a GIL has on two processors."""


def posts(mode):
    """Whether connections of this mode may live on other threads than the application's loop."""
    return mode.get("runtime_mode") == "mt" and mode["runtime_threads"] > 1


def loops(mode):
    """How many application loops a worker of this mode of ASYNC has."""
    return 1 if posts(mode) else mode.get("runtime_threads", 1)


@contextlib.contextmanager
def serving(app, interface, mode, **plan):
    """Run an application in a mode of ASYNC or BLOCKING; one that posts is made to post."""
    settings = {**plan, **mode}
    with contextlib.ExitStack() as stack:
        crews = settings.pop("crews", 1)
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        patch.setattr(threads, "gil_enabled", lambda: crews == 1)
        settings["processors"] = crews
        if posts(mode):
            settings["http1"] = {"header_read_timeout": 300.0, **settings.get("http1", {})}
        running = stack.enter_context(EngineServer(app, interface, **settings))
        if posts(mode):
            # It stays with the thread of the loop, so that the next ones come to those that post.
            wire = stack.enter_context(Wire(running.address))
            wire.exchange(get("/"))
        yield running
