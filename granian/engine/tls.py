"""TLS: the listener's context, the handshake in steps, and a socket that behaves like a plain one.

``check`` and ``create_context`` are the only places that read certificates and keys; both say in
words what is wrong with them, and neither ever asks at a terminal. The handshake runs on the
runtime's thread whenever the peer has sent something, under a deadline, never in the acceptor.

Phases of a handshake: SHAKING -done-> (another connection serves the socket);
SHAKING -failed, late, lost-> CLOSED. RFC 8446, RFC 7301, RFC 9113 section 9.2.
"""

import logging
import socket
import ssl
from typing import TYPE_CHECKING, Any, Callable, Dict, List, NamedTuple, Optional

from ..errors import UnusableError
from ..plan import TlsPlan
from ..wire.status import refusal
from .connection import Connection
from .poller import READ, WRITE, Newcomer

if TYPE_CHECKING:
    from .runtime import Runtime

_log = logging.getLogger("_granian")

SHAKING, CLOSED = range(2)

PHASE_NAMES = ("handshaking", "closed")

_REQUEST_TIME = 0.5  # seconds for the first request after a handshake that a drain found under way

_CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"
"""Of TLS 1.2: forward secrecy and authenticated encryption alone, as HTTP/2 demands as well."""

_VERSIONS = {"TLSv1.2": 0x0303, "TLSv1.3": 0x0304}
_FLOORS = {"tls1.2": ssl.TLSVersion.TLSv1_2, "tls1.3": ssl.TLSVersion.TLSv1_3}
_PROTOCOLS = {"auto": ["h2", "http/1.1"], "1": ["http/1.1"], "2": ["h2"]}

_MISMATCHES = ("KEY_VALUES_MISMATCH", "KEY_TYPE_MISMATCH", "NO_CERTIFICATE_ASSIGNED")
"""What OpenSSL says of a key that is not the certificate's; the last, when their kinds differ."""

_WEAKNESSES = ("TOO_SMALL", "TOO_WEAK")
"""How its reasons end when it finds a certificate too weak to be used."""


class _Kind(NamedTuple):
    """A file that is read: its setting, what it holds, the mark of that, and what would do."""

    setting: str
    noun: str
    mark: str
    remedy: str

    def unusable(self, problem: str) -> UnusableError:
        """Make the error that says what is wrong with such a file."""
        return UnusableError(self.setting, problem, self.remedy)


_BEGIN, _END = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"
_CERTIFICATE = _Kind(
    "ssl_certificate", "certificate", _BEGIN, "Name a PEM file of the certificate and its chain"
)
_KEY = _Kind(
    "ssl_keyfile",
    "key",
    "PRIVATE KEY-----",
    "Name a PEM file of the key that the certificate was made for",
)
_AUTHORITIES = _Kind(
    "ssl_ca", "certificate authorities", "CERTIFICATE-----", "Name a PEM file of certificates"
)
_REVOKED = _Kind(
    "ssl_crl", "revocation list", "-----BEGIN X509 CRL-----", "Name a PEM file of such a list"
)

_ATTRIBUTES = {  # RFC 4514 section 3
    "commonName": "CN",
    "localityName": "L",
    "stateOrProvinceName": "ST",
    "organizationName": "O",
    "organizationalUnitName": "OU",
    "countryName": "C",
    "streetAddress": "STREET",
    "domainComponent": "DC",
    "userId": "UID",
}


class TlsContext(ssl.SSLContext):
    """A server's context, and what its connections tell about it.

    Attributes:
        certificate: Our own certificate as PEM.
        suites: The number of each cipher suite by its name.
    """

    certificate: str
    suites: Dict[str, int]


def check(plan: TlsPlan, http: str = "auto") -> None:
    """See whether a listener could be made of these files.

    Raises:
        UnusableError: In words, what is wrong with which file.
    """
    create_context(plan, http)


def create_context(plan: TlsPlan, http: str) -> TlsContext:
    """Make the context of a listener.

    Raises:
        UnusableError: In words, what is wrong with which file.
    """
    context = TlsContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = _FLOORS[plan.protocol_min]
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_CIPHER_SERVER_PREFERENCE
    context.options |= ssl.OP_NO_RENEGOTIATION
    context.set_ciphers(_CIPHERS)
    context.set_alpn_protocols(_PROTOCOLS[http])
    context.sslsocket_class = TlsSocket
    context.certificate = _load_pair(context, plan)
    context.suites = {cipher["name"]: cipher["id"] & 0xFFFF for cipher in context.get_ciphers()}
    if plan.ca is not None:
        _load(context, plan.ca, _AUTHORITIES)
        context.verify_mode = ssl.CERT_REQUIRED if plan.client_verify else ssl.CERT_OPTIONAL
    elif plan.client_verify:
        problem = "Client certificates cannot be checked without certificate authorities"
        raise UnusableError("ssl_client_verify", problem, "Name them by {}", "ssl_ca")
    for path in plan.crl:
        _load(context, path, _REVOKED)
        context.verify_flags |= ssl.VERIFY_CRL_CHECK_LEAF
    return context


