"""Load the application that a target names, and say in two lines why it cannot be loaded.

Runs in the worker that will serve it (or once in the main process, where workers are threads).
The classified errors are for a person who has just made an ordinary mistake: the sentence first,
then a hint that can be pasted or the frames of their own code, never ours. Guesses are made only
where a signature leaves no doubt; what is not certainly wrong is served.
"""

import importlib
import inspect
import linecache
import os
import re
import sys
import traceback
from functools import partial
from types import ModuleType, TracebackType
from typing import Any, Iterable, List, NamedTuple, Optional, Tuple

from .errors import FatalError

DEFAULT_ATTRIBUTE = "app"

_SEPARATOR = re.compile(r":(?![\\/])")
_FRAMES_SHOWN = 10
_LIKELY = ("app", "application", "asgi", "wsgi", "rsgi", "api", "asgi_app", "wsgi_app")
_FACTORIES = ("create_app", "make_app", "get_app", "build_app", "create_application")

_ARITY = {"asgi": 3, "asginl": 3, "rsgi": 2, "wsgi": 2}
_PARAMETERS = {
    "asgi": "scope, receive, send",
    "asginl": "scope, receive, send",
    "rsgi": "scope, protocol",
    "wsgi": "environ, start_response",
}


class TargetError(FatalError):
    """The target cannot be loaded; ``str`` is the text to print."""


def load_target(
    target: str,
    wd: Optional[str] = None,
    factory: bool = False,
    interface: Optional[str] = None,
) -> Any:
    """Import the application a target names.

    Args:
        target: ``module:attribute``, or a path to a file and ``:attribute``; ``app`` by default.
        wd: A folder to import from beside the current one; it is not entered.
        factory: Call what the target names and take its result.
        interface: Refuse what certainly does not speak it; None to refuse nothing.

    Raises:
        TargetError: There is nothing to serve, with the reason in words.
    """
    path, attribute = split_target(target)
    module = _import(target, path, wd)
    found = _attribute(target, module, attribute)
    if factory:
        found = _made(target, found)
    if interface is not None:
        _check(target, found, interface, factory)
    return found


def split_target(target: str) -> Tuple[str, str]:
    """Split a target at its first colon that is not part of a Windows drive."""
    parts = _SEPARATOR.split(target, maxsplit=1)
    return parts[0], (parts[1] if len(parts) > 1 else "") or DEFAULT_ATTRIBUTE


# Importing


def module_name(path: str) -> Tuple[str, str]:
    """Turn the path of a target into a folder to import from and a dotted name.

    Packages are climbed out of: ``src/pkg/__init__.py`` and ``src/pkg`` are ``pkg`` in ``src``.
    """
    path = os.path.realpath(path)
    base, extension = os.path.splitext(path)
    if extension == ".py":
        path = base
    if os.path.basename(path) == "__init__":
        path = os.path.dirname(path)
    names: List[str] = []
    while True:
        path, name = os.path.split(path)
        names.insert(0, name)
        if not os.path.exists(os.path.join(path, "__init__.py")):
            return path, ".".join(names)


def _import(target: str, path: str, wd: Optional[str]) -> ModuleType:
    folder, name = module_name(path)
    for entry in (os.path.abspath(wd) if wd else os.getcwd(), folder):
        if sys.path[:1] != [entry]:
            sys.path.insert(0, entry)
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if not _frames(error.__traceback__) and _leads_to(error.name, name):
            raise TargetError(_no_module(target, path, name, error)) from None
        raise TargetError(_missing_dependency(target, error)) from None
    except SyntaxError as error:
        raise TargetError(_syntax_error(target, error)) from None
    except Exception as error:
        raise TargetError(_raised(f"{target} cannot be imported", error)) from None


def _leads_to(missing: Optional[str], name: str) -> bool:
    """Tell whether a missing module is the target's own or one of the packages it is in."""
    return missing is not None and (name + ".").startswith(missing + ".")


def _no_module(target: str, path: str, name: str, error: ModuleNotFoundError) -> str:
    if path.endswith(".py") or "/" in path or os.sep in path:
        folder = os.path.dirname(path) or "."
        guess = _nearest(os.path.basename(path), _python_files(folder))
        hint = os.path.join(os.path.dirname(path), guess) if guess else ""
        text = f"Cannot load {target}: there is no file {path!r}."
    else:
        parent, dot, last = name.rpartition(".")
        if dot and error.name == name:
            package = sys.modules.get(parent)
            if package is not None and not hasattr(package, "__path__"):
                return (
                    f"Cannot load {target}: {parent!r} is a module, not a package.\n"
                    f"Did you mean {parent}:{last}?"
                )
        missing = error.name or name
        guess = _nearest(missing, (entry[:-3] for entry in _python_files(".")))
        hint = guess + name[len(missing) :] if guess else ""
        text = f"Cannot load {target}: there is no module {missing!r} in {os.getcwd()}."
    if not hint:
        return text
    attribute = _SEPARATOR.split(target, maxsplit=1)[1:]
    return f"{text}\nDid you mean {':'.join([hint, *attribute])}?"


