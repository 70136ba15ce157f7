import socket
import ssl
import struct
from pathlib import Path
from types import SimpleNamespace

import pytest

from granian.engine.poller import Newcomer
from granian.engine.tls import (
    CLOSED,
    SHAKING,
    TlsContext,
    TlsHandshake,
    check,
    create_context,
)
from granian.errors import UnusableError
from granian.plan import TlsPlan, WorkerPlan
from granian.wire.http2.codes import PREFACE, SETTINGS, frame
from tests.support.certs import path
from tests.support.engine import ScriptedRuntime
from tests.support.wire import tcp_pair

PLAN = TlsPlan(path("server"), path("server-key"))


@pytest.mark.parametrize(
    ("setting", "plan", "words"),
    [
        (
            "ssl_certificate",
            PLAN._replace(certificate="/nowhere.pem"),
            "Cannot read the certificate /nowhere.pem",
        ),
        ("ssl_keyfile", PLAN._replace(keyfile="/nowhere.pem"), "Cannot read the key /nowhere.pem"),
        (
            "ssl_certificate",
            PLAN._replace(certificate=path("server-key")),
            "There is no certificate in",
        ),
        ("ssl_keyfile", PLAN._replace(keyfile=path("ca")), "There is no private key in"),
        (
            "ssl_keyfile",
            PLAN._replace(keyfile=path("other-key")),
            "does not belong to the certificate",
        ),
        (
            "ssl_keyfile",
            PLAN._replace(keyfile=path("server-key-encrypted")),
            "is encrypted and no password.* by ssl_keyfile_password",
        ),
        (
            "ssl_keyfile_password",
            PLAN._replace(keyfile=path("server-key-encrypted"), password="wrong"),
            "The password does not open the key",
        ),
        (
            "ssl_keyfile_password",
            PLAN._replace(keyfile=path("server-key-encrypted"), password="long" * 500),
            "The password does not open the key",
        ),
        (
            "ssl_client_verify",
            PLAN._replace(client_verify=True),
            "without certificate authorities.* by ssl_ca",
        ),
        ("ssl_ca", PLAN._replace(ca="/nowhere.pem"), "Cannot read the certificate authorities"),
        ("ssl_ca", PLAN._replace(ca=path("server-key")), "Cannot use the certificate authorities"),
        ("ssl_ca", PLAN._replace(ca=path("crl")), "Cannot use the certificate authorities"),
        (
            "ssl_crl",
            PLAN._replace(ca=path("ca"), crl=(path("server-key"),)),
            "Cannot use the revocation",
        ),
        ("ssl_crl", PLAN._replace(ca=path("ca"), crl=(path("ca"),)), "Cannot use the revocation"),
    ],
)
def test_what_is_wrong_is_said_in_words(setting, plan, words):
    with pytest.raises(UnusableError, match=words) as raised:
        check(plan)
    assert raised.value.setting == setting
    assert raised.value.__cause__ is None


@pytest.mark.parametrize("chain", [False, True])
def test_a_broken_certificate(tmp_path, chain):
    """The key beside it is in order: it is the certificate that is blamed."""
    broken = tmp_path / "broken.pem"
    text = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
    broken.write_text(Path(path("server")).read_text() + text if chain else text)
    with pytest.raises(UnusableError, match=r"The certificate in .* cannot be used") as raised:
        check(PLAN._replace(certificate=str(broken)))
    assert raised.value.setting == "ssl_certificate"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "cannot be used: it is"),
        # Of another kind than the certificate's: the example of RFC 8410 section 10.3
        (
            "-----BEGIN PRIVATE KEY-----\n"
            "MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n"
            "-----END PRIVATE KEY-----\n",
            "does not belong to the certificate",
        ),
    ],
)
def test_a_key_that_is_broken_or_of_another_kind(tmp_path, text, words):
    key = tmp_path / "key.pem"
    key.write_text(text)
    with pytest.raises(UnusableError, match=f"The key in .* {words}") as raised:
        check(PLAN._replace(keyfile=str(key)))
    assert raised.value.setting == "ssl_keyfile"


def test_a_certificate_too_weak_to_be_used(monkeypatch):
    """OpenSSL can read it and says what it minds: no fault of the key's."""

    def refuse(*_):
        error = ssl.SSLError(1, "[SSL: EE_KEY_TOO_SMALL] ee key too small")
        error.reason = "EE_KEY_TOO_SMALL"
        raise error

    monkeypatch.setattr(TlsContext, "load_cert_chain", refuse)
    with pytest.raises(UnusableError, match="cannot be used: ee key too small") as raised:
        check(PLAN)
    assert raised.value.setting == "ssl_certificate"


def test_an_encrypted_key_with_its_password():
    check(PLAN._replace(keyfile=path("server-key-encrypted"), password="foobar"))


