"""A server inside the caller's loop."""

import asyncio
import http.client
from typing import ClassVar

import pytest

from granian.errors import ConfigurationError, FatalError
from granian.server.embed import Server


class App:
    """ASGI; remembers its lifespan."""

    def __init__(self, fails=False):
        self.lifespan = []
        self.fails = fails

    async def __call__(self, scope, receive, send):
        if scope["type"] == "lifespan":
            for _ in range(2):
                message = await receive()
                self.lifespan.append(message["type"].split(".")[1])
                if self.fails:
                    await send({"type": "lifespan.startup.failed", "message": "no"})
                    return
                await send({"type": message["type"] + ".complete"})
            return
        if scope["path"] == "/slow":
            await asyncio.sleep(0.1)
        self.loop = asyncio.get_running_loop()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"hello"})


def get(port, path="/"):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path)
        return connection.getresponse().read()
    finally:
        connection.close()


async def listening(server):
    ready = asyncio.Event()
    server.on_startup(ready.set)
    task = asyncio.ensure_future(server.serve())
    waiting = asyncio.ensure_future(ready.wait())
    await asyncio.wait([task, waiting], return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    return task


def ask(server, path="/"):
    loop = asyncio.get_running_loop()
    return loop.run_in_executor(None, get, server.bind_port, path)


def test_serves_on_the_callers_loop_and_stops():
    app = App()
    server = Server(app, port=0, interface="asgi", log_enabled=False)
    ended = []
    server.on_shutdown(lambda: ended.append(app.lifespan[:]))

    async def main():
        task = await listening(server)
        assert await ask(server) == b"hello"
        assert app.loop is asyncio.get_running_loop()
        running = ask(server, "/slow")
        await asyncio.sleep(0.05)
        server.stop()
        assert await running == b"hello"
        await task

    asyncio.run(main())
    assert ended == [["startup", "shutdown"]]


def test_reload_starts_the_application_anew_on_the_same_port():
    made = []

    def factory():
        made.append(App())
        return made[-1]

    server = Server(factory, port=0, interface="asgi", factory=True, log_enabled=False)
    reloaded = []
    server.on_reload(lambda: reloaded.append(len(made)))

    async def main():
        task = await listening(server)
        port = server.bind_port
        assert await ask(server) == b"hello"
        server.reload()
        assert await ask(server) == b"hello"
        while len(made) < 2:
            await asyncio.sleep(0.01)
        assert await ask(server) == b"hello"
        assert server.bind_port == port
        server.stop()
        await task

    asyncio.run(main())
    assert reloaded == [1]
    assert [app.lifespan for app in made] == [["startup", "shutdown"]] * 2


def test_startup_failure_is_raised():
    app = App(fails=True)
    server = Server(app, port=0, interface="asgi", log_enabled=False)
    with pytest.raises(FatalError):
        asyncio.run(server.serve())


def test_cancelled_task_leaves_nothing_open():
    app = App()
    server = Server(app, port=0, interface="asgi", log_enabled=False)

    async def main():
        task = await listening(server)
        await ask(server)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        with pytest.raises(ConnectionError):
            get(server.bind_port)

    asyncio.run(main())
    assert app.lifespan == ["startup", "shutdown"]


def test_socket_made_by_a_subclass():
    import socket

    class Own(Server):
        def _init_shared_socket(self):
            self._sso = socket.socket()
            self._sso.bind(("127.0.0.1", 0))
            self.bind_port = self._sso.getsockname()[1]

    server = Own(App(), interface="asgi", log_enabled=False)

    async def main():
        task = await listening(server)
        assert await ask(server) == b"hello"
        server.stop()
        await task

    asyncio.run(main())


def test_rsgi():
    class Rsgi:
        calls: ClassVar[list] = []

        def __rsgi_init__(self, loop):
            self.calls.append("init")

        def __rsgi_del__(self, loop):
            self.calls.append("del")

        async def __rsgi__(self, scope, protocol):
            protocol.response_str(200, [], "hello")

    server = Server(Rsgi(), port=0, log_enabled=False)

    async def main():
        task = await listening(server)
        assert await ask(server) == b"hello"
        server.stop()
        await task

    asyncio.run(main())
    assert Rsgi.calls == ["init", "del"]


def test_wsgi_has_no_loop():
    with pytest.raises(ConfigurationError):
        Server(App(), interface="wsgi")


def test_stopped_before_it_starts():
    server = Server(App(), port=0, interface="asgi", log_enabled=False)
    server.stop()
    asyncio.run(server.serve())
