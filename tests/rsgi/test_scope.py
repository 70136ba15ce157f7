import pytest

from granian.rsgi.scope import Headers, PeerFacts, Scope, WebsocketScope, address_text
from tests.support.responder import FakeResponder, make_head

REPEATED = [(b"a", b"1"), (b"b", b"2"), (b"a", b"3"), (b"c", b"caf\xe9")]


def test_reading_by_name():
    headers = Headers(REPEATED)
    assert headers["A"] == headers.get("a") == "1"
    assert headers.get("C") == "café"
    assert headers.get("nothing") is None
    assert headers.get("nothing", "default") == "default"
    assert headers.get_all("A") == ["1", "3"]
    assert headers.get_all("nothing") == []
    assert "B" in headers
    assert "nothing" not in headers
    assert 1 not in headers
    with pytest.raises(KeyError, match="nothing"):
        headers["nothing"]


def test_names_that_cannot_be_fields_are_absent():
    headers = Headers(REPEATED)
    assert headers.get("имя") is None
    assert headers.get_all("имя") == []


def test_repeats_are_grouped_at_their_first_position():
    headers = Headers(REPEATED)
    assert headers.keys() == list(headers) == ["a", "b", "c"]
    assert headers.items() == [("a", "1"), ("a", "3"), ("b", "2"), ("c", "café")]
    assert headers.values() == ["1", "3", "2", "café"]
    assert len(headers) == 3


def test_without_repeats_the_wire_order_stays():
    headers = Headers([(b"b", b"1"), (b"a", b"2")])
    assert dict(headers.items()) == {"b": "1", "a": "2"}
    assert len(Headers([])) == 0
    assert not Headers([]).items()


def test_headers_cannot_be_changed():
    headers = Headers(REPEATED)
    for name in ("setdefault", "pop", "update", "__setitem__"):
        assert not hasattr(headers, name)


def test_headers_show_themselves():
    assert repr(Headers([(b"a", b"1")])) == "Headers([('a', '1')])"


def scope_of(kind=Scope, responder=None, **facts):
    return kind(PeerFacts(responder or FakeResponder()), make_head(**facts))


def test_a_request_as_the_document_describes_it():
    scope = scope_of(target=b"/a%20b?test=true&x=%20", headers=[(b"host", b"localhost")])
    assert (scope.proto, scope.rsgi_version, scope.http_version) == ("http", "1.6", "1.1")
    assert (scope.client, scope.server) == ("127.0.0.1:50000", "127.0.0.1:8000")
    assert (scope.scheme, scope.method) == ("http", "GET")
    assert (scope.path, scope.query_string) == ("/a b", "test=true&x=%20")
    assert scope.headers["host"] == "localhost"
    assert scope.headers is scope.headers
    assert not scope.authority
    assert repr(scope) == "<Scope GET /a b>"


@pytest.mark.parametrize(("version", "shown"), [("1.0", "1"), ("1.1", "1.1"), ("2", "2")])
def test_versions(version, shown):
    assert scope_of(version=version).http_version == shown


def test_authority_of_the_target():
    assert scope_of(version="2", authority=b"example.org").authority == "example.org"


def test_octets_that_do_not_decode():
    assert scope_of(target=b"/%c0").path == "/\ufffd"


@pytest.mark.parametrize(
    "name",
    [
        name
        for name in dir(Scope)
        if not name.startswith("_") and name not in ("forward", "log_atoms")
    ],
)
@pytest.mark.parametrize("kind", [Scope, WebsocketScope])
def test_attributes_cannot_be_assigned(kind, name):
    with pytest.raises(AttributeError):
        setattr(scope_of(kind), name, "x")


def test_a_websocket_is_a_get_over_http_schemes():
    scope = scope_of(WebsocketScope, FakeResponder(scheme="https"), method="CONNECT", version="2")
    assert (scope.proto, scope.scheme, scope.method) == ("ws", "https", "GET")


@pytest.mark.parametrize(
    ("address", "text"),
    [
        (("10.0.0.1", 80), "10.0.0.1:80"),
        (("::1", 8000), "[::1]:8000"),
        (("/run/app.sock", 0), "/run/app.sock"),
        (("", 0), ""),
        (None, ""),
    ],
)
def test_addresses(address, text):
    assert address_text(address) == text


def test_what_the_access_line_may_name():
    scope = scope_of(target=b"/p?q", headers=[(b"a", b"1")])
    expected = {
        "addr_remote": "127.0.0.1",
        "protocol": "HTTP/1.1",
        "path": "/p",
        "qs": b"q",
        "method": "GET",
        "scheme": "http",
        "headers": [(b"a", b"1")],
    }
    assert scope.log_atoms() == expected
    assert scope.headers["a"] == "1"
    assert scope.log_atoms() == expected
    scope.forward("[2001:db8::1]:0", "https")
    assert scope.log_atoms() == {**expected, "addr_remote": "2001:db8::1", "scheme": "https"}