def test_a_context():
    context = create_context(PLAN, "auto")
    assert context.minimum_version == ssl.TLSVersion.TLSv1_3
    assert context.options & ssl.OP_NO_COMPRESSION
    assert context.options & ssl.OP_NO_RENEGOTIATION
    assert context.verify_mode == ssl.CERT_NONE
    assert context.certificate.startswith("-----BEGIN CERTIFICATE-----")
    names = [cipher["name"] for cipher in context.get_ciphers()]
    assert all("GCM" in name or "CHACHA" in name for name in names)
    assert context.suites["TLS_AES_128_GCM_SHA256"] == 0x1301


def test_client_certificates_and_lists():
    context = create_context(PLAN._replace(ca=path("ca"), crl=(path("crl"),)), "auto")
    assert context.verify_mode == ssl.CERT_OPTIONAL
    assert context.verify_flags & ssl.VERIFY_CRL_CHECK_LEAF
    context = create_context(PLAN._replace(ca=path("ca"), client_verify=True), "auto")
    assert context.verify_mode == ssl.CERT_REQUIRED


class Peer:
    """A TLS client on one end of a pair, a handshake of ours on the other."""

    def __init__(self, plan=PLAN, http="auto", script=None, alpn=None, cert=None, **context):
        ours, self.sock = socket.socketpair()
        ours.setblocking(False)
        self.sock.setblocking(False)
        self.runtime = ScriptedRuntime(script, WorkerPlan(tls=plan, http=http))
        self.runtime.engine = self
        self.tls = create_context(plan, http)
        self.client = ssl.create_default_context(cafile=path("ca"))
        for name, value in context.items():
            setattr(self.client, name, value)
        if alpn:
            self.client.set_alpn_protocols(alpn)
        if cert:
            self.client.load_cert_chain(path(cert), path(f"{cert}-key"))
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.layer = self.client.wrap_bio(self.incoming, self.outgoing, server_hostname="localhost")
        self.fd = ours.fileno()
        newcomer = Newcomer(ours, ("127.0.0.1", 1), ("127.0.0.1", 2))
        self.handshake = TlsHandshake(newcomer, self.runtime)
        self.runtime.poller.replace(self.handshake)
        self.ended = False

    @property
    def connection(self):
        return self.runtime.poller.connections.get(self.fd)

    def exchange(self):
        """Carry octets both ways once."""
        data = self.outgoing.read()
        if data:
            self.sock.send(data)
            if self.connection is not None:
                self.connection.on_readable()
        try:
            data = self.sock.recv(1 << 20)
        except BlockingIOError:
            return
        except ConnectionResetError:
            data = b""
        if data:
            self.incoming.write(data)
        else:
            self.ended = True
            self.incoming.write_eof()

    def shake(self):
        for _ in range(5):
            try:
                self.layer.do_handshake()
            except ssl.SSLWantReadError:
                self.exchange()
            else:
                self.exchange()
                break
        return self

    def send(self, data):
        self.layer.write(data)
        self.exchange()

    def read(self):
        self.exchange()
        return self.layer.read(1 << 16)

    def close(self):
        if self.connection is not None:
            self.connection.lose()
        self.sock.close()


@pytest.fixture
def peer():
    peers = []

    def make(*args, **options):
        peers.append(Peer(*args, **options))
        return peers[-1]

    yield make
    for each in peers:
        each.close()


def hello(responder, head, body, complete):
    responder.respond(200, [], b"hello")


