"""The threading modes, so that one battery meets an interface in each of them."""

import contextlib

import pytest

from granian.engine import threads

from .servers import EngineServer

ASYNC = {
    "one thread": {},
    "two runtimes": {"runtime_threads": 2, "runtime_mode": "st"},
    "four runtimes": {"runtime_threads": 4, "runtime_mode": "st"},
    "one runtime of two": {"runtime_threads": 2, "runtime_mode": "mt"},
    "one runtime of four": {"runtime_threads": 4, "runtime_mode": "mt"},
    "one runtime of four that share": {
        "runtime_threads": 4,
        "runtime_mode": "mt",
        "share": True,
    },
}
"""Of ASGI and RSGI; with one thread there is no difference between the modes.

Threads of one runtime that share do so as on a build without a GIL.
"""

BLOCKING = {
    f"{count} threads{' that share' if share else ''}": {"blocking_threads": count, "share": share}
    for count in (1, 2, 4)
    for share in (False, True)
    if count > 1 or not share
}
"""Of WSGI, whose threads are those of one runtime."""


def loops(mode):
    """How many application loops a worker of this mode of ASYNC has."""
    return 1 if mode.get("runtime_mode") == "mt" else mode.get("runtime_threads", 1)


@contextlib.contextmanager
def serving(app, interface, mode, **plan):
    """Run an application in a mode of ASYNC or BLOCKING."""
    settings = {**plan, **mode}
    with contextlib.ExitStack() as stack:
        if settings.pop("share", False):
            patch = stack.enter_context(pytest.MonkeyPatch.context())
            patch.setattr(threads, "gil_enabled", lambda: False)
        yield stack.enter_context(EngineServer(app, interface, **settings))
