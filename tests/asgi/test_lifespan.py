"""Lifespan: what the application is told, what it may say, and what its silence means."""

import asyncio
import logging

import pytest

from granian.asgi.lifespan import LifespanProtocol

STARTED = {"type": "lifespan.startup.complete"}
STOPPED = {"type": "lifespan.shutdown.complete"}


@pytest.fixture
def loop():
    loop = asyncio.new_event_loop()
    yield loop
    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.close()


@pytest.fixture(autouse=True)
def log(caplog):
    caplog.set_level(logging.DEBUG, "_granian")
    return caplog


def records(log, level):
    return [record.getMessage() for record in log.records if record.levelno == level]


def live(loop, app, between=lambda lifespan: None):
    """Start, serve, stop."""
    lifespan = LifespanProtocol(app)
    loop.run_until_complete(lifespan.startup())
    between(lifespan)
    loop.run_until_complete(lifespan.shutdown())
    return lifespan


def test_the_whole_life(loop, log):
    seen = []

    async def app(scope, receive, send):
        seen.append(scope)
        seen.append(await receive())
        scope["state"]["key"] = "value"
        await send(STARTED)
        seen.append(await receive())
        await send(STOPPED)

    def between(lifespan):
        assert (lifespan.errored, lifespan.supported) == (False, True)
        assert lifespan.state == {"key": "value"}
        assert len(seen) == 2

    lifespan = live(loop, app, between)
    asgi = {"version": "3.0", "spec_version": "2.3"}
    assert seen == [
        {"type": "lifespan", "asgi": asgi, "state": {}},
        {"type": "lifespan.startup"},
        {"type": "lifespan.shutdown"},
    ]
    assert lifespan.state == {}
    assert log.records == []


def test_startup_waits_for_the_application(loop):
    order = []

    async def app(scope, receive, send):
        await receive()
        await asyncio.sleep(0)
        order.append("ready")
        await send(STARTED)
        await receive()
        await asyncio.sleep(0)
        order.append("ended")
        await send(STOPPED)

    live(loop, app, lambda lifespan: order.append("serving"))
    assert order == ["ready", "serving", "ended"]


def test_startup_can_fail(loop, log):
    async def app(scope, receive, send):
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "no database"})

    lifespan = live(loop, app)
    assert lifespan.errored
    assert records(log, logging.ERROR) == ["ASGI lifespan startup failed: no database"]


def test_a_failed_startup_may_raise_too(loop, log):
    async def app(scope, receive, send):
        await receive()
        await send({"type": "lifespan.startup.failed"})
        raise ValueError

    lifespan = LifespanProtocol(app)
    loop.run_until_complete(lifespan.startup())
    loop.run_until_complete(asyncio.sleep(0))
    assert lifespan.errored
    assert records(log, logging.ERROR)[-1] == "ASGI lifespan startup failed"
    assert log.records[-1].exc_info is not None


@pytest.mark.parametrize("required", [False, True])
def test_startup_code_that_raises_fails_where_it_is_required(loop, log, required):
    async def app(scope, receive, send):
        await receive()
        raise ValueError("no database")

    lifespan = LifespanProtocol(app, required)
    loop.run_until_complete(lifespan.startup())
    assert lifespan.errored is required
    assert records(log, logging.ERROR) == ["ASGI lifespan startup raised an exception"]
    assert len(records(log, logging.WARNING)) == (not required)
    loop.run_until_complete(lifespan.shutdown())


def test_who_takes_no_part_in_lifespan_is_served_where_it_is_required(loop, log):
    async def app(scope, receive, send):
        raise NotImplementedError

    lifespan = LifespanProtocol(app, required=True)
    loop.run_until_complete(lifespan.startup())
    assert not lifespan.errored
    assert records(log, logging.ERROR) == []
    loop.run_until_complete(lifespan.shutdown())


def test_no_shutdown_is_sent_after_a_failed_startup(loop):
    seen = []

    async def app(scope, receive, send):
        seen.append(await receive())
        await send({"type": "lifespan.startup.failed"})
        seen.append(await receive())

    live(loop, app)
    assert seen == [{"type": "lifespan.startup"}]


