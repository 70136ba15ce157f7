"""One ASGI exchange: every message in every phase, and what the client gets of it."""

import asyncio
import contextvars
import http
import logging
import os

import pytest

from granian.asgi.application import AsgiApplication
from granian.asgi.messages import EXTENSIONS
from granian.engine.tasks import EagerTasks
from granian.errors import AppError
from tests.support.responder import FakeResponder, make_head

START = {"type": "http.response.start", "status": 200, "headers": [(b"x", b"y")]}
BODY = {"type": "http.response.body", "body": b"all"}
MORE = {"type": "http.response.body", "body": b"some", "more_body": True}
LAST = {"type": "http.response.body"}
EVENTS = {**START, "headers": [(b"Content-Type", b"text/event-stream; charset=utf-8")]}
TRAILED = {**START, "trailers": True}
TRAILERS = {"type": "http.response.trailers", "headers": [(b"sum", b"1")]}
HINT = {"type": "http.response.early_hint", "links": [b"</a>", b"</b>"]}
PATH = {"type": "http.response.pathsend", "path": "/nowhere/at/all"}

ERROR_500 = (
    500,
    [(b"content-type", b"text/plain; charset=utf-8")],
    b"Internal server error",
)


@pytest.fixture
def loop():
    loop = asyncio.new_event_loop()
    yield loop
    loop.close()


class Lifespan:
    """What an application takes of its lifespan."""

    state = {"shared": [1]}  # noqa: RUF012 - shared between requests, which is what is tested


class Exchange:
    """One exchange of an application, run turn by turn on a loop of its own."""

    def __init__(self, loop, app, head=None, body=b"", complete=True, access=None, **facts):
        self.loop = loop
        self.tasks = EagerTasks(loop)
        lifespan = None if facts.pop("bare", False) else Lifespan()
        root_path = facts.pop("root_path", "")
        self.application = AsgiApplication(app, loop, self.tasks.spawn, root_path, lifespan, access)
        self.responder = FakeResponder(self.application, **facts)
        head = head or make_head(headers=[(b"host", b"a")])
        self.turn(lambda: self.application.begin(self.responder, head, body, complete))

    @property
    def handler(self):
        return self.responder.handler

    @property
    def names(self):
        return self.responder.names

    def turn(self, *calls):
        """Make calls on the poller's stack, then let the loop do what is scheduled."""

        async def turns():
            for _ in range(4):
                await asyncio.sleep(0)

        for call in calls:
            self.loop.call_soon(call)
        self.loop.run_until_complete(turns())
        return self

    def end(self):
        """What waits is cancelled, so that nothing outlives the test."""
        for task in self.tasks.pending:
            task.cancel()
        self.turn()


@pytest.fixture
def begin(loop):
    made = []

    def begin(app, *args, **facts):
        made.append(Exchange(loop, app, *args, **facts))
        return made[-1]

    yield begin
    for exchange in made:
        exchange.end()


def sends(*messages, log=None):
    """An application that sends these, and writes down how each ended."""

    async def app(scope, receive, send):
        for message in messages:
            try:
                result = await send(message)
            except Exception as error:
                if log is None:
                    raise
                log.append(error)
            else:
                if log is not None:
                    log.append(result)

    return app


def receives(log, count=10):
    async def app(scope, receive, send):
        for _ in range(count):
            log.append(await receive())
            if log[-1]["type"] == "http.disconnect":
                break

    return app


# scope


def scope_of(begin, **facts):
    scopes = []

    async def app(scope, receive, send):
        scopes.append(scope)

    exchange = begin(app, **facts)
    return scopes[0], exchange


def test_scope_of_a_plain_request(begin):
    head = make_head("POST", b"/a%20b?c=d", [(b"host", b"h"), (b"x", b"1"), (b"x", b"2")])
    scope, exchange = scope_of(begin, head=head, root_path="/root")
    state = scope.pop("state")
    assert scope == {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "server": ("127.0.0.1", 8000),
        "client": ("127.0.0.1", 50000),
        "scheme": "http",
        "method": "POST",
        "root_path": "/root",
        "path": "/a b",
        "raw_path": b"/a%20b",
        "query_string": b"c=d",
        "headers": [(b"host", b"h"), (b"x", b"1"), (b"x", b"2")],
        "extensions": {name: {} for name in EXTENSIONS},
    }
    assert state == Lifespan.state
    exchange.application.disconnect(exchange.responder.context)


