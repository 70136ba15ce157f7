"""Wrappers that take the client's address and scheme from a trusted proxy's fields.

Only ``X-Forwarded-For`` and ``X-Forwarded-Proto`` are read, and only from peers that were named:
everybody else could claim to be anyone. ``Forwarded`` and ``X-Forwarded-Host`` are ignored. Any
thread; the wrappers keep no state between requests.
"""

import ipaddress
from typing import Any, Awaitable, Callable, Dict, Iterable, List, Optional, Set, Union

from .._typing import Address, RawHeaders

Hosts = Union[str, Iterable[str]]

_SCHEMES = {"http": "ws", "https": "wss", "ws": "ws", "wss": "wss"}
_HTTP_SCHEMES = {"http": "http", "https": "https", "ws": "http", "wss": "https"}


class TrustedHosts:
    """Which peers may speak for others.

    Args:
        hosts: Addresses, networks (CIDR) and literal names, as a list or separated by commas;
            ``"*"`` trusts every peer.
    """

    def __init__(self, hosts: Hosts) -> None:
        names = hosts.split(",") if isinstance(hosts, str) else list(hosts)
        names = [name.strip() for name in names if name.strip()]
        self.everyone = "*" in names
        self._literals: Set[str] = set()
        self._networks: List[Any] = []
        for name in names:
            try:
                self._networks.append(ipaddress.ip_network(name))
            except ValueError:
                # Names of Unix sockets, and networks with host bits set, mean themselves only.
                self._literals.add(name)

    def __contains__(self, host: Optional[str]) -> bool:
        if self.everyone:
            return True
        if not host:
            return False
        if host in self._literals:
            return True
        try:
            address = ipaddress.ip_address(host)
        except ValueError:
            return False
        # A dual-stack listener shows IPv4 peers as ::ffff:10.0.0.1.
        mapped = getattr(address, "ipv4_mapped", None)
        return any(
            address in network or (mapped is not None and mapped in network)
            for network in self._networks
        )

    def client_of(self, forwarded: str) -> Optional[str]:
        """Return the client that a chain of proxies speaks for.

        Args:
            forwarded: Values of ``X-Forwarded-For``, joined by commas; the last was added last.

        Returns:
            The rightmost host that is not trusted itself, since only what trusted proxies added
            can be believed; the leftmost when all are; None when the field names nobody.
        """
        hosts = [host.strip() for host in forwarded.split(",") if host.strip()]
        if not hosts:
            return None
        if self.everyone:
            return hosts[0]
        for host in reversed(hosts):
            if host not in self:
                return host
        return hosts[0]

    def name_client(self, peer: Optional[Address], headers: RawHeaders) -> str:
        """Name the client of a request: its peer, or whom that speaks for if it may."""
        host = peer[0] if peer else ""
        if host not in self:
            return host
        values = [value.decode("latin-1") for name, value in headers if name == b"x-forwarded-for"]
        return self.client_of(",".join(values)) or host


def wrap_asgi_with_proxy_headers(
    app: Callable[..., Awaitable[None]], trusted_hosts: Hosts = "127.0.0.1"
) -> Callable[..., Awaitable[None]]:
    """Wrap an ASGI application to see the client behind trusted proxies.

    Args:
        app: An ASGI 3.0 application.
        trusted_hosts: See ``TrustedHosts``.
    """
    trusted = TrustedHosts(trusted_hosts)

    def wrapped(scope: Dict[str, Any], receive: Any, send: Any) -> Awaitable[None]:
        if scope["type"] != "lifespan":
            peer = scope.get("client")
            if (peer[0] if peer else None) in trusted:
                forwarded: List[str] = []
                scheme = ""
                for name, value in scope["headers"]:
                    if name == b"x-forwarded-for":
                        forwarded.append(value.decode("latin-1"))
                    elif name == b"x-forwarded-proto" and not scheme:
                        scheme = value.decode("latin-1").strip().lower()
                client = trusted.client_of(",".join(forwarded))
                if client is not None:
                    scope["client"] = (client, 0)
                    known = _SCHEMES if scope["type"] == "websocket" else _HTTP_SCHEMES
                    if scheme in known:
                        scope["scheme"] = known[scheme]
        return app(scope, receive, send)

    return wrapped


def wrap_wsgi_with_proxy_headers(
    app: Callable[..., Iterable[bytes]], trusted_hosts: Hosts = "127.0.0.1"
) -> Callable[..., Iterable[bytes]]:
    """Wrap a WSGI application to see the client behind trusted proxies.

    Args:
        app: A PEP 3333 application.
        trusted_hosts: See ``TrustedHosts``.
    """
    trusted = TrustedHosts(trusted_hosts)

    def wrapped(environ: Dict[str, Any], start_response: Any) -> Iterable[bytes]:
        if environ.get("REMOTE_ADDR") in trusted:
            client = trusted.client_of(environ.get("HTTP_X_FORWARDED_FOR", ""))
            if client is not None:
                environ["REMOTE_ADDR"] = client
                environ.pop("REMOTE_PORT", None)
                # Several lines arrive joined; the first proxy's is the first.
                scheme = environ.get("HTTP_X_FORWARDED_PROTO", "").split(",")[0].strip().lower()
                if scheme in ("http", "https"):
                    environ["wsgi.url_scheme"] = scheme
        return app(environ, start_response)

    return wrapped


def wrap_rsgi_with_proxy_headers(app: Any, trusted_hosts: Hosts = "127.0.0.1") -> Any:
    """Wrap an RSGI application to see the client behind trusted proxies.

    Args:
        app: An RSGI callable, or an object with ``__rsgi__``; its hooks are kept.
        trusted_hosts: See ``TrustedHosts``.
    """
    return _RsgiWrapper(app, TrustedHosts(trusted_hosts))


class _RsgiWrapper:
    def __init__(self, app: Any, trusted: TrustedHosts) -> None:
        self._call = getattr(app, "__rsgi__", app)
        self._trusted = trusted
        for hook in ("__rsgi_init__", "__rsgi_del__"):
            if hasattr(app, hook):
                setattr(self, hook, getattr(app, hook))

    def __rsgi__(self, scope: Any, protocol: Any) -> Awaitable[None]:
        host = scope.client.rpartition(":")[0].strip("[]")
        if host in self._trusted:
            headers = scope.headers
            client = self._trusted.client_of(",".join(headers.get_all("x-forwarded-for")))
            if client is not None:
                scheme = headers.get("x-forwarded-proto", "").strip().lower()
                text = f"[{client}]:0" if ":" in client else f"{client}:0"
                scope.forward(text, _HTTP_SCHEMES.get(scheme, scope.scheme))
        result: Awaitable[None] = self._call(scope, protocol)
        return result