def _python_files(folder: str) -> List[str]:
    """Return what can be imported from a folder, packages as if they were files."""
    try:
        entries = os.listdir(folder)
    except OSError:
        return []
    packages = [
        entry + ".py"
        for entry in entries
        if os.path.exists(os.path.join(folder, entry, "__init__.py"))
    ]
    return packages + [entry for entry in entries if entry.endswith(".py")]


def _missing_dependency(target: str, error: ModuleNotFoundError) -> str:
    if error.name is None:
        return _raised(f"{target} cannot be imported", error)
    sentence = f"{target} cannot be imported: it needs the module {error.name!r}, which "
    sentence += "does not exist." if "." in error.name else "is not installed."
    return "\n".join([sentence, *_shown_frames(error.__traceback__)])


def _syntax_error(target: str, error: SyntaxError) -> str:
    if error.filename is None or error.lineno is None:
        return _raised(f"{target} cannot be imported", error)
    lines = [
        f"{target} cannot be imported: syntax error in {_relative(error.filename)}, "
        f"line {error.lineno}: {error.msg}"
    ]
    text = error.text or ""
    if text.strip():
        shown = text.strip()
        lines.append(f"    {shown}")
        column = (error.offset or 1) - 1 - (len(text) - len(text.lstrip()))
        lines.append("    " + " " * min(max(column, 0), len(shown)) + "^")
    return "\n".join(lines)


# The attribute


def _attribute(target: str, module: ModuleType, attribute: str) -> Any:
    found: Any = module
    for depth, name in enumerate(attribute.split(".")):
        try:
            found = getattr(found, name)
        except AttributeError as error:
            if _frames(error.__traceback__):  # a property or a module's __getattr__ of theirs
                raise TargetError(_raised(f"{target} cannot be read", error)) from None
            raise TargetError(_no_attribute(target, module, found, attribute, depth)) from None
        except Exception as error:
            raise TargetError(_raised(f"{target} cannot be read", error)) from None
    return found


def _no_attribute(target: str, module: ModuleType, owner: Any, attribute: str, depth: int) -> str:
    names = attribute.split(".")
    name = names[depth]
    what = f"module {module.__name__!r}" if depth == 0 else repr(".".join(names[:depth]))
    text = f"Cannot load {target}: {what} has no attribute {name!r}."
    guess = _nearest(name, (entry for entry in dir(owner) if not entry.startswith("_")))
    if guess is None and depth == 0:
        guess = _callable_among(owner, (*_LIKELY, *_FACTORIES))
    if guess is None:
        return text
    path = _SEPARATOR.split(target, maxsplit=1)[0]
    better = ".".join([*names[:depth], guess, *names[depth + 1 :]])
    factory = " --factory" if guess in _FACTORIES else ""
    return f"{text}\nDid you mean {path}:{better}{factory}?"


def _callable_among(owner: Any, names: Iterable[str]) -> Optional[str]:
    return next((name for name in names if callable(getattr(owner, name, None))), None)


def _made(target: str, factory: Any) -> Any:
    if not callable(factory):
        raise TargetError(
            f"Cannot load {target}: with --factory it must be callable, but it is {_kind(factory)}."
        )
    shape = _shape(factory)
    if shape is not None and shape.required > 0:
        raise TargetError(
            f"Cannot load {target}: a factory is called without arguments, but this one needs "
            f"{_count(shape.required)}.\nLeave out --factory if it is the application itself."
        )
    if shape is not None and shape.asynchronous:
        raise TargetError(
            f"Cannot load {target}: a factory must return the application, "
            "but this one is a coroutine function."
        )
    try:
        made = factory()
    except Exception as error:
        raise TargetError(_raised(f"The factory {target} failed", error)) from None
    if made is None:
        raise TargetError(f"Cannot load {target}: the factory returned None.")
    return made


# What the application looks like


class _Shape(NamedTuple):
    """What is certain about a callable: how many positional arguments it takes."""

    required: int
    possible: int
    names: Tuple[str, ...]
    asynchronous: bool
    is_class: bool

    def takes(self, count: int) -> bool:
        return self.required <= count <= self.possible


def _shape(application: Any) -> Optional[_Shape]:
    """Read a signature; None when it leaves doubt, as ``*args`` does."""
    is_class = inspect.isclass(application)
    called = application
    if not (is_class or inspect.isroutine(application) or isinstance(application, partial)):
        called = getattr(application, "__call__", application)  # noqa: B004 - wanted: the method
    try:
        parameters = inspect.signature(called, follow_wrapped=False).parameters.values()
    except (TypeError, ValueError):
        return None
    names, required = [], 0
    for parameter in parameters:
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            return None
        if parameter.kind == parameter.KEYWORD_ONLY:
            continue
        names.append(parameter.name)
        required += parameter.default is parameter.empty
    asynchronous = inspect.iscoroutinefunction(called) or inspect.iscoroutinefunction(application)
    return _Shape(required, len(names), tuple(names), asynchronous, is_class)


