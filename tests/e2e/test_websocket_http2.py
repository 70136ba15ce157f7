"""WebSockets on streams of HTTP/2 (RFC 8441), driven by h2, and by a browser over TLS."""

import json
import os
import signal
import socket

import h2.config
import h2.connection
import h2.events
import pytest

from granian.plan import TlsPlan, WebsocketPlan
from granian.wire.websocket.frames import MAX_FRAGMENTS
from tests.apps import sockets as app
from tests.support.browser import needs_chromium, opened
from tests.support.certs import CERTS
from tests.support.modes import ASYNC, serving
from tests.support.scrape import ScrapedServer
from tests.support.servers import EngineServer, GranianServer, wait_until

from ..wire.websocket.peer import BINARY, CONTINUATION, PING, TEXT, close, frame, parse

CONNECT = [
    (":method", "CONNECT"),
    (":protocol", "websocket"),
    (":scheme", "http"),
    (":path", "/"),
    (":authority", "here"),
    ("sec-websocket-version", "13"),
]


@pytest.fixture(params=["asgi", "rsgi"])
def interface(request):
    return request.param


@pytest.fixture(params=["one thread", "one runtime of two"])
def server(request, interface):
    with serving(getattr(app, interface), interface, ASYNC[request.param]) as running:
        yield running


@pytest.fixture
def asgi():
    with EngineServer(app.asgi) as running:
        yield running


@pytest.fixture(autouse=True)
def forget():
    app.SEEN.clear()


class Tunnels:
    """An HTTP/2 connection whose streams are WebSockets."""

    def __init__(self, address):
        self.sock = socket.create_connection(address, timeout=10)
        config = h2.config.H2Configuration(client_side=True, header_encoding="utf-8")
        self.h2 = h2.connection.H2Connection(config)
        self.h2.initiate_connection()
        self.headers, self.data, self.ended, self.gone = {}, {}, {}, False
        while not self.h2.remote_settings.enable_connect_protocol:
            self.step()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.close()

    def flush(self):
        self.sock.sendall(self.h2.data_to_send())

    def step(self):
        self.flush()
        octets = self.sock.recv(65_536)
        assert octets, "the connection ended"
        for event in self.h2.receive_data(octets):
            number = getattr(event, "stream_id", None)
            if isinstance(event, h2.events.ResponseReceived):
                self.headers[number] = dict(event.headers)
            elif isinstance(event, h2.events.DataReceived):
                self.data[number] = self.data.get(number, b"") + event.data
                self.h2.acknowledge_received_data(event.flow_controlled_length, number)
            elif isinstance(event, h2.events.StreamEnded):
                self.ended[number] = "end"
            elif isinstance(event, h2.events.StreamReset):
                self.ended[number] = event.error_code
            elif isinstance(event, h2.events.ConnectionTerminated):
                self.gone = True
        self.flush()

    def open(self, *fields, **changes):
        number = self.h2.get_next_available_stream_id()
        request = [(name, changes.get(name[1:], value)) for name, value in CONNECT]
        self.h2.send_headers(number, request + list(fields))
        while number not in self.headers:
            self.step()
        return number

    def send(self, number, octets, end=False):
        while octets or end:
            room = min(self.h2.local_flow_control_window(number), self.h2.max_outbound_frame_size)
            if octets and not room:
                self.step()
                continue
            piece, octets = octets[:room], octets[room:]
            self.h2.send_data(number, piece, end_stream=end and not octets)
            self.flush()
            if not octets:
                return

    def read(self, number, size):
        while len(self.data.get(number, b"")) < size:
            self.step()
        octets, self.data[number] = self.data[number][:size], self.data[number][size:]
        return octets

    def wait_end(self, number):
        while number not in self.ended:
            self.step()
        return self.ended[number], self.data.get(number, b"")