def test_what_an_application_writes_into_its_scope_stays_there(begin):
    async def app(scope, receive, send):
        scope["state"]["mine"] = scope["asgi"]["mine"] = scope["extensions"]["mine"] = 1
        scope["mine"] = 1

    exchange = begin(app)
    scopes = []

    async def second(scope, receive, send):
        scopes.append(scope)

    exchange.application.target = second
    exchange.turn(
        lambda: exchange.application.begin(exchange.responder, make_head(), b"", complete=True)
    )
    (scope,) = scopes
    parts = scope, scope["state"], scope["asgi"], scope["extensions"]
    assert not any("mine" in part for part in parts)
    assert scope["state"]["shared"] is Lifespan.state["shared"]


def test_without_lifespan_the_state_is_empty(begin):
    assert scope_of(begin, bare=True)[0]["state"] == {}


@pytest.mark.parametrize(
    ("version", "headers", "authority", "first"),
    [
        ("2", [(b"x", b"y")], b"a.b", (b"host", b"a.b")),
        ("1.0", [(b"x", b"y")], None, (b"host", b"")),
        ("2", [(b"host", b"own")], b"other", (b"host", b"own")),
        ("1.1", [(b"x", b"y")], b"a.b", (b"x", b"y")),
    ],
)
def test_a_host_is_there_for_those_who_look(begin, version, headers, authority, first):
    head = make_head(headers=headers, version=version, authority=authority)
    scope, _ = scope_of(begin, head=head)
    assert scope["headers"][0] == first
    assert scope["http_version"] == version


def test_tls_facts_are_an_extension(begin):
    tls = {"tls_version": 0x0304}
    scope, exchange = scope_of(begin, tls=tls, scheme="https")
    assert scope["extensions"]["tls"] == tls
    assert scope["scheme"] == "https"
    exchange.responder.tls = None
    assert "tls" not in exchange.application.connect(exchange.responder)["extensions"]


# the table: every message in every phase

PHASES = {
    "waiting": [],
    "held": [START],
    "streaming": [START, MORE],
    "trailers": [TRAILED, MORE, LAST],
    "done": [START, BODY],
    "done stream": [START, MORE, LAST],
}
MESSAGES = {
    "start": START,
    "body": BODY,
    "more": MORE,
    "pathsend": PATH,
    "trailers": TRAILERS,
    "hint": HINT,
    "unknown": {"type": "http.response.push"},
    "websocket": {"type": "websocket.accept"},
}
UNSUPPORTED = "Unsupported ASGI message"
NOT_STARTED = "ASGI flow error: Response not started"
STARTED = "ASGI flow error: Response already started"
FINISHED = "ASGI flow error: Response already finished"

# (phase, message) -> verbs that follow, or the error's text
TABLE = {
    ("waiting", "start"): [],
    ("waiting", "body"): NOT_STARTED,
    ("waiting", "more"): NOT_STARTED,
    ("waiting", "pathsend"): NOT_STARTED,
    ("waiting", "hint"): ["inform"],
    ("held", "body"): ["respond"],
    ("held", "more"): ["start"],
    ("held", "pathsend"): ["respond"],
    ("held", "hint"): [],
    ("streaming", "body"): ["finish"],
    ("streaming", "more"): ["write"],
    ("streaming", "hint"): [],
    ("trailers", "trailers"): ["finish"],
    ("trailers", "hint"): [],
    ("done", "hint"): [],
    ("done stream", "hint"): [],
    **{
        (phase, message): FINISHED
        for phase in ("streaming", "trailers", "done", "done stream")
        for message in ("body", "more", "pathsend")
        if (phase, message) not in (("streaming", "body"), ("streaming", "more"))
    },
    **{(phase, "start"): STARTED for phase in PHASES if phase != "waiting"},
    **{
        (phase, message): UNSUPPORTED
        for phase in PHASES
        for message in ("trailers", "unknown", "websocket")
        if (phase, message) != ("trailers", "trailers")
    },
}


