"""Each module has a test module of its own, where a reader looks for it."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "granian"

# No behaviour of their own to test, each with the reason.
EXEMPT = {
    "__init__.py": "names only, held by test_public_api",
    "server/__init__.py": "names only, held by test_public_api",
    "__main__.py": "one call into the command, shown by every e2e test",
    "_version.py": "one string, held by test_public_api",
    "_typing.py": "aliases only",
    "constants.py": "names only, held by test_public_api",
    "wire/waist.py": "interfaces without a body",
    "plan.py": "defaults only; tests/config makes them",
}


def modules():
    """Every module with code, as a path relative to the package."""
    for path in sorted(PACKAGE.rglob("*.py")):
        tree = ast.parse(path.read_text())
        code = [node for node in tree.body if not is_docstring(node)]
        if path.name != "__init__.py" or any(is_behaviour(node) for node in code):
            yield path.relative_to(PACKAGE).as_posix()


def is_docstring(node):
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def is_behaviour(node):
    return isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef))


def twin_of(module):
    """The test module that belongs to a module: a/b.py -> tests/a/test_b.py."""
    path = Path(module)
    name = path.parent.name if path.name == "__init__.py" else path.stem
    return ROOT / "tests" / path.parent / f"test_{name.lstrip('_')}.py"


@pytest.mark.parametrize("module", [name for name in modules() if name not in EXEMPT])
def test_module_has_its_twin(module):
    twin = twin_of(module)
    assert twin.exists(), f"granian/{module} has no {twin.relative_to(ROOT)}"


@pytest.mark.parametrize("module", EXEMPT)
def test_exemptions_are_needed(module):
    assert not twin_of(module).exists(), f"granian/{module} has a twin now: drop its exemption"
