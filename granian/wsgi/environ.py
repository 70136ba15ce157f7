"""The environ of a request, made from a template of its connection (PEP 3333).

Never the process environment: a secret or a proxy setting of the server is not the request's.
Field names with an underscore are dropped, since ``X_Real_Ip`` and ``X-Real-Ip`` would share a
key and the first may have been written by a stranger; so is ``Proxy``, which libraries take for
their own setting. Any thread.
"""

import sys
from sys import intern
from typing import Any, Dict
from urllib.parse import unquote_to_bytes

from .._typing import RawHeaders
from ..plan import WorkerPlan
from ..wire.head import RequestHead
from ..wire.waist import Peer
from .file import FileWrapper

Environ = Dict[str, Any]

_SCHEME = intern("wsgi.url_scheme")
_VERSIONS = ("1.0", "1.1", "2")
_KNOWN_NAMES = 1024


class EnvironTemplate:
    """Makes environs; one per worker or runtime thread.

    Args:
        plan: Tells the prefix of the application and whether there are other processes.
    """

    __slots__ = ("_base", "_keys", "_prefix", "_protocols")

    def __init__(self, plan: WorkerPlan) -> None:
        prefix = plan.url_path_prefix.rstrip("/")
        self._prefix = prefix if not prefix or prefix.startswith("/") else f"/{prefix}"
        # On free-threaded builds the dictionary is shared: read by subscript, which takes no lock.
        self._keys: Dict[bytes, str] = {}
        # Of this template alone, and interned: see ``wire.head.HTTP_1_1``.
        self._protocols = {version: intern(f"HTTP/{version}") for version in _VERSIONS}
        base: Environ = {
            "GATEWAY_INTERFACE": intern("CGI/1.1"),
            "SERVER_SOFTWARE": "Granian",
            "SCRIPT_NAME": "",
            "wsgi.version": (1, 0),
            "wsgi.errors": sys.stderr,
            "wsgi.file_wrapper": FileWrapper,
            "wsgi.input_terminated": True,
            "wsgi.multithread": True,
            "wsgi.multiprocess": plan.workers > 1,
            "wsgi.run_once": False,
        }
        self._base = {intern(key): value for key, value in base.items()}

    def connect(self, peer: Peer) -> Environ:
        """Return what every environ of a connection shares."""
        template = self._base.copy()
        template[_SCHEME] = peer.scheme
        server, client = peer.server, peer.client
        template["SERVER_NAME"] = server[0] if server else ""
        template["SERVER_PORT"] = str(server[1]) if server else "0"
        template["REMOTE_ADDR"] = client[0] if client else ""
        if client:
            template["REMOTE_PORT"] = str(client[1])
        return template

    def fill(self, template: Environ, head: RequestHead) -> Environ:  # hot
        """Make the environ of one request, all but ``wsgi.input``.

        Args:
            template: From ``connect``; stays as it is.
            head: The request.
        """
        environ = template.copy()
        path = head.path
        if not path.isascii():
            # PEP 3333: native strings hold octets, decoded as latin-1 whatever they mean. Spelt so
            # that the literal looks like a name: see ``wire.head.HTTP_1_1``.
            path = unquote_to_bytes(head.raw_path).decode("latin1")
        if self._prefix:
            path = self._cut_prefix(environ, path)
        uri = head.raw_path.decode("latin1")
        query = ""
        if head.query:
            query = head.query.decode("latin1")
            uri = f"{uri}?{query}"
        environ["REQUEST_METHOD"] = head.method
        environ["PATH_INFO"] = path
        environ["QUERY_STRING"] = query
        environ["REQUEST_URI"] = environ["RAW_URI"] = uri
        environ["SERVER_PROTOCOL"] = self._protocols[head.version]
        section = head.section
        if section is None:
            environ.update(self._read_fields(head.headers))
        else:
            if section.kept is None:
                section.kept = self._read_fields(head.headers)
            environ.update(section.kept)
        if head.authority is not None and "HTTP_HOST" not in environ:
            environ["HTTP_HOST"] = head.authority.decode("latin1")
        return environ

    def _read_fields(self, headers: RawHeaders) -> Dict[str, str]:
        """Return the part of an environ that the fields make, repeats joined."""
        keys = self._keys
        found: Dict[str, str] = {}
        try:
            for name, value in headers:
                found[keys[name]] = value.decode("latin1")
        except KeyError:
            return self._join_fields(headers)
        return found if len(found) == len(headers) else self._join_fields(headers)

    def _join_fields(self, headers: RawHeaders) -> Dict[str, str]:
        """Do the same with repeats, or with names not seen before."""
        found: Dict[str, str] = {}
        for name, value in headers:
            key = self._keys[name] if name in self._keys else self._learn(name)
            text = value.decode("latin1")
            if not key:
                continue
            if key not in found:
                found[key] = text
            elif key == "HTTP_COOKIE":
                found[key] += f"; {text}"
            elif key not in ("CONTENT_TYPE", "CONTENT_LENGTH"):
                found[key] += f",{text}"
        return found

    def _learn(self, name: bytes) -> str:
        """Return the key of a field name, empty if it is not for the application."""
        if name in (b"content-type", b"content-length"):
            key = name.decode("ascii").upper().replace("-", "_")
        elif b"_" in name or name == b"proxy":
            return ""
        else:
            key = f"HTTP_{name.decode('latin1').upper().replace('-', '_')}"
        if len(self._keys) < _KNOWN_NAMES and len(name) <= 64:
            self._keys[name] = key
        return key

    def _cut_prefix(self, environ: Environ, path: str) -> str:
        """Move the prefix to SCRIPT_NAME where it matches whole segments."""
        prefix = self._prefix
        if path == prefix or path.startswith(f"{prefix}/"):
            environ["SCRIPT_NAME"] = prefix
            return path[len(prefix) :] or "/"
        return path