@pytest.mark.parametrize("message", MESSAGES)
@pytest.mark.parametrize("phase", PHASES)
def test_every_message_in_every_phase(begin, phase, message):
    log = []
    seen = []

    async def app(scope, receive, send):
        await sends(*PHASES[phase])(scope, receive, send)
        seen.extend(exchange_of(send).responder.names)
        await sends(MESSAGES[message], log=log)(scope, receive, send)
        seen.append(exchange_of(send).responder.names[len(seen) :])

    begin(app)
    expected = TABLE[phase, message]
    if isinstance(expected, str):
        assert type(log[0]) is RuntimeError
        assert log[0].args == (expected,)
        assert seen[-1] == []
    else:
        assert log == [None]
        assert seen[-1] == expected


def exchange_of(send):
    return send.__self__


@pytest.mark.parametrize(
    "message",
    [
        None,
        [],
        "http.response.start",
        {},
        {"type": None},
        {"type": "http.response.start"},
        {"type": "http.response.start", "status": 200, "headers": None},
        {"type": "http.response.start", "status": 200, "headers": 5},
    ],
)
def test_messages_of_no_shape(begin, message):
    log = []
    exchange = begin(sends(message, log=log))
    assert log[0].args == (UNSUPPORTED,)
    assert exchange.responder.response == ERROR_500


@pytest.mark.parametrize("body", ["text", None, 5, [b"a"]])
@pytest.mark.parametrize("before", [[START], [START, MORE]])
@pytest.mark.parametrize("more", [True, False])
def test_bodies_that_are_no_octets(begin, body, before, more):
    log = []
    begin(sends(*before, {**BODY, "body": body, "more_body": more}, log=log))
    assert log[-1].args == (UNSUPPORTED,)


@pytest.mark.parametrize("body", [b"abc", bytearray(b"abc"), memoryview(b"abc")])
def test_bodies_in_every_form_of_octets(begin, body):
    exchange = begin(sends(START, {**BODY, "body": body}))
    assert exchange.responder.response == (200, [(b"x", b"y")], b"abc")
    assert type(exchange.responder.response[2]) is bytes


# responses


def test_head_and_body_are_one_response(begin):
    exchange = begin(sends(START, BODY))
    assert exchange.responder.events == [("respond", 200, [(b"x", b"y")], b"all")]


def test_headers_and_body_are_optional(begin):
    exchange = begin(sends({"type": "http.response.start", "status": 204}, LAST))
    assert exchange.responder.response == (204, [], b"")


@pytest.mark.parametrize("make", [tuple, iter, list, dict, lambda pairs: (p for p in pairs)])
@pytest.mark.parametrize("rest", [[BODY], [MORE, LAST]])
def test_headers_in_any_iterable_are_read_once(begin, make, rest):
    exchange = begin(sends({**START, "headers": make([(b"x", b"y")])}, *rest))
    assert exchange.responder.events[0][2] in ([(b"x", b"y")], [b"x"])
    headers = exchange.handler._headers
    assert iter(headers) is not headers


def test_a_status_may_be_an_enum(begin):
    exchange = begin(sends({**START, "status": http.HTTPStatus.CREATED}, BODY))
    assert exchange.responder.response[0] == 201


def test_a_stream_is_started_with_its_first_piece(begin):
    exchange = begin(sends(START, MORE, {**MORE, "body": b""}, {**MORE, "body": b"x"}, BODY))
    assert exchange.responder.events == [
        ("start", 200, [(b"x", b"y")], b"some"),
        ("write", b"x"),
        ("finish", [], b"all"),
    ]


def test_an_empty_end_ends_a_stream(begin):
    assert begin(sends(START, MORE, LAST)).responder.events[-1] == ("finish",)


def test_trailers_follow_the_body(begin):
    more = {**TRAILERS, "headers": ((b"a", b"b") for _ in range(1)), "more_trailers": True}
    exchange = begin(sends(TRAILED, BODY, more, TRAILERS))
    assert exchange.responder.events == [
        ("start", 200, [(b"x", b"y")], b"all"),
        ("finish", [(b"a", b"b"), (b"sum", b"1")], b""),
    ]


def test_trailers_after_a_stream(begin):
    exchange = begin(sends(TRAILED, MORE, BODY, {"type": "http.response.trailers"}))
    assert exchange.names == ["start", "write", "finish"]


def test_early_hints_are_links(begin):
    exchange = begin(sends(HINT, {"type": "http.response.early_hint"}, START, BODY))
    links = [(b"link", b"</a>"), (b"link", b"</b>")]
    assert exchange.responder.events[:2] == [("inform", 103, links), ("inform", 103, [])]


