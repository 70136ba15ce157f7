"""Scopes and exchanges, made without a loop: the coroutine is stepped by hand."""

import pytest

from granian.asgi.application import AsgiApplication
from granian.asgi.http import AsgiHttp, LoggedAsgiHttp
from granian.asgi.messages import EXTENSIONS
from tests.support.responder import FakeResponder, make_head


class Peer:
    scheme, server, client, tls = "https", ("127.0.0.1", 8000), ("127.0.0.2", 4711), None


def step(coroutine):
    with pytest.raises(StopIteration):
        coroutine.send(None)


def application(target, lifespan=None, access=None, prefix=""):
    return AsgiApplication(target, None, step, prefix, lifespan, access)


async def nothing(scope, receive, send):
    await send({"type": "http.response.start", "status": 204})
    await send({"type": "http.response.body"})


def test_what_a_connection_shares():
    context = application(nothing, prefix="/api").connect(Peer)
    assert context == {
        "type": "http",
        "scheme": "https",
        "server": ("127.0.0.1", 8000),
        "client": ("127.0.0.2", 4711),
        "root_path": "/api",
        "extensions": {name: {} for name in EXTENSIONS},
    }


def test_a_client_certificate_is_an_extension():
    peer = type("Peer", (Peer,), {"tls": {"client_cert_name": "CN=a"}})
    one = application(nothing)
    assert one.connect(peer)["extensions"]["tls"] == {"client_cert_name": "CN=a"}
    assert "tls" not in one.connect(Peer)["extensions"]


def test_requests_of_a_connection_share_nothing_they_may_write_to():
    scopes = []

    async def target(scope, receive, send):
        scopes.append(scope)
        await nothing(scope, receive, send)

    app = application(target)
    app.state = {"pool": object()}
    responder = FakeResponder()
    responder.context = app.connect(Peer)
    for _ in range(2):
        app.begin(responder, make_head(), b"", True)
    first, second = scopes
    assert first == second
    for key in ("state", "extensions", "asgi", "headers"):
        assert first[key] is not second[key]
    assert first["state"]["pool"] is second["state"]["pool"]


@pytest.mark.parametrize(("access", "kind"), [(None, AsgiHttp), (lambda *_: None, LoggedAsgiHttp)])
def test_the_kind_of_exchange_is_chosen_once(access, kind):
    app = application(nothing, access=access)
    responder = FakeResponder()
    responder.context = app.connect(Peer)
    app.begin(responder, make_head(), b"", True)
    assert type(responder.handler) is kind
