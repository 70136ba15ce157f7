"""From the keywords of ``Granian(...)`` to plans.

The keywords are upstream's, with the 1.x names beside them; the rules about them are the command's
own (``config.plans``). Main thread, once per server.
"""

import functools
import inspect
import os
from typing import TYPE_CHECKING, Any, Callable, Collection, Dict, Mapping, NoReturn

from ..config.plans import Plans, make_plans
from ..errors import ConfigurationError

if TYPE_CHECKING:
    from typing_extensions import ParamSpec

    P = ParamSpec("P")

RENAMED: Dict[str, str] = {
    "target": "app",
    "address": "host",
    "log_access": "log_access_enabled",
    "log_access_format": "log_access_fmt",
    "ssl_cert": "ssl_certificate",
    "ssl_key": "ssl_keyfile",
    "ssl_key_password": "ssl_keyfile_password",
}
"""Keywords whose setting has another name."""

ALIASES: Dict[str, str] = {
    "threads": "runtime_threads",
    "pthreads": "blocking_threads",
    "threading_mode": "runtime_mode",
}
"""Keywords of the 1.x line."""

_MODES = {"workers": "st", "runtime": "mt"}

_HTTP1 = {
    "header_read_timeout": "http1_header_read_timeout",
    "keep_alive": "http1_keep_alive",
    "max_buffer_size": "http1_buffer_size",
    "pipeline_flush": "http1_pipeline_flush",
}

_APART = ("http1_settings", "http2_settings", "log_dictconfig", "reload_filter", "task_impl")
"""Keywords that are no settings of the command, or not under one name."""


def plans_of(keywords: Mapping[str, Any]) -> Plans:
    """Make the plans that a set of keywords asks for.

    Args:
        keywords: By their names in ``Granian(...)``; None means the default.

    Raises:
        ConfigurationError: Some of them cannot be satisfied, alone or together.
        TypeError: There is no such keyword.
    """
    settings: Dict[str, Any] = {}
    for keyword, value in keywords.items():
        if value is not None and keyword not in _APART:
            name = ALIASES.get(keyword, keyword)
            settings[RENAMED.get(name, name)] = _plain(value)
    mode = settings.get("runtime_mode")
    if mode is not None:
        settings["runtime_mode"] = _MODES.get(mode, mode)
    if keywords.get("task_impl") is not None and "loop_opt" not in settings:
        settings["loop_opt"] = str(keywords["task_impl"]) == "rust"
    _unfold(settings, keywords)
    _check(settings)
    return make_plans(settings, log_config=keywords.get("log_dictconfig"), called=keyword_of)


def like(
    original: "Callable[P, None]", without: Collection[str], **defaults: Any
) -> "Callable[[Callable[..., None]], Callable[P, None]]":
    """Give a constructor the parameters of another one, which then stand in one place only.

    Args:
        original: Whose parameters, their order and defaults.
        without: Names of those that make no sense here.
        defaults: Other defaults, by name.

    Returns:
        A decorator; what it decorates gets every parameter by name. A type checker sees the
        parameters of the original.
    """
    parameters = [
        parameter.replace(default=defaults.get(parameter.name, parameter.default))
        for parameter in inspect.signature(original).parameters.values()
        if parameter.name not in without
    ]
    signature = inspect.Signature(parameters, return_annotation=None)

    def decorate(constructor: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(constructor)
        def construct(*args: Any, **keywords: Any) -> None:
            given = signature.bind(*args, **keywords)
            given.apply_defaults()
            more = given.arguments.pop("more")
            constructor(**given.arguments, **more)

        construct.__signature__ = signature  # type: ignore[attr-defined]  # what inspect looks for
        return construct

    return decorate


def _unfold(settings: Dict[str, Any], keywords: Mapping[str, Any]) -> None:
    http1, http2 = keywords.get("http1_settings"), keywords.get("http2_settings")
    if http1 is not None:
        for attribute, name in _HTTP1.items():
            settings[name] = getattr(http1, attribute)
    if http2 is not None:
        for attribute, value in vars(http2).items():
            settings[f"http2_{attribute}"] = value


def _check(settings: Dict[str, Any]) -> None:
    from ..config.options import CANONICAL

    for name, value in list(settings.items()):
        row = CANONICAL.get(name)
        if row is None:
            raise TypeError(f"Granian() got an unexpected keyword argument {keyword_of(name)!r}")
        if row.choices and isinstance(value, str):
            value = settings[name] = value.lower()
        if row.choices and value not in row.choices:
            raise ConfigurationError(
                f"{keyword_of(name)} cannot be {value!r}; it is one of {', '.join(row.choices)}"
            )
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            if row.minimum is not None and value < row.minimum:
                _out_of_range(name, value, f"at least {row.minimum}")
            if row.maximum is not None and value > row.maximum:
                _out_of_range(name, value, f"at most {row.maximum}")


def _out_of_range(name: str, value: float, bound: str) -> NoReturn:
    raise ConfigurationError(f"{keyword_of(name)} is {value}, but must be {bound}")


def _plain(value: Any) -> Any:
    """Turn enumeration members, paths and lists into what settings hold."""
    if isinstance(value, bool):
        return value
    if isinstance(value, str):
        return str(value)
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, (list, tuple)):
        return tuple(_plain(item) for item in value)
    return value


def keyword_of(name: str) -> str:
    """Name a setting by its keyword."""
    return _KEYWORDS.get(name, name)


_KEYWORDS = {name: keyword for keyword, name in RENAMED.items()}