def test_messages_on_two_streams(server):
    with Tunnels(server.address) as client:
        one, two = client.open(), client.open()
        assert client.headers[one][":status"] == "200"
        assert "sec-websocket-accept" not in client.headers[one]
        for _ in range(2):
            client.send(one, frame(TEXT, "one"))
            client.send(two, frame(BINARY, b"second") + frame(PING, b"p"))
            assert parse(client.read(one, 5)) == [(0x81, b"one")]
            assert sorted(parse(client.read(two, 11))) == [(0x82, b"second"), (0x8A, b"p")]
        client.send(one, close(4000, b"bye"))
        ended, octets = client.wait_end(one)
        assert (ended, parse(octets)) == ("end", [(0x88, b"\x0f\xa0")])
        client.send(two, frame(TEXT, "alive"))
        assert parse(client.read(two, 7)) == [(0x81, b"alive")]
    # An RSGI application is told of the peer's close, not of the lost transport.
    wait_until(lambda: len(app.SEEN) == (2 if server.plan.interface == "asgi" else 1))


def test_a_message_larger_than_every_window(server):
    message = os.urandom(3 << 20)
    with Tunnels(server.address) as client:
        number = client.open()
        client.send(number, frame(BINARY, message))
        [(first, echoed)] = parse(client.read(number, len(message) + 10))
        assert first == 0x82
        assert echoed == message


def test_subprotocol_headers_and_compression(asgi):
    with Tunnels(asgi.address) as client:
        number = client.open(
            ("sec-websocket-protocol", "a, b"),
            ("sec-websocket-extensions", "permessage-deflate"),
            path="/sub",
        )
        headers = client.headers[number]
        assert headers["sec-websocket-protocol"] == "b"
        assert headers["x-path"] == "/sub"
        assert headers["sec-websocket-extensions"].startswith("permessage-deflate")
        client.send(number, frame(TEXT, "x" * 1000))
        assert client.read(number, 1) == b"\xc1"


@pytest.mark.parametrize(
    ("changes", "fields", "status"),
    [
        ({"path": "/refuse"}, (), "403"),
        ({"protocol": "connect-udp"}, (), "501"),
        ({}, [("sec-websocket-version", "8")], "426"),
    ],
)
def test_refusals(asgi, changes, fields, status):
    with Tunnels(asgi.address) as client:
        number = client.open(*fields, **changes)
        assert client.headers[number][":status"] == status


def test_the_application_closes(asgi):
    with Tunnels(asgi.address) as client:
        number = client.open(path="/close")
        assert parse(client.read(number, 10)) == [(0x88, b"\x0f\xa2enough")]
        client.send(number, close(4002))
        assert client.wait_end(number)[0] == "end"
    wait_until(lambda: app.SEEN == [("/close", 4002, "enough")])


@pytest.mark.parametrize("how", ["reset", "end", "connection"])
def test_a_peer_that_leaves_is_1006(asgi, how):
    with Tunnels(asgi.address) as client:
        number = client.open()
        client.send(number, frame(TEXT, "x"))
        client.read(number, 3)
        if how == "reset":
            client.h2.reset_stream(number, 8)
            client.flush()
        elif how == "end":
            client.send(number, b"", end=True)
            assert client.wait_end(number)[0] == 8
        else:
            client.sock.close()
        wait_until(lambda: app.SEEN == [("/", 1006, "")], 2)


def test_breaches_have_their_code(asgi):
    with Tunnels(asgi.address) as client:
        number = client.open()
        client.send(number, frame(TEXT, b"\xff"))
        ended, octets = client.wait_end(number)
        assert parse(octets) == [(0x88, b"\x03\xef")]
        assert ended == "end"
    wait_until(lambda: app.SEEN == [("/", 1007, "")])