@pytest.mark.parametrize("error", [AssertionError, KeyError, SystemExit])
def test_raising_at_once_means_that_lifespan_is_not_spoken(loop, log, error):
    async def app(scope, receive, send):
        raise error

    lifespan = live(loop, app)
    assert (lifespan.errored, lifespan.supported) == (False, False)
    assert records(log, logging.ERROR) == records(log, logging.WARNING) == []


def test_raising_after_startup_was_received_is_said_aloud(loop, log):
    async def app(scope, receive, send):
        await receive()
        raise ValueError

    lifespan = live(loop, app)
    assert (lifespan.errored, lifespan.supported) == (False, False)
    assert records(log, logging.ERROR) == ["ASGI lifespan startup raised an exception"]
    assert records(log, logging.WARNING) == ["Serving without a completed lifespan startup"]


def test_returning_early_is_a_completed_startup(loop, log):
    async def app(scope, receive, send):
        pass

    lifespan = live(loop, app)
    assert (lifespan.errored, lifespan.supported) == (False, True)
    assert log.records == []


def test_returning_after_startup_needs_no_shutdown(loop):
    async def app(scope, receive, send):
        await receive()
        await send(STARTED)

    live(loop, app, lambda lifespan: loop.run_until_complete(asyncio.sleep(0)))


def test_shutdown_can_fail(loop, log):
    async def app(scope, receive, send):
        await receive()
        await send(STARTED)
        await receive()
        await send({"type": "lifespan.shutdown.failed", "message": "too late"})

    live(loop, app)
    assert records(log, logging.ERROR) == ["ASGI lifespan shutdown failed: too late"]


def test_shutdown_can_raise(loop, log):
    async def app(scope, receive, send):
        await receive()
        await send(STARTED)
        await receive()
        raise ValueError

    live(loop, app)
    assert records(log, logging.ERROR) == ["ASGI lifespan shutdown failed"]


def test_an_application_that_waits_on_after_shutdown_is_cancelled(loop):
    seen = []

    async def app(scope, receive, send):
        await receive()
        await send(STARTED)
        await receive()
        await send(STOPPED)
        try:
            await asyncio.sleep(3600)
        finally:
            seen.append("cancelled")

    live(loop, app)
    assert seen == ["cancelled"]


def test_shutdown_is_received_again_by_who_asks_again(loop):
    seen = []

    async def app(scope, receive, send):
        await receive()
        await send(STARTED)
        seen.append(await receive())
        seen.append(await receive())

    live(loop, app)
    assert seen == [{"type": "lifespan.shutdown"}] * 2


@pytest.mark.parametrize(
    "messages",
    [
        [STOPPED],
        [{"type": "lifespan.shutdown.failed"}],
        [STARTED, STARTED],
        [STARTED, {"type": "lifespan.startup.failed"}],
        [STARTED, STOPPED],
        [{"type": "lifespan.startup"}],
        [{"type": "http.response.start"}],
    ],
)
def test_messages_out_of_order_are_the_applications_error(loop, messages):
    raised = []

    async def app(scope, receive, send):
        await receive()
        for message in messages[:-1]:
            await send(message)
        with pytest.raises(AssertionError) as caught:
            await send(messages[-1])
        raised.append(str(caught.value))

    live(loop, app, lambda lifespan: loop.run_until_complete(asyncio.sleep(0)))
    assert raised == [f"Unexpected ASGI lifespan message: {messages[-1]['type']}"]


def test_a_receiver_that_gives_up_does_not_take_the_shutdown_with_it(loop):
    seen = []

    async def app(scope, receive, send):
        await receive()
        await send(STARTED)
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(receive(), 0.001)
        seen.append("gave up")
        seen.append(await receive())
        await send(STOPPED)

    def between(lifespan):
        while not seen:
            loop.run_until_complete(asyncio.sleep(0.001))

    live(loop, app, between)
    assert seen[1] == {"type": "lifespan.shutdown"}


def test_shutdown_without_startup_is_nothing(loop):
    loop.run_until_complete(LifespanProtocol(lambda *_: None).shutdown())
