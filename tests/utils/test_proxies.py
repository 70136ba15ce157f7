import pytest

from granian.rsgi.scope import PeerFacts, Scope
from granian.utils.proxies import (
    TrustedHosts,
    wrap_asgi_with_proxy_headers,
    wrap_rsgi_with_proxy_headers,
    wrap_wsgi_with_proxy_headers,
)
from tests.support.responder import FakeResponder, make_head


@pytest.mark.parametrize(
    ("hosts", "host", "trusted"),
    [
        ("127.0.0.1", "127.0.0.1", True),
        ("127.0.0.1", "127.0.0.2", False),
        ("10.0.0.0/8, ::1", "10.1.2.3", True),
        ("10.0.0.0/8, ::1", "::1", True),
        (["10.0.0.0/8"], "11.0.0.1", False),
        ("10.0.0.0/8", "::ffff:10.0.0.1", True),
        ("10.0.0.1/8", "10.0.0.1", False),
        ("proxy.internal", "proxy.internal", True),
        ("*", None, True),
        (["*"], "anyone", True),
        ("127.0.0.1", None, False),
        ("127.0.0.1", "", False),
        ("127.0.0.1", "not an address", False),
        ("", "127.0.0.1", False),
    ],
)
def test_who_is_trusted(hosts, host, trusted):
    assert (host in TrustedHosts(hosts)) is trusted


CHAINS = [
    ("127.0.0.1", "1.2.3.4", "1.2.3.4"),
    ("127.0.0.1", "6.6.6.6, 1.2.3.4", "1.2.3.4"),
    ("127.0.0.1,10.0.0.0/8", "6.6.6.6, 1.2.3.4, 10.0.0.1", "1.2.3.4"),
    ("127.0.0.1,10.0.0.0/8", "10.0.0.9, 10.0.0.1", "10.0.0.9"),
    ("*", "6.6.6.6, 1.2.3.4", "6.6.6.6"),
    ("127.0.0.1", " , ", None),
]


@pytest.mark.parametrize(("trusted", "forwarded", "client"), CHAINS)
def test_whom_a_chain_speaks_for(trusted, forwarded, client):
    assert TrustedHosts(trusted).client_of(forwarded) == client


def asgi_scope(*headers, kind="http", client=("127.0.0.1", 5)):
    seen = []
    scope = {"type": kind, "headers": list(headers), "client": client}
    scope["scheme"] = "ws" if kind == "websocket" else "http"
    wrap_asgi_with_proxy_headers(lambda *args: seen.extend(args))(scope, "receive", "send")
    assert seen == [scope, "receive", "send"]
    return scope


FOR = (b"x-forwarded-for", b"1.2.3.4")
PROTO = (b"x-forwarded-proto", b"https")


def test_asgi():
    scope = asgi_scope(FOR, PROTO)
    assert (scope["client"], scope["scheme"]) == (("1.2.3.4", 0), "https")


def test_asgi_lines_are_one_list():
    scope = asgi_scope((b"x-forwarded-for", b"6.6.6.6"), FOR)
    assert scope["client"] == ("1.2.3.4", 0)


@pytest.mark.parametrize(
    ("proto", "http", "websocket"),
    [(b"https", "https", "wss"), (b"wss", "https", "wss"), (b"ftp", "http", "ws")],
)
def test_asgi_schemes(proto, http, websocket):
    field = (b"x-forwarded-proto", proto)
    assert asgi_scope(FOR, field)["scheme"] == http
    assert asgi_scope(FOR, field, kind="websocket")["scheme"] == websocket


@pytest.mark.parametrize("client", [("9.9.9.9", 5), None])
def test_asgi_strangers_are_not_believed(client):
    scope = asgi_scope(FOR, PROTO, client=client)
    assert (scope["client"], scope["scheme"]) == (client, "http")


def test_asgi_a_scheme_alone_changes_nothing():
    assert asgi_scope(PROTO)["scheme"] == "http"


def test_asgi_lifespan_passes():
    seen = []
    wrap_asgi_with_proxy_headers(lambda *args: seen.extend(args))({"type": "lifespan"}, 1, 2)
    assert seen == [{"type": "lifespan"}, 1, 2]


def wsgi_environ(**environ):
    environ = {"wsgi.url_scheme": "http", "REMOTE_ADDR": "127.0.0.1", **environ}
    app = wrap_wsgi_with_proxy_headers(lambda environ, start_response: [b"x"])
    assert app(environ, None) == [b"x"]
    return environ["REMOTE_ADDR"], environ["wsgi.url_scheme"]


def test_wsgi():
    fields = {"HTTP_X_FORWARDED_FOR": "6.6.6.6,1.2.3.4", "HTTP_X_FORWARDED_PROTO": "https,http"}
    assert wsgi_environ(**fields) == ("1.2.3.4", "https")
    assert wsgi_environ(**fields, REMOTE_ADDR="9.9.9.9") == ("9.9.9.9", "http")
    assert wsgi_environ(HTTP_X_FORWARDED_PROTO="https") == ("127.0.0.1", "http")
    assert wsgi_environ(**{**fields, "HTTP_X_FORWARDED_PROTO": "wss"}) == ("1.2.3.4", "http")


@pytest.mark.parametrize(("peer", "client"), [("127.0.0.1", "1.2.3.4:0"), ("9.9.9.9", None)])
def test_rsgi(peer, client):
    class Application:
        def __rsgi_init__(self, loop):
            """Kept."""

        def __rsgi__(self, scope, protocol):
            return (scope.client, scope.scheme, protocol)

    app = wrap_rsgi_with_proxy_headers(Application())
    responder = FakeResponder(client=(peer, 5))
    scope = Scope(PeerFacts(responder), make_head(headers=[FOR, PROTO]))
    scheme = "https" if client else "http"
    assert app.__rsgi__(scope, "protocol") == (client or f"{peer}:5", scheme, "protocol")
    assert hasattr(app, "__rsgi_init__")
    assert not hasattr(app, "__rsgi_del__")


def test_rsgi_ipv6():
    app = wrap_rsgi_with_proxy_headers(lambda scope, protocol: scope.client, "::1")
    responder = FakeResponder(client=("::1", 5))
    scope = Scope(PeerFacts(responder), make_head(headers=[(b"x-forwarded-for", b"2001:db8::1")]))
    assert app.__rsgi__(scope, None) == "[2001:db8::1]:0"
