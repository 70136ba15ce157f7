"""The registry of event loops behind ``granian.loops``.

``auto`` and ``asyncio`` are both the asyncio loop whose selector is the worker's own poller,
so that no event needs a loop handle; other loops can only watch that poller through ``add_reader``.
Standard library only; a loop's package is imported when the loop is asked for.
"""

import importlib
from types import ModuleType
from typing import TYPE_CHECKING, Callable, Dict, Iterable, Optional, Sequence, Tuple, TypeVar, cast

if TYPE_CHECKING:
    import asyncio

Builder = Callable[..., "asyncio.AbstractEventLoop"]
BuilderT = TypeVar("BuilderT", bound=Builder)


class Registry:
    """Builders of event loops by name; a name registered again replaces the earlier one."""

    __slots__ = ("_builders", "_native", "_packages")

    def __init__(self) -> None:
        self._builders: Dict[str, Builder] = {}
        self._packages: Dict[str, Sequence[str]] = {}
        self._native: Dict[str, Builder] = {}

    def __contains__(self, key: object) -> bool:
        return key in self._builders

    def keys(self) -> Iterable[str]:
        """Return the names that can be asked for here."""
        return self._builders.keys()

    def register(
        self, key: str, packages: Optional[Sequence[str]] = None
    ) -> Callable[[BuilderT], BuilderT]:
        """Return a decorator that stores a builder if all ``packages`` can be imported.

        Args:
            key: The name for ``--loop``; ``auto`` may be overridden.
            packages: Modules that the builder needs; it gets them as keyword arguments.
        """

        def decorate(builder: BuilderT) -> BuilderT:
            if all(_installed(package) for package in packages or ()):
                self._builders[key] = builder
                self._packages[key] = tuple(packages or ())
                self._native.pop(key, None)
            return builder

        return decorate

    def get(self, key: str) -> "asyncio.AbstractEventLoop":
        """Build the loop called ``key``.

        Raises:
            RuntimeError: It is not registered, or a package of it does not import after all.
        """
        try:
            builder = self._builders[key]
            modules = {name: importlib.import_module(name) for name in self._packages[key]}
        except (KeyError, ImportError):
            raise RuntimeError(f"'{key}' implementation not available.") from None
        return builder(**modules)

    def is_native(self, key: str) -> bool:
        """Tell whether ``key`` still means the asyncio loop over the worker's own poller."""
        return key in self._native

    def custom(self) -> "Tuple[Tuple[str, Sequence[str], Builder], ...]":
        """Return what was registered from outside: name, packages, builder."""
        return tuple(
            (key, self._packages[key], builder)
            for key, builder in self._builders.items()
            if builder.__module__ != __name__
        )

    def _add_native(self, key: str, builder: Builder) -> None:
        self.register(key)(builder)
        self._native[key] = builder


def _installed(package: str) -> bool:
    from importlib.util import find_spec

    try:
        return find_spec(package) is not None
    except (ImportError, ValueError):
        return False


def _selector_loop() -> "asyncio.AbstractEventLoop":
    import asyncio

    return asyncio.SelectorEventLoop()


loops = Registry()
"""The one registry; users reach it as ``granian.loops``."""

loops._add_native("auto", _selector_loop)
loops._add_native("asyncio", _selector_loop)


@loops.register("uvloop", packages=["uvloop"])
def _uvloop(uvloop: ModuleType) -> "asyncio.AbstractEventLoop":
    return cast("asyncio.AbstractEventLoop", uvloop.new_event_loop())


@loops.register("winloop", packages=["winloop"])
def _winloop(winloop: ModuleType) -> "asyncio.AbstractEventLoop":
    return cast("asyncio.AbstractEventLoop", winloop.new_event_loop())


@loops.register("rloop", packages=["rloop"])
def _rloop(rloop: ModuleType) -> "asyncio.AbstractEventLoop":
    return cast("asyncio.AbstractEventLoop", rloop.new_event_loop())
