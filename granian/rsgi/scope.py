"""What an RSGI application is told of a request: ``Scope`` and its ``Headers``.

Both are read-only. A scope is filled straight from the request head; fields are decoded only
when looked at. Values are latin-1 (RFC 9110 section 5.5 allows octets above 127).
"""

from operator import attrgetter
from typing import Any, Dict, Iterator, List, Optional, Set, Tuple, Union

from .._typing import Address, RawHeaders
from ..wire.head import RequestHead
from ..wire.waist import Peer


class Headers:
    """The request fields as an immutable, case-insensitive mapping that keeps repeats."""

    __slots__ = ("_fields", "_first")

    def __init__(self, fields: RawHeaders) -> None:
        self._fields = fields
        self._first: Optional[Dict[bytes, bytes]] = None

    @property
    def raw(self) -> RawHeaders:
        """The fields as they came, in octets; not to be changed."""
        return self._fields

    def _index(self) -> Dict[bytes, bytes]:
        # Built backwards, so that the first of several values stays.
        first = self._first = dict(reversed(self._fields))
        return first

    def get(self, key: str, default: Any = None) -> Any:
        """Return the first value called ``key``, else ``default``."""
        first = self._first
        if first is None:
            first = self._index()
        try:
            return first[key.lower().encode("latin-1")].decode("latin-1")
        except (KeyError, UnicodeEncodeError):
            return default

    def get_all(self, key: str) -> List[str]:
        """Return every value called ``key`` in wire order; empty if there is none."""
        try:
            name = key.lower().encode("latin-1")
        except UnicodeEncodeError:
            return []
        return [value.decode("latin-1") for field, value in self._fields if field == name]

    def keys(self) -> List[str]:
        """Return the distinct names, lower-case, in order of first appearance."""
        return [name.decode("latin-1") for name in dict.fromkeys(name for name, _ in self._fields)]

    def values(self) -> List[str]:
        """Return every value, repeats beside the first of their name."""
        return [value for _, value in self.items()]

    def items(self) -> List[Tuple[str, str]]:
        """Return a name and value for each field line, repeats beside the first of their name."""
        fields: Any = self._fields
        first = self._first
        if first is None:
            first = self._index()
        if len(first) != len(fields):
            grouped: Dict[bytes, RawHeaders] = {}
            for pair in fields:
                grouped.setdefault(pair[0], []).append(pair)
            fields = [pair for group in grouped.values() for pair in group]
        return [(name.decode("latin-1"), value.decode("latin-1")) for name, value in fields]

    def __getitem__(self, key: str) -> str:
        value = self.get(key)
        if value is None:
            raise KeyError(key)
        return str(value)

    def __contains__(self, key: object) -> bool:
        return isinstance(key, str) and self.get(key) is not None

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys())

    def __len__(self) -> int:
        first = self._first
        return len(self._index() if first is None else first)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.items()!r})"


class PeerFacts:
    """What is constant for a connection, in the words of RSGI scopes.

    Attributes:
        scheme: ``"http"`` or ``"https"``, for WebSockets too.
        client: ``"address:port"`` of the peer; empty for Unix sockets.
        server: The same of the listener; the path of a Unix socket.
        watching: Protocols whose application waits for the end of the connection.
        gone: The connection has ended.
    """

    __slots__ = ("client", "gone", "scheme", "server", "watching")

    def __init__(self, peer: Peer) -> None:
        self.scheme = peer.scheme
        self.client = address_text(peer.client)
        self.server = address_text(peer.server)
        self.watching: Set[Any] = set()
        self.gone = False


def address_text(address: Optional[Address]) -> str:
    """Write an address as RSGI does: IPv6 in brackets, a Unix socket as its path alone."""
    if address is None:
        return ""
    host, port = address
    if not port:
        return host
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


class Scope:
    """One HTTP request; attributes as the RSGI document names them."""

    __slots__ = (
        "_authority",
        "_client",
        "_headers",
        "_http_version",
        "_method",
        "_path",
        "_query",
        "_scheme",
        "_server",
    )

    proto = "http"
    rsgi_version = "1.6"

    def __init__(self, peer: PeerFacts, head: RequestHead) -> None:
        self._authority = head.authority
        self._client = peer.client
        self._headers: Union[RawHeaders, Headers] = head.headers
        self._http_version = head.version
        self._method = head.method
        self._path = head.path
        self._query = head.query
        self._scheme = peer.scheme
        self._server = peer.server

    # attrgetter instead of a function: reading a scope costs no Python call.
    client: Any = property(attrgetter("_client"), doc="Address and port of the peer.")
    method: Any = property(attrgetter("_method"), doc="Request method as received.")
    path: Any = property(attrgetter("_path"), doc="Decoded path of the target.")
    scheme: Any = property(attrgetter("_scheme"), doc="``http`` or ``https``.")
    server: Any = property(attrgetter("_server"), doc="Address and port of the listener.")

    @property
    def http_version(self) -> str:
        """``"1"`` for HTTP/1.0, ``"1.1"`` or ``"2"``."""
        version = self._http_version
        return "1" if version == "1.0" else version

    @property
    def query_string(self) -> str:
        """The query, undecoded; empty if there is none."""
        return self._query.decode("latin-1")

    @property
    def authority(self) -> Optional[str]:
        """Authority of an absolute-form or HTTP/2 target, else None."""
        authority = self._authority
        return None if authority is None else authority.decode("latin-1")

    @property
    def headers(self) -> Headers:
        """The request fields."""
        headers = self._headers
        if not isinstance(headers, Headers):
            headers = self._headers = Headers(headers)
        return headers

    def forward(self, client: str, scheme: str) -> None:
        """Show the client and scheme that a trusted proxy spoke for."""
        self._client, self._scheme = client, scheme

    def log_atoms(self) -> Dict[str, Any]:
        """Return what the access line may name; fields as raw pairs."""
        headers = self._headers
        return {
            # As shown: behind a trusted proxy, whom it spoke for.
            "addr_remote": self._client.rpartition(":")[0].strip("[]"),
            "protocol": f"HTTP/{self._http_version}",
            "path": self._path,
            "qs": self._query,
            "method": self.method,
            "scheme": self._scheme,
            "headers": headers.raw if isinstance(headers, Headers) else headers,
        }

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._method} {self._path}>"


class WebsocketScope(Scope):
    """One WebSocket handshake; its method is GET, over HTTP/2 too."""

    __slots__ = ()

    proto = "ws"
    method: Any = property(lambda self: "GET", doc="Always ``GET``.")
