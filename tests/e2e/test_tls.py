"""TLS with other people's clients, and the operator's mistakes."""

import json
import os
import shutil
import signal
import socket
import ssl
import struct
import subprocess
import time

import pytest

from granian.plan import TlsPlan
from tests.apps import streams
from tests.support.certs import path as cert
from tests.support.servers import EngineServer, GranianServer

SECURE = {"ssl_certificate": cert("server"), "ssl_keyfile": cert("server-key")}

SHORT = 0.5
"""Seconds of a handshake, where its end is waited for."""

needs_openssl = pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl")


@pytest.fixture(scope="module")
def server():
    with GranianServer("tests.apps.streams:asgi", "asgi", **SECURE) as running:
        yield running


def context(**options):
    made = ssl.create_default_context(cafile=cert("ca"))
    for name, value in options.items():
        setattr(made, name, value)
    return made


def connect(server, made=None):
    sock = socket.create_connection(server.address, timeout=5)
    return (made or context()).wrap_socket(sock, server_hostname="localhost")


def get(server, made=None, path="/scope"):
    with connect(server, made) as sock:
        sock.sendall(b"GET %b HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n" % path.encode())
        got = b""
        while True:
            data = sock.recv(65_536)
            if not data:
                return json.loads(got.partition(b"\r\n\r\n")[2])
            got += data


@pytest.mark.parametrize("interface", ["asgi", "rsgi", "wsgi"])
def test_the_scheme(interface):
    with GranianServer(f"tests.apps.streams:{interface}", interface, **SECURE) as server:
        assert get(server)["scheme"] == "https"


def test_the_default_is_tls_1_3(server):
    with connect(server) as sock:
        assert sock.version() == "TLSv1.3"
    with pytest.raises(ssl.SSLError):
        connect(server, context(maximum_version=ssl.TLSVersion.TLSv1_2))


def test_tls_1_2_by_option():
    with GranianServer("tests.apps.streams:asgi", ssl_protocol_min="tls1.2", **SECURE) as server:
        scope = get(server, context(maximum_version=ssl.TLSVersion.TLSv1_2))
        assert scope["tls"]["tls_version"] == 0x0303
        assert get(server)["tls"]["tls_version"] == 0x0304


@pytest.mark.parametrize("how", ["option", "file"])
def test_an_encrypted_key(how, tmp_path):
    options = {"ssl_certificate": cert("server"), "ssl_keyfile": cert("server-key-encrypted")}
    password = tmp_path / "password"
    password.write_text("foobar\n")
    environ = {}
    if how == "file":
        environ["GRANIAN_SSL_KEYFILE_PASSWORD_FILE"] = str(password)
    else:
        options["ssl_keyfile_password"] = "foobar"
    with GranianServer("tests.apps.streams:asgi", env=environ, **options) as server:
        assert get(server)["scheme"] == "https"


@pytest.mark.parametrize("name", ["localhost", "elsewhere.example", None])
def test_any_server_name_or_none(server, name):
    made = context(check_hostname=False)
    raw = socket.create_connection(("127.0.0.1", server.port), timeout=5)
    with made.wrap_socket(raw, server_hostname=name) as sock:
        assert sock.version() == "TLSv1.3"


def test_client_certificates():
    options = {**SECURE, "ssl_ca": cert("ca"), "ssl_crl": cert("crl"), "ssl_client_verify": True}
    with GranianServer("tests.apps.streams:asgi", **options) as server:
        made = context()
        made.load_cert_chain(cert("client"), cert("client-key"))
        assert get(server, made)["tls"]["client_cert_name"].startswith("CN=client")
        for name in (None, "revoked"):
            made = context()
            if name:
                made.load_cert_chain(cert(name), cert(f"{name}-key"))
            with pytest.raises((ssl.SSLError, ConnectionError)):
                get(server, made)