def test_http1_over_tls(peer):
    client = peer(script=hello).shake()
    client.send(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
    assert client.read().endswith(b"hello")
    assert type(client.connection).__name__ == "Http1Connection"
    assert client.connection.scheme == "https"
    facts = client.connection.tls
    assert facts["tls_version"] == 0x0304
    assert facts["cipher_suite"] in (0x1301, 0x1302, 0x1303)
    assert facts["client_cert_chain"] == []
    assert facts["client_cert_name"] is None
    assert facts["server_cert"] == client.tls.certificate
    assert client.handshake.phase == CLOSED


@pytest.mark.parametrize(
    ("http", "offered", "chosen", "kind"),
    [
        ("auto", ["h2", "http/1.1"], "h2", "Http2Connection"),
        ("auto", ["http/1.1", "h2"], "h2", "Http2Connection"),
        ("auto", ["http/1.1"], "http/1.1", "Http1Connection"),
        ("auto", None, None, "Http1Connection"),
        ("auto", ["spdy/3"], None, "Http1Connection"),
        ("1", ["h2", "http/1.1"], "http/1.1", "Http1Connection"),
        ("1", ["h2"], None, "Http1Connection"),
        ("2", ["h2"], "h2", "Http2Connection"),
        ("2", None, None, "Http2Connection"),
    ],
)
def test_alpn(peer, http, offered, chosen, kind):
    client = peer(http=http, alpn=offered).shake()
    assert client.layer.selected_alpn_protocol() == chosen
    assert type(client.connection).__name__ == kind


def test_versions(peer):
    old = peer(maximum_version=ssl.TLSVersion.TLSv1_2)
    with pytest.raises(ssl.SSLError):
        old.shake()
    assert old.handshake.phase == CLOSED
    plan = PLAN._replace(protocol_min="tls1.2")
    client = peer(plan, maximum_version=ssl.TLSVersion.TLSv1_2).shake()
    assert client.layer.version() == "TLSv1.2"
    assert client.connection.tls["tls_version"] == 0x0303


def test_a_client_certificate(peer):
    plan = PLAN._replace(ca=path("ca"), client_verify=True)
    client = peer(plan, cert="client").shake()
    facts = client.connection.tls
    assert facts["client_cert_name"] == "CN=client,O=Example\\, Inc.,C=AT"
    assert facts["client_cert_chain"][0].startswith("-----BEGIN CERTIFICATE-----")


def test_no_client_certificate_where_one_is_demanded(peer):
    client = peer(PLAN._replace(ca=path("ca"), client_verify=True)).shake()
    assert client.handshake.phase == CLOSED
    assert client.runtime.application.begun == []


def test_a_revoked_client_certificate(peer):
    plan = PLAN._replace(ca=path("ca"), crl=(path("crl"),))
    client = peer(plan, cert="revoked").shake()
    assert client.handshake.phase == CLOSED
    client = peer(plan, cert="client").shake()
    assert client.connection.tls["client_cert_name"].startswith("CN=client")


def test_a_handshake_octet_by_octet(peer):
    client = peer(script=hello)
    with pytest.raises(ssl.SSLWantReadError):
        client.layer.do_handshake()
    for octet in client.outgoing.read():
        assert client.handshake.phase == SHAKING
        client.sock.send(bytes([octet]))
        client.connection.on_readable()
    client.exchange()
    client.shake()
    client.send(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
    assert client.read().endswith(b"hello")


def test_a_handshake_that_takes_too_long(peer):
    client = peer()
    client.sock.send(b"\x16\x03\x01")
    client.connection.on_readable()
    client.runtime.poller.pass_time(9)
    assert client.handshake.phase == SHAKING
    client.runtime.poller.pass_time(2)
    assert client.handshake.phase == CLOSED
    assert client.runtime.counters.connections_err == 1


@pytest.mark.parametrize("noise", [b"\x00" * 100, b"\x16\x03\x01\xff\xff" + b"x" * 200, b"SSH-2.0"])
def test_noise(peer, noise):
    client = peer()
    client.sock.send(noise)
    client.connection.on_readable()
    assert client.handshake.phase == CLOSED


def test_a_peer_that_has_left_before_the_handshake():
    ours, client = tcp_pair()
    client.sendall(b"x")
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()
    runtime = ScriptedRuntime(None, WorkerPlan(tls=PLAN))
    runtime.engine = SimpleNamespace(tls=create_context(PLAN, "auto"))
    with ours, pytest.raises(ConnectionError):
        TlsHandshake(Newcomer(ours, None, None), runtime)
    assert runtime.counters.connections_err == 1


def test_plain_http_is_told_so(peer):
    client = peer()
    client.sock.send(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
    client.connection.on_readable()
    assert client.sock.recv(1000).startswith(b"HTTP/1.1 400 ")
    assert client.handshake.phase == CLOSED


def test_close_notify_both_ways(peer):
    client = peer(script=hello).shake()
    client.send(b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
    client.exchange()
    assert client.read().endswith(b"hello")
    client.exchange()
    try:
        assert client.layer.read(100) == b""  # close_notify
    except ssl.SSLZeroReturnError:
        pass


def test_the_peers_close_notify_is_an_end(peer):
    client = peer(script=hello).shake()
    with pytest.raises(ssl.SSLWantReadError):
        client.layer.unwrap()
    client.exchange()
    assert client.connection is None


def test_an_end_without_close_notify_is_a_truncation(peer):
    client = peer().shake()
    connection = client.connection
    client.send(b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\n12345")
    client.sock.close()
    [handler] = client.runtime.application.begun
    connection.want_body(0)
    connection.on_readable()
    assert connection.closed
    assert handler.events[-1] == ("disconnect",)


def test_a_forged_record(peer):
    client = peer().shake()
    connection = client.connection
    client.sock.send(b"\x17\x03\x03\x00\x20" + bytes(32))
    connection.on_readable()
    assert connection.closed


def test_a_reset_sends_no_close_notify(peer):
    client = peer().shake()
    client.exchange()  # session tickets
    client.connection.reset()
    try:
        assert client.sock.recv(100) == b""
    except ConnectionResetError:
        pass


def test_http2_over_tls(peer):
    from tests.support.http2 import Client, Server  # noqa: F401 - the framing is tested elsewhere

    client = peer(alpn=["h2"]).shake()
    client.send(PREFACE + frame(SETTINGS, 0, 0, struct.pack(">HL", 3, 1)))
    assert b"\x00\x03\x00\x00\x00\xc8" in client.read()


def test_a_handshake_that_a_drain_finds_under_way_may_bring_its_request(peer):
    client = peer(script=hello)
    client.exchange()
    client.handshake.drain(0.05)
    client.runtime.draining = True
    client.shake()
    assert not client.ended
    client.send(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
    answer = client.read()
    assert b"connection: close" in answer.lower()
    assert answer.endswith(b"hello")


def test_a_handshake_that_has_no_time_is_ended(peer):
    client = peer()
    client.exchange()
    client.handshake.drain()
    assert client.handshake.closed
