"""The opening handshake: what is refused with which status, and what is answered."""

import time

import pytest

from granian.errors import AppError, PeerError
from granian.wire.head import CHUNKED, RequestHead
from granian.wire.websocket.handshake import answer, read_offer, wanted

KEY = b"dGhlIHNhbXBsZSBub25jZQ=="


def head_of(
    *headers, method="GET", version="1.1", upgrade=b"websocket", body=0, key=KEY, number=b"13"
):
    head = RequestHead()
    head.method, head.version, head.upgrade, head.body_length = method, version, upgrade, body
    head.headers = [(b"host", b"here"), *headers]
    if key is not None:
        head.headers.append((b"sec-websocket-key", key))
    if number is not None:
        head.headers.append((b"sec-websocket-version", number))
    return head


@pytest.mark.parametrize(
    ("upgrade", "outcome"),
    [
        (None, False),
        (b"websocket", True),
        (b"h2c, websocket", True),
        (b"h2c", False),
        (b"websocket2", False),
    ],
)
def test_wanted_reads_the_upgrade_list(upgrade, outcome):
    assert wanted(head_of(upgrade=upgrade)) is outcome


def test_sample_of_the_rfc():
    offer = read_offer(head_of(), True)
    assert offer == (KEY, [], None)
    assert answer(offer, None, ()) == [
        (b"upgrade", b"websocket"),
        (b"connection", b"Upgrade"),
        (b"sec-websocket-accept", b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
    ]


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (head_of(method="POST"), 400),
        (head_of(version="1.0"), 400),
        (head_of(body=3), 400),
        (head_of(body=CHUNKED), 400),
        (head_of(key=None), 400),
        (head_of(key=b""), 400),
        (head_of(key=b"dGhlIHNhbXBsZSBub25j"), 400),
        (head_of(key=KEY + b"\n"), 400),
        (head_of(key=b"\xff" * 22 + b"=="), 400),
        (head_of((b"sec-websocket-key", KEY)), 400),
        (head_of(number=None), 426),
        (head_of(number=b"8"), 426),
        (head_of(number=b"13, 8"), 426),
        (head_of((b"sec-websocket-version", b"8")), 426),
    ],
)
def test_refusals(head, status):
    with pytest.raises(PeerError) as caught:
        read_offer(head, True)
    assert caught.value.status == status


def test_on_http2_the_method_is_connect_and_there_is_no_key():
    offer = read_offer(head_of(method="CONNECT", version="2", key=None), True)
    assert offer.key == b""
    assert answer(offer, "chat", ()) == [(b"sec-websocket-protocol", b"chat")]
    with pytest.raises(PeerError):
        read_offer(head_of(version="2"), True)


def test_subprotocols_of_all_fields_in_order():
    offers = (b"sec-websocket-protocol", b" a,b ,, c"), (b"sec-websocket-protocol", b"d")
    assert read_offer(head_of(*offers), True).subprotocols == ["a", "b", "c", "d"]


def test_subprotocols_nobody_can_select_are_left_out():
    offers = (b"sec-websocket-protocol", b"a, \xc3\xa9, b"), (b"sec-websocket-protocol", b"\xff")
    assert read_offer(head_of(*offers), True).subprotocols == ["a", "b"]


def test_endless_lists_take_no_time():
    offers = [(b"sec-websocket-protocol", b"a ," * 133_000)]
    offers.append((b"sec-websocket-extensions", b"a ," * 133_000))
    head = head_of(*offers)
    started = time.process_time()
    assert len(read_offer(head, True).subprotocols) == 133_000
    assert time.process_time() - started < 0.2


def test_compression_is_agreed_on_if_switched_on():
    head = head_of((b"sec-websocket-extensions", b"permessage-deflate"))
    assert read_offer(head, False).deflate is None
    fields = dict(answer(read_offer(head, True), None, ()))
    assert fields[b"sec-websocket-extensions"].startswith(b"permessage-deflate")


def test_application_adds_fields_but_not_those_of_the_handshake():
    given = [
        (b"X-Name", b"1"),
        (b"Connection", b"close"),
        (b"sec-websocket-accept", b"mine"),
        (b"Sec-WebSocket-Protocol", b"b"),
    ]
    offer = read_offer(head_of(), True)
    with_choice = answer(offer, "a", given)
    assert with_choice[3:] == [(b"sec-websocket-protocol", b"a"), (b"X-Name", b"1")]
    assert answer(offer, None, given)[3:] == [given[0], given[3]]


@pytest.mark.parametrize("subprotocol", ["", "a b", "a,b", "a\r\nx: y", "é", b"chat"])
def test_subprotocol_must_be_a_token(subprotocol):
    with pytest.raises(AppError):
        answer(read_offer(head_of(), True), subprotocol, ())