@pytest.mark.parametrize(
    ("options", "words", "status"),
    [
        # what the files hold
        ({**SECURE, "ssl_keyfile": cert("other-key")}, "does not belong to the certificate", 2),
        ({**SECURE, "ssl_keyfile": cert("server-key-encrypted")}, "is encrypted", 2),
        ({**SECURE, "ssl_ca": cert("ca"), "ssl_crl": cert("ca")}, "the revocation list", 2),
        # what the options say
        ({"ssl_certificate": cert("server")}, "without --ssl-keyfile", 2),
        ({"ssl_keyfile": cert("server-key")}, "without --ssl-certificate", 2),
        ({**SECURE, "ssl_protocol_min": "tls1.1"}, "not one of 'tls1.2', 'tls1.3'", 2),
        ({**SECURE, "ssl_client_verify": True}, "needs --ssl-ca", 2),
    ],
)
def test_mistakes_are_said_in_words_and_without_a_prompt(options, words, status):
    with GranianServer("tests.apps.streams:asgi", wait=False, **options) as server:
        assert server.process.wait(15) == status
        server.reader.join(5)
        log = " ".join(server.log.split())
        assert words in log
        assert "Starting granian" not in log
        assert "Traceback" not in log
        assert "PRIVATE KEY" not in log


def test_a_silent_client_is_ended_and_does_not_stop_others():
    plan = TlsPlan(cert("server"), cert("server-key"), handshake_timeout=SHORT)
    with EngineServer(streams.asgi, tls=plan) as server, socket.create_connection(
        server.address, timeout=5
    ) as silent:
        silent.sendall(b"\x16\x03\x01\x02\x00")
        begun = time.monotonic()
        with connect(server) as other:
            other.sendall(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
            assert other.recv(15) == b"HTTP/1.1 200 OK"
        assert silent.recv(100) == b""
        assert SHORT * 0.5 < time.monotonic() - begun < SHORT + 2.5


@pytest.mark.parametrize("interface", ["asgi", "wsgi"])
def test_clients_that_reset_before_the_handshake_harm_nobody(interface):
    with GranianServer(f"tests.apps.streams:{interface}", interface, **SECURE) as server:
        (worker,) = server.worker_pids
        os.kill(worker, signal.SIGSTOP)  # so that it finds them all at once, and gone
        for _ in range(10):
            with socket.create_connection(server.address) as sock:
                sock.sendall(b"\x16\x03\x01\x02\x00")
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        os.kill(worker, signal.SIGCONT)
        with connect(server) as other:
            other.sendall(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
            assert other.recv(15) == b"HTTP/1.1 200 OK"
        assert "Traceback" not in server.log


def test_who_is_silent_after_the_handshake_is_ended():
    plan = TlsPlan(cert("server"), cert("server-key"))
    http1 = {"header_read_timeout": SHORT}
    with EngineServer(streams.asgi, tls=plan, http1=http1) as server, connect(server) as silent:
        begun = time.monotonic()
        assert silent.recv(100) == b""
        assert SHORT * 0.5 < time.monotonic() - begun < SHORT + 2.5


def test_a_session_is_resumed(server):
    made = context()
    with connect(server, made) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
        sock.recv(1000)
        session = sock.session
    raw = socket.create_connection(("127.0.0.1", server.port), timeout=5)
    with made.wrap_socket(raw, server_hostname="localhost", session=session) as sock:
        assert sock.session_reused


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_session_opens_no_door_but_the_one_it_was_made_at(version):
    """Row 99 (CVE-2025-23419): resuming elsewhere is no way round a client certificate.

    A server has one context for all it listens on, so two listeners with different settings are
    two servers; these share a process, and so all that OpenSSL shares.
    """
    files = cert("server"), cert("server-key")
    unlocked = TlsPlan(*files, protocol_min="tls1.2")
    locked = unlocked._replace(ca=cert("ca"), client_verify=True)

    def ask(server, made, session=None):
        raw = socket.create_connection(server.address, timeout=5)
        with made.wrap_socket(raw, server_hostname="localhost", session=session) as sock:
            assert sock.version() == f"TLSv1.{version - ssl.TLSVersion.TLSv1_2 + 2}"
            sock.sendall(b"GET /scope HTTP/1.1\r\nhost: a\r\n\r\n")
            got = sock.recv(65_536)  # brings the tickets of TLS 1.3, or the refusal
            facts = json.loads(got.partition(b"\r\n\r\n")[2])["tls"]
            return facts["client_cert_name"], sock.session_reused, sock.session

    with EngineServer(streams.asgi, tls=unlocked) as open_door, EngineServer(
        streams.asgi, tls=locked
    ) as closed_door:
        nobody = context(maximum_version=version)
        assert ask(open_door, nobody)[:2] == (None, False)
        session = ask(open_door, nobody)[2]
        assert ask(open_door, nobody, session)[:2] == (None, True)
        session = ask(open_door, nobody)[2]
        with pytest.raises((ssl.SSLError, ConnectionError)):
            ask(closed_door, nobody, session)

        somebody = context(maximum_version=version)
        somebody.load_cert_chain(cert("client"), cert("client-key"))
        name, reused, session = ask(closed_door, somebody)
        assert (name.startswith("CN=client"), reused) == (True, False)
        # At its own door it is who it was, and at the other it is nobody.
        assert ask(closed_door, somebody, session)[:2] == (name, True)
        session = ask(closed_door, somebody)[2]
        assert ask(open_door, somebody, session)[:2] == (None, False)


@needs_openssl
def test_openssl_renegotiation_and_alpn(server):
    def s_client(*more, data=b""):
        command = ["openssl", "s_client", "-connect", f"127.0.0.1:{server.port}", *more]
        done = subprocess.run(command, input=data, capture_output=True, timeout=20)
        return (done.stdout + done.stderr).decode(errors="replace")

    out = s_client("-alpn", "h2,http/1.1")
    assert "ALPN protocol: h2" in out
    assert "Compression: NONE" in out
    assert "No ALPN negotiated" in s_client("-alpn", "spdy/3")
    assert "alert" in s_client("-tls1_2")


def test_reload_takes_new_certificates_and_loses_nobody(tmp_path):
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    shutil.copy(cert("server"), certificate)
    shutil.copy(cert("server-key"), key)
    options = {"ssl_certificate": certificate, "ssl_keyfile": key}
    with GranianServer("tests.apps.streams:asgi", **options) as server:
        made = context(check_hostname=False)
        with connect(server, made) as first:
            before = first.getpeercert(True)
            first.sendall(b"GET /slow HTTP/1.1\r\nhost: a\r\n\r\n")
            shutil.copy(cert("other"), certificate)
            shutil.copy(cert("other-key"), key)
            server.process.send_signal(signal.SIGHUP)
            assert b"hello" in first.recv(1000)
        deadline = time.monotonic() + 10
        while True:
            with connect(server, made) as sock:
                if sock.getpeercert(True) != before:
                    break
            assert time.monotonic() < deadline
        assert get(server, made)["scheme"] == "https"


@pytest.mark.parametrize("broken", ["other", "garbage"])
def test_reload_with_a_broken_certificate_goes_on_with_the_old_one(tmp_path, broken):
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    shutil.copy(cert("server"), certificate)
    shutil.copy(cert("server-key"), key)
    options = {"ssl_certificate": certificate, "ssl_keyfile": key}
    with GranianServer("tests.apps.streams:asgi", **options) as server:
        with connect(server) as sock:
            before = sock.getpeercert(True)
        if broken == "other":
            shutil.copy(cert("other"), certificate)
        else:
            certificate.write_text("garbage")
        server.process.send_signal(signal.SIGHUP)
        server.wait_line("The new workers do not start, the old ones go on serving")
        words = "There is no certificate in" if broken == "garbage" else "does not belong to"
        assert words in server.log
        with connect(server) as sock:
            assert sock.getpeercert(True) == before
        assert get(server)["scheme"] == "https"
        assert server.stop() == 0