@pytest.mark.parametrize(("interface", "method"), [("asgi", "-"), ("rsgi", "GET")])
def test_the_access_log_and_the_metrics_know_them(interface, method):
    pytest.importorskip("prometheus_client")

    def counted():
        scraped = server.scrape()
        return [scraped.get(name) for name in ("websockets_handled", "websockets_err")]

    app_path = f"tests.apps.sockets:{interface}"
    with ScrapedServer(app_path, interface, access_log=True) as server:
        wait_until(lambda: counted() == [0, 0], 10)
        with Tunnels(server.address) as client:
            lasting, breaking = client.open(path="/lasting"), client.open()
            client.open(path="/refuse")
            client.send(breaking, frame(3))
            assert parse(client.wait_end(breaking)[1]) == [(0x88, b"\x03\xea")]
            wait_until(lambda: counted() == [2, 1], 10)
            server.wait_line(f'"{method} /lasting HTTP/2" 101 ')
            server.wait_line(f'"{method} /refuse HTTP/2" 40[34] ')
            assert lasting not in client.ended


def test_the_largest_number_of_fragments():
    with EngineServer(app.asgi) as server, Tunnels(server.address) as client:
        number = client.open()
        client.send(number, frame(BINARY, b"", fin=False))
        client.send(number, frame(CONTINUATION, b"", fin=False) * MAX_FRAGMENTS)
        ended, octets = client.wait_end(number)
        assert (ended, parse(octets)) == ("end", [(0x88, b"\x03\xf1")])
    wait_until(lambda: app.SEEN == [("/", 1009, "")])


def test_an_application_that_raises_is_1011(server):
    with Tunnels(server.address) as client:
        number = client.open()
        client.send(number, frame(TEXT, "raise"))
        assert parse(client.read(number, 4)) == [(0x88, b"\x03\xf3")]
        client.send(number, close(1011))
        assert client.wait_end(number)[0] == "end"


def test_pings_that_nobody_answers():
    plan = WebsocketPlan(ping_interval=0.1, ping_timeout=0.2)
    with EngineServer(app.asgi, websocket=plan) as server, Tunnels(server.address) as client:
        number = client.open()
        ended, octets = client.wait_end(number)
        assert ended == 8
        assert parse(octets) == [(0x89, b"")]


def test_an_application_that_does_not_receive_stops_the_peer(asgi):
    with Tunnels(asgi.address) as client:
        number = client.open(path="/sleep")
        message, sent = frame(BINARY, bytes(16_000)), 0
        client.sock.settimeout(0.5)
        try:
            while sent < 64 << 20:
                client.send(number, message)
                sent += len(message)
        except socket.timeout:  # another class before 3.10
            pass
        assert sent < 4 << 20


def test_shutdown_tells_every_client():
    with GranianServer("tests.apps.sockets:asgi") as server:
        with Tunnels((server.host, server.port)) as client:
            numbers = [client.open() for _ in range(10)]
            server.send_signal(signal.SIGTERM)
            # h2 takes no frames after a GOAWAY, so these are read by hand.
            octets, told = b"", set()
            while told != set(numbers):
                octets += client.sock.recv(65_536)
                while len(octets) >= 9 and len(octets) >= 9 + int.from_bytes(octets[:3], "big"):
                    end = 9 + int.from_bytes(octets[:3], "big")
                    if octets[3] == 0 and octets[9:end] == b"\x88\x02\x03\xf4":
                        told.add(int.from_bytes(octets[5:9], "big"))
                    octets = octets[end:]
        assert server.wait() == 0
        assert "Traceback" not in server.log


@needs_chromium
def test_a_browser_over_tls(tmp_path):
    plan = TlsPlan(str(CERTS / "server.pem"), str(CERTS / "server-key.pem"))
    with EngineServer(app.asgi, tls=plan) as server, opened(
        tmp_path, f"https://localhost:{server.address[1]}/"
    ):
        wait_until(lambda: len(app.SEEN) == 2, 60, "the browser's report")
    report = json.loads({path: facts for path, facts, _ in app.SEEN}["/report"])
    assert report[0] == "chat"
    assert report[2:] == ["grün", 70_000, 7, 4001, True]
    assert app.VERSIONS["/sub"] == "2"
