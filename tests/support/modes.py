"""The threading modes, so that one battery meets an interface in each of them."""

import contextlib
from threading import get_ident

import pytest

from granian.engine import hosted, threads

from .servers import EngineServer

ASYNC = {
    "one thread": {},
    "two runtimes": {"runtime_threads": 2, "runtime_mode": "st"},
    "four runtimes": {"runtime_threads": 4, "runtime_mode": "st"},
    "one runtime of two": {"runtime_threads": 2, "runtime_mode": "mt"},
    "one runtime of four": {"runtime_threads": 4, "runtime_mode": "mt"},
    "one runtime of two that posts": {"runtime_threads": 2, "runtime_mode": "mt", "posts": True},
    "one runtime of four that posts": {"runtime_threads": 4, "runtime_mode": "mt", "posts": True},
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


class PostingPoller(hosted.HostedPoller):
    """One whose host never comes, as if it were in one long call: others always stand in."""

    def attend(self):
        self.host = get_ident()

    def lead(self):
        raise AssertionError("the host is not to serve anything")

    def nudge(self):
        self._nudges.post(lambda: None)


def loops(mode):
    """How many application loops a worker of this mode of ASYNC has."""
    return 1 if mode.get("runtime_mode") == "mt" else mode.get("runtime_threads", 1)


@contextlib.contextmanager
def serving(app, interface, mode, **plan):
    """Run an application in a mode of ASYNC or BLOCKING."""
    settings = {**plan, **mode}
    with contextlib.ExitStack() as stack:
        crews = settings.pop("crews", 1)
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        patch.setattr(threads, "gil_enabled", lambda: crews == 1)
        settings["processors"] = crews
        if settings.pop("posts", False):
            patch.setattr(hosted, "HostedPoller", PostingPoller)
        yield stack.enter_context(EngineServer(app, interface, **settings))
