"""Errors that say whose fault they are: operator, peer, or application.

Standard library only. The command turns a ``FatalError`` into one line and exit code 1, and what is
about the value of a setting into a usage error and exit code 2; the protocol layers turn a
``PeerError`` into a refusal; the interfaces turn an ``AppError`` into a 500 and one traceback.
"""

from typing import Callable


class FatalError(Exception):
    """The operator must change something before the server can run."""


class ConfigurationError(FatalError):
    """Two settings contradict each other, or one cannot be satisfied here."""


class UnusableError(ConfigurationError):
    """A setting's value is understood, but what it names cannot be used.

    Whoever finds that out does not know how its giver calls the setting; whoever tells the giver
    does.

    Attributes:
        setting: Its name, as in ``config.options``.
        problem: What is wrong, without a full stop.
        remedy: What would be right, likewise; ``{}`` stands for the setting ``other``.
        other: The name of another setting, or empty.
    """

    def __init__(self, setting: str, problem: str, remedy: str, other: str = "") -> None:
        super().__init__(setting, problem, remedy, other)
        self.setting = setting
        self.problem = problem
        self.remedy = remedy
        self.other = other

    def __str__(self) -> str:
        return f"{self.setting}: {self.sentences(str)}"

    def sentences(self, called: Callable[[str], str]) -> str:
        """Say what is wrong and what would be right; ``called`` names another setting."""
        remedy = self.remedy.format(called(self.other)) if self.other else self.remedy
        return f"{self.problem}. {remedy}."


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