# event streams


def test_the_head_of_an_event_stream_goes_out_before_its_first_event(begin):
    async def app(scope, receive, send):
        await send(EVENTS)
        await receive()
        await receive()

    exchange = begin(app)
    assert exchange.names == ["start"]
    assert exchange.responder.events[0][3] == b""


def test_the_head_of_an_event_stream_goes_out_at_once_after_a_wait(begin):
    async def app(scope, receive, send):
        await asyncio.sleep(0)
        await send(EVENTS)
        assert exchange_of(send).responder.names == ["start"]
        await send(MORE)
        await send(LAST)

    assert begin(app).names == ["start", "write", "finish"]


def test_an_event_stream_that_is_written_at_once_leaves_with_its_first_event(begin):
    assert begin(sends(EVENTS, MORE, LAST)).names == ["start", "finish"]


def test_another_stream_waits_for_its_first_piece(begin):
    async def app(scope, receive, send):
        await send(START)
        await receive()
        await receive()

    assert begin(app).names == []


@pytest.mark.parametrize("headers", [[(b"a",)], [5], [("content-type", "text/event-stream")]])
def test_fields_of_no_shape_are_the_applications_error(begin, headers):
    log = []

    async def app(scope, receive, send):
        await send({**START, "headers": headers})
        await asyncio.sleep(0)
        exchange_of(send).responder.refuse = "a response field is not a pair"
        await sends(BODY, log=log)(scope, receive, send)

    exchange = begin(app)
    assert isinstance(log[0], AppError)
    assert exchange.responder.response == ERROR_500


def test_an_event_stream_with_a_refused_head_is_a_500(begin, caplog):
    async def app(scope, receive, send):
        await send(EVENTS)
        await asyncio.sleep(0)
        exchange_of(send).responder.refuse = "illegal"
        await send(MORE)

    exchange = begin(app, refuse="illegal")
    assert exchange.responder.response == ERROR_500
    assert "raised an exception" in caplog.text


# files


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"file's octets")
    return path


def test_a_file_is_the_body(begin, path):
    exchange = begin(sends(START, {**PATH, "path": str(path)}))
    assert exchange.responder.events == [
        ("respond_file", 200, [(b"x", b"y")], b"file's octets"),
    ]