def _check(target: str, application: Any, interface: str, factory: bool) -> None:
    """Refuse what cannot be called the way the interface calls."""
    if interface == "rsgi" and hasattr(application, "__rsgi__"):
        return
    if not callable(application):
        raise TargetError(_not_callable(target, application))
    shape = _shape(application)
    if shape is None:
        return
    speaks = _certainly_speaks(shape)
    if shape.takes(_ARITY[interface]) and (speaks is None or speaks == interface[:4]):
        return
    if speaks is not None and speaks != interface[:4]:
        raise TargetError(
            f"Cannot load {target}: it looks like {_article(speaks)} application "
            f"({_PARAMETERS[speaks]}), but the interface is {interface}.\n"
            f"Add --interface {speaks}."
        )
    if shape.possible == 0 and not factory:
        raise TargetError(
            f"Cannot load {target}: it takes no arguments, so it is no {interface} application.\n"
            "Add --factory if it makes one."
        )
    if shape.is_class and shape.possible != 0:
        return  # what calling a class needs says little of what its instances do
    raise TargetError(
        f"Cannot load {target}: it takes {_count(shape.required)}, but {_article(interface)} "
        f"application is called with {_ARITY[interface]}: {_PARAMETERS[interface]}."
    )


def _certainly_speaks(shape: _Shape) -> Optional[str]:
    """Name the interface whose calls a callable fits, if there is no doubt."""
    if shape.takes(3) and not shape.takes(2):
        return "asgi"
    if shape.takes(2) and not shape.takes(3):
        if shape.asynchronous:
            return "rsgi"
        if shape.names[1] == "start_response" or shape.names[0] in ("environ", "env"):
            return "wsgi"
    return None


def _not_callable(target: str, application: Any) -> str:
    text = f"Cannot load {target}: it is {_kind(application)}, which cannot be called."
    guess = None
    if isinstance(application, ModuleType):
        guess = _callable_among(application, _LIKELY)
    if guess is None:
        return text
    path, attribute = split_target(target)
    return f"{text}\nDid you mean {path}:{attribute}.{guess}?"


def _kind(value: Any) -> str:
    return "None" if value is None else _article(type(value).__name__)


def _article(noun: str) -> str:
    spoken_vowel = noun[:1].lower() in "aeio" or noun == "rsgi"
    return f"an {noun}" if spoken_vowel else f"a {noun}"


def _count(arguments: int) -> str:
    return f"{arguments} argument" + ("" if arguments == 1 else "s")


# What they raised


def _raised(sentence: str, error: BaseException) -> str:
    """Tell an exception of the application's: what it says, what it came from, their frames."""
    lines = [f"{sentence}: {_words(error)}", *_shown_frames(error.__traceback__)]
    seen = {id(error)}
    cause = _cause(error)
    while cause is not None and id(cause) not in seen:
        lines += [f"  caused by {_words(cause)}", *_shown_frames(cause.__traceback__)]
        seen.add(id(cause))
        cause = _cause(cause)
    return "\n".join(lines)


def _cause(error: BaseException) -> Optional[BaseException]:
    if error.__cause__ is not None or error.__suppress_context__:
        return error.__cause__
    return error.__context__


def _words(error: BaseException) -> str:
    return "".join(traceback.format_exception_only(type(error), error)).strip()


def _frames(trace: Optional[TracebackType]) -> List[Tuple[str, int, str]]:
    """Return the frames that are neither ours nor the import system's."""
    ours = (__file__, importlib.__file__)
    return [
        (frame.f_code.co_filename, line, frame.f_code.co_name)
        for frame, line in traceback.walk_tb(trace)
        if not frame.f_code.co_filename.startswith("<frozen importlib")
        and frame.f_code.co_filename not in ours
    ]


def _shown_frames(trace: Optional[TracebackType]) -> List[str]:
    frames = _frames(trace)
    lines = ["  ..."] if len(frames) > _FRAMES_SHOWN else []
    for filename, line, function in frames[-_FRAMES_SHOWN:]:
        lines.append(f'  File "{_relative(filename)}", line {line}, in {function}')
        source = linecache.getline(filename, line).strip()
        if source:
            lines.append(f"    {source}")
    return lines


def _relative(filename: str) -> str:
    """Shorten the path of a file below the current folder."""
    here = os.getcwd() + os.sep
    return filename[len(here) :] if filename.startswith(here) else filename


def _nearest(word: str, candidates: Iterable[str]) -> Optional[str]:
    from difflib import get_close_matches

    found = get_close_matches(word, list(candidates), n=1, cutoff=0.6)
    return found[0] if found else None