def _load_pair(context: ssl.SSLContext, plan: TlsPlan) -> str:
    """Load the certificate with its key; return the certificate as PEM."""
    certificate, key = _read(plan.certificate, _CERTIFICATE), _read(plan.keyfile, _KEY)
    if _CERTIFICATE.mark not in certificate:
        raise _CERTIFICATE.unusable(f"There is no certificate in {plan.certificate}")
    if _KEY.mark not in key:
        raise _KEY.unusable(f"There is no private key in {plan.keyfile}")
    asked = False

    def password() -> str:
        nonlocal asked
        asked = True
        return plan.password or ""

    try:
        context.load_cert_chain(plan.certificate, plan.keyfile, password)
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        # The cause may quote the file: it stays out of the log.
        raise _judged(plan, asked, getattr(error, "reason", None) or "") from None
    return certificate[certificate.index(_BEGIN) : certificate.index(_END) + len(_END)] + "\n"


def _judged(plan: TlsPlan, asked: bool, reason: str) -> UnusableError:
    """Say why a certificate and its key were refused.

    Args:
        plan: Where they are.
        asked: The key's password was needed.
        reason: OpenSSL's word for it, where it has one.
    """
    if reason in _MISMATCHES:
        return _KEY.unusable(
            f"The key in {plan.keyfile} does not belong to the certificate in {plan.certificate}"
        )
    if asked and plan.password is None:
        problem = f"The key in {plan.keyfile} is encrypted and no password was given"
        return UnusableError(
            _KEY.setting, problem, "Give its password by {}", "ssl_keyfile_password"
        )
    if asked:
        problem = f"The password does not open the key in {plan.keyfile}"
        return UnusableError("ssl_keyfile_password", problem, "Give the one it was encrypted with")
    if reason.endswith(_WEAKNESSES):
        word = reason.replace("_", " ").lower()
        return _CERTIFICATE.unusable(
            f"The certificate in {plan.certificate} cannot be used: {word}"
        )
    kind, path = _KEY, plan.keyfile
    if not _readable_alone(plan.certificate):
        kind, path = _CERTIFICATE, plan.certificate
    return kind.unusable(
        f"The {kind.noun} in {path} cannot be used: it is damaged, or of a kind unknown to OpenSSL"
    )


def _readable_alone(path: str) -> bool:
    """Tell whether OpenSSL can read the certificates in a file, whatever they are good for."""
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_verify_locations(path)
    except OSError:
        return False
    return True


def _read(path: str, kind: _Kind) -> str:
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            return file.read()
    except OSError as error:
        raise kind.unusable(f"Cannot read the {kind.noun} {path}: {error.strerror}") from None


def _load(context: ssl.SSLContext, path: str, kind: _Kind) -> None:
    """Load authorities or revoked certificates; OpenSSL takes either for the other."""
    try:
        if kind.mark not in _read(path, kind):
            raise ValueError
        context.load_verify_locations(path)
    except (OSError, ValueError):
        raise kind.unusable(f"Cannot use the {kind.noun} in {path}") from None


class TlsSocket(ssl.SSLSocket):
    """A TLS socket whose errors are those of a plain one.

    What blocks raises ``BlockingIOError``, a close_notify reads as the end, an end without one as
    an error (a truncation, RFC 8446 section 6.1). Closing sends close_notify, unless the
    connection is being reset.

    Attributes:
        facts: The ASGI ``tls`` extension of this connection, once the handshake is done.
    """

    facts: Optional[Dict[str, Any]] = None
    _sslobj: Any
    _abrupt = False
    _half_closed = False

    def recv(self, buflen: int = 1024, flags: int = 0) -> bytes:  # hot
        """Receive at most one record's octets."""
        try:
            octets: bytes = self._sslobj.read(buflen)
            return octets
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise BlockingIOError from None
        except ssl.SSLZeroReturnError:
            return b""
        except AttributeError:
            if self._half_closed:
                # Ours is sent: what still comes is dropped by the caller, so it is not decrypted.
                return socket.socket.recv(self, buflen)
            raise

    def send(self, data: Any, flags: int = 0) -> int:  # hot # type: ignore[override]
        """Send what the kernel takes."""
        try:
            sent: int = self._sslobj.write(data)
            return sent
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise BlockingIOError from None
        except AttributeError:
            raise BrokenPipeError from None  # half-closed

    def setsockopt(self, *args: Any) -> None:
        """Set an option; to ask for a reset at close is to ask for no close_notify."""
        if args[1] == socket.SO_LINGER:
            self._abrupt = True
        super().setsockopt(*args)

    def shutdown(self, how: int) -> None:
        """Send close_notify and half-close."""
        self._notify()
        self._half_closed = True
        super().shutdown(how)

    def close(self) -> None:
        """Send close_notify if it still can be, and close."""
        if not self._abrupt:
            self._notify()
        super().close()

    def _notify(self) -> None:
        layer = self._sslobj
        if layer is not None and self.facts is not None:
            try:
                layer.shutdown()
            except OSError:
                pass  # sent, and the peer's is not awaited; or the transport is gone


