"""Click's types for values of ours, as other packages import them from ``granian.cli``.

The command itself takes texts from click and lets the settings model convert them; these are for
commands of others that wrap the server and offer the same options.
"""

from enum import Enum
from typing import Any, Callable, Optional, Type, TypeVar, Union

import click

from ..config.values import parse_duration, parse_octal

Decorated = TypeVar("Decorated", bound=Union[Callable[..., Any], click.Command])


class Duration(click.IntRange):
    """A number of seconds, or days, hours, minutes and seconds such as ``1h30m``, within bounds."""

    name = "duration"

    def __init__(self, min: Optional[int] = None, max: Optional[int] = None) -> None:
        super().__init__(min, max)

    def convert(
        self, value: Any, param: Optional[click.Parameter], ctx: Optional[click.Context]
    ) -> Any:
        """Return the seconds; ``None`` stays what it is."""
        if value is None:
            return None
        try:
            seconds = parse_duration(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)
        if self.min is not None and seconds < self.min:
            self.fail(f"{value!r} is less than {self.min:g} seconds", param, ctx)
        if self.max is not None and seconds > self.max:
            self.fail(f"{value!r} is more than {self.max:g} seconds", param, ctx)
        return seconds


class OctalIntType(click.ParamType):  # type: ignore[type-arg]  # generic only in newer releases
    """A whole number that is octal when it starts with a zero."""

    name = "Octal integer"

    def convert(
        self, value: Any, param: Optional[click.Parameter], ctx: Optional[click.Context]
    ) -> Any:
        """Return the number; ``None`` stays what it is."""
        if value is None:
            return None
        try:
            return parse_octal(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


class EnumType(click.Choice):  # type: ignore[type-arg]  # generic only in newer releases
    """A choice between the values of an enumeration; converts to its member."""

    def __init__(self, enum: Type[Enum], case_sensitive: bool = False) -> None:
        self._enum = enum
        super().__init__([str(member.value) for member in enum], case_sensitive=case_sensitive)

    def convert(
        self, value: Any, param: Optional[click.Parameter], ctx: Optional[click.Context]
    ) -> Any:
        """Return the member; ``None`` and members stay what they are."""
        if value is None or isinstance(value, Enum):
            return value
        return self._enum(super().convert(value, param, ctx))


def _pretty_print_default(value: Any) -> Any:
    """Return a default as help shows it."""
    if isinstance(value, bool):
        return "enabled" if value else "disabled"
    return value.value if isinstance(value, Enum) else value


def option(
    *declarations: str, cls: Optional[Type[click.Option]] = None, **attributes: Any
) -> Callable[[Decorated], Decorated]:
    """Declare an option whose help shows its variable and default."""
    attributes["show_envvar"] = True
    if "default" in attributes:
        attributes["show_default"] = _pretty_print_default(attributes["default"])
    return click.option(*declarations, cls=cls, **attributes)
