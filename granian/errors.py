"""Errors that say whose fault they are: operator, peer, or application.

Standard library only. The command turns a ``FatalError`` into one line and exit code 1;
the protocol layers turn a ``PeerError`` into a refusal; the interfaces turn an ``AppError``
into a 500 and one traceback.
"""


class FatalError(Exception):
    """The operator must change something before the server can run."""


class ConfigurationError(FatalError):
    """Two settings contradict each other, or one cannot be satisfied here."""


class PidFileError(FatalError):
    """The pid file belongs to a live process or cannot be read or written."""


class PeerError(Exception):
    """The client broke the protocol.

    Attributes:
        status: The HTTP status that a refusal carries.
        reason: A fixed text for the debug log; never sent, never built from input.
    """

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


class AppError(RuntimeError):
    """The application gave the server something that must not reach the wire.

    Attributes:
        sent: A response was sent all the same, cut or broken off; else nothing was.
    """

    def __init__(self, message: str, sent: bool = False) -> None:
        super().__init__(message)
        self.sent = sent