class TlsHandshake(Connection):
    """A socket until its handshake is done; then another connection takes it."""

    __slots__ = ("_context", "_step")

    sock: TlsSocket

    def __init__(self, newcomer: Newcomer, runtime: "Runtime") -> None:
        context = runtime.engine.tls
        assert context is not None
        try:
            # ``ssl`` makes a socket of its own without a layer for a peer that has left.
            newcomer.sock.getpeername()
        except OSError:
            runtime.counters.connections_err += 1
            raise ConnectionResetError("the peer has left") from None
        newcomer.sock = context.wrap_socket(
            newcomer.sock, server_side=True, do_handshake_on_connect=False
        )
        super().__init__(newcomer, runtime)
        self.phase = SHAKING
        self._context = context
        self._step: Callable[[], None] = self.sock.do_handshake
        assert runtime.plan.tls is not None
        self.arm(runtime.plan.tls.handshake_timeout)

    def on_readable(self) -> None:
        """Take another step."""
        if self.phase != SHAKING:
            return  # readable and writable at once, and the first step was the last
        try:
            self._step()
        except ssl.SSLWantReadError:
            self.watch(READ)
        except ssl.SSLWantWriteError:
            self.watch(READ | WRITE)
        except (OSError, ValueError) as error:
            if _log.isEnabledFor(logging.DEBUG):
                reason = getattr(error, "reason", None) or type(error).__name__
                _log.debug("TLS handshake with %s failed: %s", self.client, reason)
            self.runtime.counters.connections_err += 1
            if getattr(error, "reason", None) == "HTTP_REQUEST":
                self._answer_plainly()
            self.lose()
        else:
            self._become()

    def on_writable(self) -> None:
        """Take another step."""
        self.on_readable()

    def _answer_plainly(self) -> None:
        """Tell a client that speaks HTTP without TLS, in words it can read."""
        try:
            socket.socket.send(self.sock, refusal(400))
        except OSError:
            pass  # it has gone already

    def _become(self) -> None:
        """Let the protocol that was agreed upon serve the socket."""
        sock, runtime = self.sock, self.runtime
        sock.facts = describe(sock, self._context)
        self.watch(READ)
        connection = runtime.protocol(sock.selected_alpn_protocol())(self.give_up(), runtime)
        self.phase = CLOSED
        self.poller.replace(connection)
        if runtime.draining:
            connection.drain(_REQUEST_TIME)
        # The first request often comes in the packet that ends the handshake.
        if not connection.closed:
            connection.on_readable()

    def on_drained(self) -> None:
        """Nothing is ever queued here."""

    def on_deadline(self) -> None:
        """The peer took too long."""
        self.runtime.counters.connections_err += 1
        self.lose()

    def on_lost(self) -> None:
        """Nobody is told: there was no exchange."""
        self.phase = CLOSED

    @property
    def idle(self) -> bool:
        """A handshake can be begun again elsewhere."""
        return True

    def drain(self, grace: float = 0.0) -> None:
        """End, unless there is time for a request."""
        if not grace:
            self.lose()


def describe(sock: ssl.SSLSocket, context: TlsContext) -> Dict[str, Any]:
    """Make the ASGI ``tls`` extension of a connection (ASGI TLS extension, version 0.2)."""
    cipher = sock.cipher()
    chain = _client_chain(sock)
    return {
        "server_cert": context.certificate,
        "client_cert_chain": chain,
        "client_cert_name": _client_name(sock) if chain else None,
        "client_cert_error": None,
        "tls_version": _VERSIONS.get(sock.version() or ""),
        "cipher_suite": context.suites.get(cipher[0]) if cipher else None,
    }


def _client_chain(sock: ssl.SSLSocket) -> List[str]:
    """Return the client's certificate as PEM, with what it was verified by where that is known."""
    verified = getattr(sock, "get_verified_chain", None)  # 3.13
    certificates = verified() if verified is not None else []
    if not certificates:
        certificate = sock.getpeercert(True)
        certificates = [certificate] if certificate else []
    return [ssl.DER_cert_to_PEM_cert(certificate) for certificate in certificates]


def _client_name(sock: ssl.SSLSocket) -> Optional[str]:
    """Return the subject of the client's certificate as an RFC 4514 string."""
    certificate = sock.getpeercert()
    subject: Any = certificate.get("subject", ()) if certificate else ()
    names = [
        "+".join(f"{_ATTRIBUTES.get(key, key)}={_escaped(value)}" for key, value in part)
        for part in reversed(subject)
    ]
    return ",".join(names)


def _escaped(value: str) -> str:
    """Escape an attribute's value (RFC 4514 section 2.4)."""
    escaped = "".join(
        f"\\{character}" if character in '"+,;<>\\' else character for character in value
    )
    if escaped[:1] in ("#", " "):
        escaped = "\\" + escaped
    if len(escaped) > 1 and escaped[-1] == " ":
        escaped = escaped[:-1] + "\\ "
    return escaped.replace("\0", "\\00")
