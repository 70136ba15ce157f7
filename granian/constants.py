"""The closed choices a user can name. Standard library only; importable by every room."""

from enum import Enum


class _Choice(str, Enum):
    """A string enumeration that prints, hashes and compares as its value."""

    def __str__(self) -> str:
        return str(self.value)

    def __hash__(self) -> int:
        return hash(self.value)


class Interfaces(_Choice):
    """The interface between the server and the application."""

    ASGI = "asgi"
    ASGINL = "asginl"
    RSGI = "rsgi"
    WSGI = "wsgi"


class HTTPModes(_Choice):
    """The HTTP versions a listener speaks."""

    auto = "auto"
    http1 = "1"
    http2 = "2"


class RuntimeModes(_Choice):
    """How runtime threads share connections: ``mt`` one poller, ``st`` one each."""

    auto = "auto"
    mt = "mt"
    st = "st"


class ThreadModes(_Choice):
    """The 1.x names of the runtime modes: ``runtime`` is ``mt``, ``workers`` is ``st``."""

    runtime = "runtime"
    workers = "workers"


class Loops(_Choice):
    """The event loops that can be asked for by name."""

    auto = "auto"
    asyncio = "asyncio"
    rloop = "rloop"
    uvloop = "uvloop"
    winloop = "winloop"


class TaskImpl(_Choice):
    """How coroutines are stepped: asyncio tasks, or the server's own driver."""

    asyncio = "asyncio"
    rust = "rust"


class SSLProtocols(_Choice):
    """The lowest TLS version a listener accepts."""

    tls12 = "tls1.2"
    tls13 = "tls1.3"
