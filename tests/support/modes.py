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
    f"{count} threads{' that share' if share else ''}": {"blocking_threads": count, "share": share}
    for count in (1, 2, 4)
    for share in (False, True)
    if count > 1 or not share
}
"""Of WSGI, whose threads wait together; those that share do so as on a build without a GIL."""


def posts(mode):
    """Whether connections of this mode may live on other threads than the application's loop."""
    return mode.get("runtime_mode") == "mt" and mode["runtime_threads"] > 1


@contextlib.contextmanager
def serving(app, interface, mode, **plan):
    """Run an application in a mode of ASYNC or BLOCKING; one that posts is made to post."""
    settings = {**plan, **mode}
    with contextlib.ExitStack() as stack:
        if settings.pop("share", False):
            patch = stack.enter_context(pytest.MonkeyPatch.context())
            patch.setattr(threads, "gil_enabled", lambda: False)
        if posts(mode):
            settings["http1"] = {"header_read_timeout": 300.0, **settings.get("http1", {})}
        running = stack.enter_context(EngineServer(app, interface, **settings))
        if posts(mode):
            # It stays with the thread of the loop, so that the next ones come to those that post.
            wire = stack.enter_context(Wire(running.address))
            wire.exchange(get("/"))
        yield running
