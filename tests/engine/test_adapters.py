"""Which application a plan makes of a target, and what runs before and after it."""

import asyncio
import contextlib
import sys
from types import SimpleNamespace

import pytest

from granian.engine.adapters import Lifecycle, create_application, create_lifecycle
from granian.engine.tasks import EagerTasks
from granian.errors import FatalError
from granian.plan import StaticPlan, WorkerPlan
from tests.support.responder import FakeResponder, make_head


class Runtime:
    """What adapters need of a runtime."""

    draining = False

    def reach(self, application):
        return application

    def __init__(self, loop, **plan):
        self.plan = WorkerPlan(**plan)
        self.loop = loop
        self.tasks = EagerTasks(loop)
        self.counters = None
        self.engine = SimpleNamespace(number=2)


@pytest.fixture
def loop():
    loop = asyncio.new_event_loop()
    yield loop
    loop.close()


async def asgi(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        scope["state"]["seen"] = True
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
        return
    body = repr((scope["client"], scope["root_path"], scope["state"])).encode()
    await send({"type": "http.response.start", "status": 200})
    await send({"type": "http.response.body", "body": body})


async def rsgi(scope, protocol):
    protocol.response_bytes(200, [], scope.client.encode())


def wsgi(environ, start_response):
    start_response("200 OK", [])
    return [environ["REMOTE_ADDR"].encode()]


def serve(loop, application, head=None):
    """Run one exchange; return the responder."""
    responder = FakeResponder(application)
    head = head or make_head(headers=[(b"host", b"a"), (b"x-forwarded-for", b"10.9.8.7")])

    async def turns():
        for _ in range(4):
            await asyncio.sleep(0)

    loop.call_soon(application.begin, responder, head, b"", True)
    loop.run_until_complete(turns())
    return responder


TARGETS = {"asgi": asgi, "asginl": asgi, "rsgi": rsgi, "wsgi": wsgi}


@pytest.mark.parametrize("interface", TARGETS)
def test_each_interface_answers(loop, interface):
    target = TARGETS[interface]
    runtime = Runtime(loop, interface=interface, url_path_prefix="/app")
    lifecycle = create_lifecycle(target, runtime)
    responder = serve(loop, create_application(target, runtime, lifecycle))
    assert responder.response[0] == 200
    assert b"127.0.0.1" in responder.response[2]
    if interface == "asgi":
        assert b"'/app'" in responder.response[2]


@pytest.mark.parametrize("interface", TARGETS)
def test_trusted_proxies_name_the_client(loop, interface):
    target = TARGETS[interface]
    runtime = Runtime(loop, interface=interface, forwarded_allow_ips=("127.0.0.1",))
    lifecycle = create_lifecycle(target, runtime)
    responder = serve(loop, create_application(target, runtime, lifecycle))
    assert b"10.9.8.7" in responder.response[2]


@pytest.mark.parametrize("interface", TARGETS)
def test_access_lines_are_written_where_they_are_asked_for(loop, interface, caplog):
    caplog.set_level("INFO", "granian.access")
    target = TARGETS[interface]
    runtime = Runtime(
        loop, interface=interface, log_access=True, log_access_format="%(method)s %(path)s"
    )
    lifecycle = create_lifecycle(target, runtime)
    serve(loop, create_application(target, runtime, lifecycle), make_head(target=b"/logged"))
    assert [record.getMessage() for record in caplog.records] == ["GET /logged"]


FURTHER = "%(bytes_in)d %(bytes_out)d %(response_header{x})s %(request_id)s %(worker)d %(tls)s"


@pytest.mark.parametrize("interface", TARGETS)
def test_access_lines_tell_of_the_response(loop, interface, caplog):
    caplog.set_level("INFO", "granian.access")
    target = TARGETS[interface]
    runtime = Runtime(loop, interface=interface, log_access=True, log_access_format=FURTHER)
    application = create_application(target, runtime, create_lifecycle(target, runtime))
    responder = serve(loop, application, make_head(headers=[(b"x-request-id", b"seven")]))
    size = len(responder.response[2])
    assert [record.getMessage() for record in caplog.records] == [f"0 {size} - seven 2 -"]


@pytest.mark.parametrize("fmt", [None, "%(worker)d %(tls)s %(request_id)s %(header{x})s"])
def test_nothing_is_counted_that_no_line_tells(loop, fmt):
    for logged in (False, True):
        runtime = Runtime(
            loop, interface="rsgi", log_access=logged, log_access_format=fmt if logged else FURTHER
        )
        application = create_application(rsgi, runtime, Lifecycle())
        assert type(application).__name__ == "RsgiApplication"


def test_an_interface_that_does_not_exist_is_fatal(loop):
    with pytest.raises(FatalError, match="telepathy"):
        create_application(None, Runtime(loop, interface="telepathy"), Lifecycle())


def test_static_files_come_before_the_application(loop, tmp_path):
    (tmp_path / "file.txt").write_text("static")
    runtime = Runtime(
        loop, interface="rsgi", static=StaticPlan(mounts=(("/static", str(tmp_path)),))
    )
    from granian.engine.runtime import Counters

    runtime.counters = Counters()
    application = create_application(rsgi, runtime, Lifecycle())
    responder = serve(loop, application, make_head(target=b"/static/file.txt"))
    assert responder.response[2] == b"static"
    assert serve(loop, application).response[2] == b"127.0.0.1:50000"


@pytest.mark.parametrize(
    ("path", "trusted", "said"),
    [
        (b"/static/file.txt", (), "127.0.0.1 200 6 text/plain"),
        (b"/static/file.txt", ("127.0.0.1",), "10.9.8.7 200 6 text/plain"),
        (b"/static/none", (), "127.0.0.1 404 9 text/plain; charset=utf-8"),
    ],
)
def test_static_files_are_logged_too(loop, tmp_path, caplog, path, trusted, said):
    from granian.engine.runtime import Counters

    caplog.set_level("INFO", "granian.access")
    (tmp_path / "file.txt").write_text("static")
    runtime = Runtime(
        loop,
        interface="rsgi",
        static=StaticPlan(mounts=(("/static", str(tmp_path)),)),
        log_access=True,
        log_access_format="%(addr)s %(status)d %(bytes_out)d %(response_header{content-type})s",
        forwarded_allow_ips=trusted,
    )
    runtime.counters = Counters()
    head = make_head(target=path, headers=[(b"x-forwarded-for", b"10.9.8.7")])
    serve(loop, create_application(rsgi, runtime, Lifecycle()), head)
    assert [record.getMessage() for record in caplog.records] == [said]


def test_a_health_path_comes_before_everything(loop):
    runtime = Runtime(loop, interface="rsgi", health_path="/health")
    application = create_application(rsgi, runtime, Lifecycle())
    assert serve(loop, application, make_head(target=b"/health")).response[0] == 200
    runtime.draining = True
    assert serve(loop, application, make_head(target=b"/health")).response[0] == 503


# lifecycles


def test_asgi_has_a_lifespan_whose_state_requests_see(loop):
    runtime = Runtime(loop, interface="asgi")
    lifecycle = create_lifecycle(asgi, runtime)
    lifecycle.startup(loop)
    application = create_application(asgi, runtime, lifecycle)
    assert b"{'seen': True}" in serve(loop, application).response[2]
    lifecycle.shutdown(loop)


def test_a_failed_startup_is_fatal(loop):
    async def app(scope, receive, send):
        await receive()
        await send({"type": "lifespan.startup.failed"})

    lifecycle = create_lifecycle(app, Runtime(loop, interface="asgi"))
    with pytest.raises(FatalError, match="lifespan startup failed"):
        lifecycle.startup(loop)


@pytest.mark.parametrize("required", [False, True])
def test_a_startup_that_raises_is_fatal_where_it_is_required(loop, required):
    async def app(scope, receive, send):
        await receive()
        raise ValueError

    runtime = Runtime(loop, interface="asgi", lifespan_required=required)
    lifecycle = create_lifecycle(app, runtime)
    with pytest.raises(FatalError) if required else contextlib.nullcontext():
        lifecycle.startup(loop)
    lifecycle.shutdown(loop)


@pytest.mark.parametrize("interface", ["asginl", "wsgi"])
def test_others_are_told_nothing(loop, interface):
    lifecycle = create_lifecycle(None, Runtime(loop, interface=interface))
    lifecycle.startup(loop)
    lifecycle.shutdown(loop)
    assert lifecycle.lifespan is None


def test_rsgi_has_its_two_calls(loop):
    class Target:
        log = []  # noqa: RUF012 - one target

        def __rsgi_init__(self, given):
            self.log.append(("init", given))

        def __rsgi_del__(self, given):
            self.log.append(("del", given))

    lifecycle = create_lifecycle(Target(), Runtime(loop, interface="rsgi"))
    lifecycle.startup(loop)
    lifecycle.shutdown(loop)
    assert Target.log == [("init", loop), ("del", loop)]


def test_rsgi_may_have_neither(loop):
    lifecycle = create_lifecycle(rsgi, Runtime(loop, interface="rsgi"))
    lifecycle.startup(loop)
    lifecycle.shutdown(loop)


def test_choosing_an_interface_loads_no_other():
    assert "granian.engine.adapters" in sys.modules
    source = sys.modules["granian.engine.adapters"]
    assert not {"AsgiApplication", "RsgiApplication", "WsgiApplication"} & set(vars(source))
