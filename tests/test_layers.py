"""The corridors run downhill: every import of every module, held against the table of rooms."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "granian"

# Room -> (rooms it may import of ours, outside names it must not import). Itself is always allowed.
ZERO = [
    "constants",
    "errors",
    "http",
    "_typing",
    "_compat",
    "_version",
    "plan",
    "log",
    "metrics",
    "_loops",
]
SANS_IO = ["socket", "ssl", "select", "selectors", "threading", "asyncio", "time", "logging"]
WIRE = [name for name in ZERO if name not in ("log", "metrics", "_loops")]
INTERFACE = [*ZERO, *(f"wire.{name}" for name in ("grammar", "head", "status", "text", "waist"))]
UPPER = ["asgi", "rsgi", "wsgi", "tally", "static", "health", "utils"]
ENGINE = [*ZERO, "_waiter", "wire", *UPPER, "net"]
CODECS = ("wire.http1", "wire.http2", "wire.websocket")
WORKER = ["pydantic", "pydantic_settings", "rich", "click", "watchdog"]
ROOMS = {
    **{name: (ZERO, ["granian", *WORKER]) for name in ZERO},
    "wire": (WIRE, [*SANS_IO, *WORKER]),
    "config": (ZERO, ["click", "rich", "watchdog", "asyncio", "socket"]),
    "_waiter": (ZERO, WORKER),
    "asgi": ([*INTERFACE, "_waiter"], WORKER),
    "rsgi": ([*INTERFACE, "_waiter"], WORKER),
    "wsgi": (INTERFACE, [*WORKER, "asyncio"]),
    "tally": (INTERFACE, [*WORKER, "asyncio"]),
    "static": ([*INTERFACE, "tally"], [*WORKER, "asyncio"]),
    "health": (INTERFACE, [*WORKER, "asyncio"]),
    "utils": (INTERFACE, WORKER),
    "net": (ZERO, WORKER),
    "engine": (ENGINE, WORKER),
    "_internal": ([*ENGINE, "engine", "server", "config"], ["click", "rich", "pydantic"]),
    "server": ([*ENGINE, "engine", "_internal", "config"], ["click", "rich", "pydantic"]),
    "_granian": ([*ENGINE, "engine", "server", "_internal"], ["click", "rich", "pydantic"]),
    "cli": ([*ZERO, "config", "server", "_internal"], ["pydantic"]),
    "__main__": (["cli"], []),
    "": ([*ZERO, "rsgi", "asgi", "wsgi", "server", "net"], ["click", "rich", "pydantic"]),
}
MODULES = sorted(
    ".".join(path.relative_to(PACKAGE).with_suffix("").parts).replace(".__init__", "")
    for path in PACKAGE.rglob("*.py")
)


def room_of(module):
    """The room a dotted path below the package belongs to; the package itself is ''."""
    return module.split(".")[0] if module != "__init__" else ""


def imports_of(module):
    """Yield (line, dotted name) of each import, ours relative to the package as '.name'.

    Imports for the type checker alone may name what the room must not load, but no other room.
    """
    path = PACKAGE.joinpath(*module.split("."))
    is_package = path.is_dir()
    source = path / "__init__.py" if is_package else path.with_suffix(".py")
    here = [] if module == "__init__" else module.split(".")
    tree = ast.parse(source.read_text())
    for_types = {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            if node not in for_types:
                yield from ((node.lineno, name.name) for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parents = len(here) + (is_package and module != "__init__") - node.level
                prefix = "." + ".".join([*here[: max(parents, 0)], *filter(None, [base])])
                whole = prefix if len(prefix) > 1 else ""
                yield from ((node.lineno, f"{whole}.{name.name}") for name in node.names)
            elif node not in for_types or base.startswith("granian"):
                yield from ((node.lineno, f"{base}.{name.name}") for name in node.names)


@pytest.mark.parametrize("module", MODULES)
def test_imports_point_to_lower_layers(module):
    room = room_of(module)
    assert room in ROOMS, f"granian/{module} belongs to no room: give it one in {__file__}"
    ours, forbidden = ROOMS[room]
    faults = []
    for line, name in imports_of(module):
        if name.startswith("granian"):
            name = name[len("granian") :] or "."
        if name.startswith("."):
            target = name[1:]
            own = target == room or target.startswith(f"{room}.") or not room
            allowed = own or any(target == up or target.startswith(f"{up}.") for up in ours)
            if not allowed:
                faults.append(f"line {line}: {room or 'granian'} may not import granian{name}")
        elif name.split(".")[0] in forbidden:
            faults.append(f"line {line}: {room or 'granian'} may not import {name}")
    assert not faults, "\n".join(faults)


@pytest.mark.parametrize("module", [name for name in MODULES if name.startswith(CODECS)])
def test_codecs_do_not_know_each_other(module):
    mine = next(codec for codec in CODECS if module.startswith(codec))
    others = [codec for codec in CODECS if codec != mine]
    known = [name for _, name in imports_of(module) if name[1:].startswith(tuple(others))]
    assert not known


def test_the_table_would_notice(tmp_path, monkeypatch):
    """The walker itself: a relative import that climbs is resolved to the room it enters."""
    monkeypatch.setitem(globals(), "PACKAGE", tmp_path)
    (tmp_path / "wire" / "http1").mkdir(parents=True)
    source = "import socket\nfrom ...engine import poller\nfrom ..head import RequestHead\n"
    (tmp_path / "wire" / "http1" / "lane.py").write_text(source)
    seen = [name for _, name in imports_of("wire.http1.lane")]
    assert seen == ["socket", ".engine.poller", ".wire.head.RequestHead"]
    with pytest.raises(AssertionError, match=r"may not import granian\.engine\.poller"):
        test_imports_point_to_lower_layers("wire.http1.lane")