@pytest.mark.parametrize("name", ["absent", ".", "fifo", "nul\0", "a" * 5000])
def test_what_is_no_readable_file_is_not_found(begin, tmp_path, caplog, name):
    caplog.set_level(logging.INFO, "_granian")
    os.mkfifo(str(tmp_path / "fifo"))
    before = set(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else None
    exchange = begin(sends(START, {**PATH, "path": f"{tmp_path}/{name}"}))
    assert exchange.responder.response[0] == 404
    assert exchange.responder.response[2] == b"Not found"
    assert "Cannot send file" in caplog.text
    if before is not None:
        assert set(os.listdir("/proc/self/fd")) <= before


@pytest.mark.parametrize("message", [{"type": PATH["type"]}, {**PATH, "path": b"/etc/hosts"}])
def test_a_file_without_a_name_is_no_message(begin, message):
    log = []
    begin(sends(START, message, log=log))
    assert log[-1].args == (UNSUPPORTED,)


def test_a_refused_file_response_closes_the_file(begin, path):
    before = set(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else None
    exchange = begin(sends(START, {**PATH, "path": str(path)}), refuse="wrong length")
    assert exchange.responder.response == ERROR_500
    if before is not None:
        assert set(os.listdir("/proc/self/fd")) <= before


# what the responder refuses


def refused(sent):
    return AppError("refused", sent=sent)


def test_a_refused_response_is_a_500(begin, caplog):
    exchange = begin(sends(START, BODY), refuse="illegal")
    assert exchange.responder.events == [("respond", *ERROR_500)]
    assert caplog.text.count("Application callable raised an exception") == 1


def test_an_application_may_answer_again_after_a_refusal(begin):
    log = []
    exchange = begin(sends(START, BODY, BODY, log=log), refuse="illegal")
    assert [type(entry) for entry in log] == [type(None), AppError, type(None)]
    assert exchange.responder.response[0] == 200


def test_a_response_that_was_cut_is_the_only_one(begin):
    log = []
    exchange = begin(sends(START, BODY, log=log), refuse=refused(sent=True))
    assert isinstance(log[1], AppError)
    assert exchange.names == []


def test_a_stream_whose_first_piece_was_cut_is_broken_off(begin):
    exchange = begin(sends(START, MORE), refuse=refused(sent=True))
    assert exchange.names == ["abort"]


def test_a_stream_whose_head_was_refused_is_a_500(begin):
    exchange = begin(sends(START, MORE), refuse=refused(sent=False))
    assert exchange.responder.response == ERROR_500


def test_a_stream_whose_piece_was_cut_is_broken_off(begin):
    async def app(scope, receive, send):
        await sends(START, MORE)(scope, receive, send)
        exchange_of(send).responder.cut = refused(sent=True)
        await send(MORE)

    assert begin(app).names == ["start", "abort"]


def test_a_stream_whose_last_piece_was_cut_is_over(begin):
    received = []

    async def app(scope, receive, send):
        await receive()
        waiting = asyncio.ensure_future(receive())
        await sends(START, MORE)(scope, receive, send)
        await asyncio.sleep(0)
        exchange_of(send).responder.cut = refused(sent=True)
        with pytest.raises(AppError):
            await send(LAST)
        received.append(await waiting)

    exchange = begin(app)
    assert exchange.names == ["start"]
    assert received == [{"type": "http.disconnect"}]


def test_refused_trailers_break_the_stream_off(begin):
    async def app(scope, receive, send):
        await sends(TRAILED, BODY)(scope, receive, send)
        exchange_of(send).responder.cut = refused(sent=False)
        await send(TRAILERS)

    assert begin(app).names == ["start", "abort"]


# receive


def request(body, more):
    return {"type": "http.request", "body": body, "more_body": more}


def test_a_body_at_hand_is_one_message_and_then_receive_waits(begin):
    log = []
    exchange = begin(receives(log), body=b"body")
    assert log == [request(b"body", more=False)]
    assert exchange.names == []
    exchange.turn(exchange.handler.on_disconnect)
    assert log[1:] == [{"type": "http.disconnect"}]


def test_no_body_is_one_empty_message(begin):
    log = []
    begin(receives(log, 1))
    assert log == [request(b"", more=False)]


def test_a_body_in_pieces(begin):
    log = []
    exchange = begin(receives(log, 3), body=b"one", complete=False)
    assert log == [request(b"one", more=True)]
    assert exchange.responder.events == [("want_body", 3)]
    exchange.turn(lambda: exchange.handler.on_body(b"two", last=False))
    assert log[1:] == [request(b"two", more=True)]
    exchange.turn(lambda: exchange.handler.on_body(b"", last=True))
    assert log[2:] == [request(b"", more=False)]
    assert exchange.responder.events[1] == ("want_body", 3)


def test_pieces_that_nobody_awaited_are_joined(begin, loop):
    log = []
    gate = loop.create_future()

    async def app(scope, receive, send):
        await gate
        log.append(await receive())

    exchange = begin(app, body=b"a", complete=False)
    exchange.turn(lambda: exchange.handler.on_body(b"b", last=False))
    exchange.turn(lambda: exchange.handler.on_body(b"c", last=True))
    exchange.turn(lambda: gate.set_result(None))
    assert log == [request(b"abc", more=False)]


def test_the_task_resumes_on_the_stack_that_brings_the_body(begin):
    log = []
    exchange = begin(receives(log, 1), complete=False)
    exchange.turn(lambda: (exchange.handler.on_body(b"x", last=True), log.append("after")))
    assert log == [request(b"x", more=False), "after"]


def test_a_disconnect_in_the_body(begin):
    log = []
    exchange = begin(receives(log), complete=False)
    exchange.turn(exchange.handler.on_disconnect)
    assert log == [{"type": "http.disconnect"}]


def test_a_disconnect_behind_a_piece_comes_after_it(begin):
    log = []

    async def app(scope, receive, send):
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        await receives(log)(scope, receive, send)

    exchange = begin(app, body=b"part", complete=False)
    exchange.turn(exchange.handler.on_disconnect)
    exchange.turn()
    assert log == [request(b"part", more=True), {"type": "http.disconnect"}]


def test_disconnect_is_repeated(begin):
    log = []

    async def app(scope, receive, send):
        log.extend([(await receive())["type"] for _ in range(4)])

    exchange = begin(app)
    exchange.turn(exchange.handler.on_disconnect)
    assert log == ["http.request", *["http.disconnect"] * 3]


@pytest.mark.parametrize(
    "messages", [[START, BODY], [START, MORE, LAST], [TRAILED, BODY, TRAILERS]]
)
def test_the_end_of_the_response_is_a_disconnect_for_who_waits(begin, messages):
    log = []

    async def app(scope, receive, send):
        await receive()
        waiting = asyncio.ensure_future(receive())
        await asyncio.sleep(0)
        await sends(*messages)(scope, receive, send)
        log.append(await waiting)
        log.append(await receive())

    begin(app)
    assert log == [{"type": "http.disconnect"}] * 2


def test_concurrent_receivers_share_the_body(begin):
    log = []

    async def app(scope, receive, send):
        async def one(name):
            log.append((name, (await receive())["body"]))

        await asyncio.gather(one("a"), one("b"))

    exchange = begin(app, complete=False)
    exchange.turn(lambda: exchange.handler.on_body(b"1", last=False))
    assert log == [("a", b"1")]
    exchange.turn(lambda: exchange.handler.on_body(b"2", last=True))
    assert log == [("a", b"1"), ("b", b"2")]


def test_a_cancelled_receiver_leaves_the_body_to_the_next(begin):
    log = []

    async def app(scope, receive, send):
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(receive(), 0.001)
        log.append("cancelled")
        log.append(await receive())

    exchange = begin(app, complete=False)
    while not log:
        exchange.turn()
    exchange.turn(lambda: exchange.handler.on_body(b"x", last=True))
    assert log == ["cancelled", request(b"x", more=False)]


def test_cancellation_passes_through_receive(begin):
    log = []

    async def app(scope, receive, send):
        await receive()
        try:
            await receive()
        except asyncio.CancelledError:
            log.append("cancelled")
            raise

    exchange = begin(app)
    (task,) = exchange.tasks.pending
    exchange.turn(task.cancel)
    assert log == ["cancelled"]
    assert exchange.names == ["respond"]
    assert not exchange.tasks.pending


# backpressure and clients that leave


def test_send_waits_for_a_slow_client(begin):
    log = []
    exchange = begin(sends(START, MORE, MORE, LAST, log=log), blocked=True)
    assert len(log) == 1
    exchange.turn(exchange.handler.on_writable)
    assert len(log) == 2
    exchange.turn(exchange.handler.on_writable)
    assert len(log) == 4
    assert exchange.names == ["start", "write", "finish"]


def test_send_waits_no_longer_when_the_client_leaves(begin):
    log = []
    exchange = begin(sends(START, MORE, MORE, BODY, START, log=log), blocked=True)
    exchange.responder.closed = True
    exchange.turn(exchange.handler.on_disconnect)
    assert log == [None] * 5, "sending to nobody is no error"
    assert exchange.names[-1] == "finish"


def test_send_still_waits_for_a_client_that_only_ended_its_own_stream(begin):
    log = []
    exchange = begin(sends(START, MORE, MORE, BODY, log=log), blocked=True)
    exchange.turn(exchange.handler.on_disconnect)
    assert len(log) == 1
    exchange.turn(exchange.handler.on_writable)
    assert len(log) == 2
    exchange.turn(exchange.handler.on_writable)
    assert exchange.names == ["start", "write", "finish"]


def test_all_concurrent_senders_go_on(begin):
    log = []

    async def app(scope, receive, send):
        await send(START)
        await asyncio.gather(*[sends(MORE, log=log)(scope, receive, send) for _ in range(3)])
        await send(LAST)

    exchange = begin(app, blocked=True)
    assert log == []
    exchange.turn(exchange.handler.on_writable)
    assert log == [None] * 3
    assert exchange.names[-1] == "finish"


def test_a_cancelled_sender_leaves_the_others_waiting(begin):
    log = []

    async def app(scope, receive, send):
        await send(START)
        first = asyncio.ensure_future(sends(MORE, log=log)(scope, receive, send))
        second = asyncio.ensure_future(sends(MORE, log=log)(scope, receive, send))
        await asyncio.sleep(0)
        first.cancel()
        await second
        await send(LAST)

    exchange = begin(app, blocked=True)
    exchange.turn(exchange.handler.on_writable)
    assert log == [None]
    assert exchange.names[-1] == "finish"


def test_writable_without_a_sender_is_nothing(begin):
    log = []
    exchange = begin(receives(log, 2))
    exchange.turn(exchange.handler.on_writable)
    assert len(log) == 1


# how it ends


class Failure(BaseException):
    """Anything an application may raise."""


def raises(*messages, error=Failure):
    async def app(scope, receive, send):
        await sends(*messages)(scope, receive, send)
        raise error

    return app


@pytest.mark.parametrize("error", [Failure, ValueError, SystemExit, asyncio.CancelledError])
@pytest.mark.parametrize("messages", [[], [START], [HINT]])
def test_raising_before_the_body_is_a_500(begin, caplog, messages, error):
    exchange = begin(raises(*messages, error=error))
    assert exchange.responder.response == ERROR_500
    assert caplog.text.count("Application callable raised an exception") == 1
    assert caplog.text.count("Traceback") == 1


def test_raising_in_a_stream_breaks_it_off(begin, caplog):
    exchange = begin(raises(START, MORE))
    assert exchange.names == ["start", "abort"]
    assert "raised an exception" in caplog.text


def test_raising_after_the_end_is_logged_alone(begin, caplog):
    exchange = begin(raises(START, BODY))
    assert exchange.names == ["respond"]
    assert "raised an exception" in caplog.text


@pytest.mark.parametrize(
    ("messages", "verbs"),
    [([], ["respond"]), ([START], ["respond"]), ([START, MORE], ["start", "abort"])],
)
def test_returning_too_early_is_said(begin, caplog, messages, verbs):
    exchange = begin(sends(*messages))
    assert exchange.names == verbs
    assert "returned before its response was complete" in caplog.text


def test_returning_after_the_client_left_is_nobodys_error(begin, caplog):
    exchange = begin(receives([]))
    exchange.turn(exchange.handler.on_disconnect)
    assert exchange.names == ["respond"], "the exchange is ended all the same"
    assert caplog.text == ""


def test_a_call_that_is_no_coroutine_is_a_500(begin, caplog):
    exchange = begin(lambda scope, receive, send: None)
    assert exchange.responder.response == ERROR_500
    assert "raised an exception" in caplog.text


def test_a_complete_response_needs_no_end(begin, caplog):
    begin(sends(START, BODY))
    assert caplog.text == ""


def test_the_application_runs_in_a_context_of_its_own(begin, loop):
    variable = contextvars.ContextVar("variable", default="outside")
    seen = []

    async def app(scope, receive, send):
        variable.set("inside")
        await asyncio.sleep(0)
        seen.append(variable.get())

    begin(app)
    loop.call_soon(lambda: seen.append(variable.get()))
    loop.run_until_complete(asyncio.sleep(0))
    assert seen == ["inside", "outside"]


# access lines


@pytest.fixture
def lines():
    return []


def access_to(lines):
    return lambda wall, began, request, status: lines.append((wall, began, request, status))


@pytest.mark.parametrize(
    ("app", "status"),
    [
        (sends({**START, "status": 201}, BODY), 201),
        (sends({**START, "status": 202}, MORE, LAST), 202),
        (sends(START), 500),
        (raises(), 500),
        (raises(START), 500),
        (raises(START, MORE), 200),
        (sends(START, PATH), 200),
    ],
)
def test_one_line_for_every_exchange(begin, lines, app, status):
    head = make_head("GET", b"/p?q", [(b"host", b"a")])
    exchange = begin(app, head=head, access=access_to(lines))
    ((wall, began, request, logged),) = lines
    assert logged == status
    assert wall > began
    assert request == {
        "addr_remote": "127.0.0.1",
        "protocol": "HTTP/1.1",
        "path": "/p",
        "qs": b"q",
        "method": "GET",
        "scheme": "http",
        "headers": [(b"host", b"a")],
        "responder": exchange.responder,
    }


def test_the_line_comes_when_the_application_has_finished(begin, lines):
    exchange = begin(receives([]), access=access_to(lines), client=None)
    assert lines == []
    exchange.turn(exchange.handler.on_disconnect)
    assert lines[0][2]["addr_remote"] == ""
