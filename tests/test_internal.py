import os
import sys
import textwrap

import pytest

from granian._internal import TargetError, load_target, module_name, split_target
from granian.errors import FatalError


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A current folder to write modules into; what is imported from it is forgotten again."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    before = set(sys.modules)

    def write(**files):
        for name, text in files.items():
            path = tmp_path.joinpath(*name.split("__in__")).with_suffix(".py")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(textwrap.dedent(text))
        return tmp_path

    yield write
    for name in set(sys.modules) - before:
        del sys.modules[name]


def refusal(target, **options):
    with pytest.raises(TargetError) as caught:
        load_target(target, **options)
    return str(caught.value)


ASGI = "async def app(scope, receive, send): ...\n"
RSGI = "async def app(scope, protocol): ...\n"
WSGI = "def app(environ, start_response): ...\n"


# Targets


@pytest.mark.parametrize(
    ("target", "parts"),
    [
        ("main", ("main", "app")),
        ("main:", ("main", "app")),
        ("main:api.v1", ("main", "api.v1")),
        ("C:\\site\\main.py:app", ("C:\\site\\main.py", "app")),
        ("C:/site/main.py", ("C:/site/main.py", "app")),
        ("a:b:c", ("a", "b:c")),
    ],
)
def test_targets_split_at_the_colon_that_is_no_drive(target, parts):
    assert split_target(target) == parts


def test_names_of_modules(project):
    root = project(pkg__in__sub__in__mod="", pkg__in__sub__in____init__="", pkg__in____init__="")
    real = os.path.realpath(root)
    assert module_name("mod") == (real, "mod")
    assert module_name("pkg.sub.mod") == (real, "pkg.sub.mod")
    assert module_name("pkg/sub/mod.py") == (real, "pkg.sub.mod")
    assert module_name("pkg/sub/__init__.py") == (real, "pkg.sub")
    assert module_name("pkg/sub") == (real, "pkg.sub")
    assert module_name("src/mod.py") == (os.path.join(real, "src"), "mod")


@pytest.mark.parametrize(
    "target",
    [
        "one",
        "one:app",
        "one.py",
        "./one.py:app",
        "src/two.py",
        "pkg.three",
        "pkg/three.py:app",
        "pkg/__init__.py",
        "pkg",
        "one:deep.app",
    ],
)
def test_targets_that_load(project, target):
    code = "class deep:\n    app = 'here'\napp = 'here'\n"
    project(one=code, src__in__two=code, pkg__in____init__=code, pkg__in__three=code)
    assert load_target(target) == "here"


def test_absolute_paths_load(project):
    root = project(one="app = 1")
    assert load_target(f"{root}/one.py:app") == 1


def test_the_root_of_the_target_comes_first_then_the_current_folder(project):
    root = os.path.realpath(project(src__in__two="import one\napp = one.app", one="app = 5"))
    assert load_target("src/two.py") == 5
    assert sys.path[:2] == [os.path.join(root, "src"), root]


def test_the_working_directory_is_imported_from_and_not_entered(project):
    root = os.path.realpath(project(elsewhere__in__one="app = 1"))
    assert load_target("one:app", wd="elsewhere") == 1
    assert os.path.join(root, "elsewhere") in sys.path
    assert os.path.realpath(os.getcwd()) == root


# Missing things


def test_a_missing_module(project):
    root = project(main=ASGI)
    assert refusal("mian:app") == (
        f"Cannot load mian:app: there is no module 'mian' in {os.getcwd()}.\nDid you mean main:app?"
    )
    assert refusal("zzzzzz") == (
        f"Cannot load zzzzzz: there is no module 'zzzzzz' in {os.getcwd()}."
    )
    assert root.name in refusal("zzzzzz")


def test_a_missing_package(project):
    project(pkg__in____init__="", pkg__in__mod=ASGI)
    assert refusal("pgk.mod:app").endswith("\nDid you mean pkg.mod:app?")


def test_a_missing_file(project):
    project(main=ASGI, src__in__server=ASGI)
    assert refusal("mian.py:app") == (
        "Cannot load mian.py:app: there is no file 'mian.py'.\nDid you mean main.py:app?"
    )
    assert refusal("src/sever.py") == (
        "Cannot load src/sever.py: there is no file 'src/sever.py'.\nDid you mean src/server.py?"
    )


def test_a_dot_instead_of_the_colon(project):
    project(main=ASGI)
    assert refusal("main.app") == (
        "Cannot load main.app: 'main' is a module, not a package.\nDid you mean main:app?"
    )


def test_a_missing_attribute(project):
    project(
        main=ASGI,
        other="def application(environ, start_response): ...",
        bare="x = 1",
        fab="def create_app(): ...",
    )
    assert refusal("main:ap") == (
        "Cannot load main:ap: module 'main' has no attribute 'ap'.\nDid you mean main:app?"
    )
    assert refusal("other") == (
        "Cannot load other: module 'other' has no attribute 'app'.\nDid you mean other:application?"
    )
    assert refusal("bare") == "Cannot load bare: module 'bare' has no attribute 'app'."
    assert refusal("fab:srv").endswith("\nDid you mean fab:create_app --factory?")


def test_a_missing_attribute_further_down(project):
    project(main="class api:\n    handler = len\n")
    assert refusal("main:api.handlre") == (
        "Cannot load main:api.handlre: 'api' has no attribute 'handlre'.\n"
        "Did you mean main:api.handler?"
    )


def test_a_missing_dependency(project):
    project(main="import nowhere_to_be_found\napp = 1\n", deep="import main")
    assert refusal("main:app") == (
        "main:app cannot be imported: it needs the module 'nowhere_to_be_found', "
        "which is not installed.\n"
        '  File "main.py", line 1, in <module>\n'
        "    import nowhere_to_be_found"
    )
    assert refusal("deep").count("File") == 2
    assert "importlib" not in refusal("deep")


def test_a_dependency_without_a_part_of_it(project):
    project(main="import json.nothing\n")
    assert "it needs the module 'json.nothing', which does not exist." in refusal("main")


def test_a_missing_sibling_is_no_missing_target(project):
    project(pkg__in____init__="", pkg__in__mod="import pkg.sibling\n")
    assert "it needs the module 'pkg.sibling'" in refusal("pkg.mod:app")


# Code that fails


def test_an_import_that_raises(project):
    project(main="import conf\n", conf="def read():\n    raise ValueError('no [key]')\nread()\n")
    assert refusal("main:app") == (
        "main:app cannot be imported: ValueError: no [key]\n"
        '  File "main.py", line 1, in <module>\n'
        "    import conf\n"
        '  File "conf.py", line 3, in <module>\n'
        "    read()\n"
        '  File "conf.py", line 2, in read\n'
        "    raise ValueError('no [key]')"
    )


def test_an_import_that_raises_from_something(project):
    project(main="try:\n    {}['x']\nexcept KeyError as e:\n    raise RuntimeError('top') from e\n")
    assert refusal("main") == (
        "main cannot be imported: RuntimeError: top\n"
        '  File "main.py", line 4, in <module>\n'
        "    raise RuntimeError('top') from e\n"
        "  caused by KeyError: 'x'\n"
        '  File "main.py", line 2, in <module>\n'
        "    {}['x']"
    )


def test_endless_recursion_is_cut(project):
    project(main="def f():\n    f()\nf()\n")
    text = refusal("main")
    assert "RecursionError" in text
    assert text.count("File") == 10


def test_a_syntax_error(project):
    project(main="x = 1\nif True:\n    def app(a b):\n        pass\n", deep="import main")
    first, source, caret = refusal("main:app").splitlines()
    assert first.startswith("main:app cannot be imported: syntax error in main.py, line 3: ")
    assert source == "    def app(a b):"
    assert caret.strip() == "^"
    assert 4 <= caret.index("^") <= len(source)
    assert "main.py, line 3" in refusal("deep")


def test_a_file_that_is_no_text(project):
    root = project()
    (root / "main.py").write_bytes(b"x = '\xff'\n")
    assert "cannot be imported" in refusal("main")


def test_what_ends_the_process_is_not_caught(project):
    project(main="raise SystemExit(0)")
    with pytest.raises(SystemExit):
        load_target("main")


# Things that are no application


@pytest.mark.parametrize(
    ("code", "kind"), [("app = 'x'", "a str"), ("app = None", "None"), ("app = 3", "an int")]
)
def test_what_cannot_be_called(project, code, kind):
    project(main=code)
    assert refusal("main:app", interface="asgi") == (
        f"Cannot load main:app: it is {kind}, which cannot be called."
    )


def test_a_module_instead_of_what_is_in_it(project):
    project(pkg__in____init__="from . import app", pkg__in__app=ASGI)
    assert refusal("pkg:app", interface="asgi") == (
        "Cannot load pkg:app: it is a module, which cannot be called.\nDid you mean pkg:app.app?"
    )


@pytest.mark.parametrize(
    ("code", "interface", "better"),
    [
        (ASGI, "rsgi", "asgi"),
        (ASGI, "wsgi", "asgi"),
        (RSGI, "asgi", "rsgi"),
        (RSGI, "wsgi", "rsgi"),
        (WSGI, "asgi", "wsgi"),
        (WSGI, "rsgi", "wsgi"),
        (
            "class A:\n    async def __call__(self, scope, receive, send): ...\napp = A()",
            "rsgi",
            "asgi",
        ),
        (
            "class A:\n    def __call__(self, environ, start_response): ...\napp = A()",
            "asginl",
            "wsgi",
        ),
        (
            "from functools import partial\nasync def f(x, scope, receive, send): ...\n"
            "app = partial(f, 1)",
            "rsgi",
            "asgi",
        ),
    ],
)
def test_the_wrong_interface(project, code, interface, better):
    project(main=code)
    text = refusal("main:app", interface=interface)
    assert text.endswith(f"but the interface is {interface}.\nAdd --interface {better}.")
    assert text.count("\n") == 1
    assert load_target("main:app", interface=better)


@pytest.mark.parametrize(
    ("code", "interface"),
    [
        (ASGI, "asginl"),
        ("def app(*args): ...", "asgi"),
        ("def app(scope, receive, send): ...", "asgi"),
        ("def app(scope, protocol): ...", "rsgi"),
        ("def app(a, b): ...", "wsgi"),
        ("def app(environ, start_response, extra=None): ...", "wsgi"),
        ("async def app(scope, receive, send, extra=None): ...", "asgi"),
        ("class app:\n    def __init__(self, scope, receive, send): ...", "asgi"),
        ("class app:\n    def __init__(self, environ, start_response): ...", "wsgi"),
        ("class app:\n    def __init__(self, scope): ...", "asgi"),
        ("class A:\n    def __rsgi__(self, scope, protocol): ...\napp = A()", "rsgi"),
        (
            "class A:\n    def __rsgi__(self): ...\n    def __call__(self, a): ...\napp = A()",
            "rsgi",
        ),
        ("app = print", "asgi"),
        ("app = dict", "wsgi"),
        (
            "import functools\nasync def f(s, r, x): ...\n@functools.wraps(f)\n"
            "def app(*a, **k): ...",
            "rsgi",
        ),
    ],
)
def test_what_may_be_right_is_served(project, code, interface):
    project(main=code)
    assert load_target("main:app", interface=interface) is not None


def test_any_other_number_of_arguments(project):
    project(main="def app(one): ...\ndef five(a, b, c, d, e): ...")
    assert refusal("main:app", interface="asgi") == (
        "Cannot load main:app: it takes 1 argument, but an asgi application is called with 3: "
        "scope, receive, send."
    )
    assert "it takes 5 arguments, but an rsgi application" in refusal("main:five", interface="rsgi")


# Factories


def test_a_factory_is_called_only_when_asked_for(project):
    project(main=f"{ASGI}def make(): return app\n")
    assert load_target("main:make", factory=True, interface="asgi").__name__ == "app"
    assert refusal("main:make", interface="asgi") == (
        "Cannot load main:make: it takes no arguments, so it is no asgi application.\n"
        "Add --factory if it makes one."
    )


def test_an_application_class_can_be_a_factory(project):
    project(main="class App:\n    async def __call__(self, scope, receive, send): ...\n")
    assert load_target("main:App", factory=True, interface="asgi")
    assert refusal("main:App", interface="asgi").endswith("Add --factory if it makes one.")


@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        ("make = 3", "with --factory it must be callable, but it is an int."),
        ("def make(): pass", "the factory returned None."),
        (
            "async def make(): pass",
            "a factory must return the application, but this one is a coroutine function.",
        ),
        (
            "def make(scope, receive, send): pass",
            "a factory is called without arguments, but this "
            "one needs 3 arguments.\nLeave out --factory if it is the application itself.",
        ),
    ],
)
def test_factories_that_are_none(project, code, sentence):
    project(main=code)
    assert refusal("main:make", factory=True) == f"Cannot load main:make: {sentence}"


def test_a_factory_that_raises(project):
    project(main="def make():\n    raise OSError('no disk')\n")
    assert refusal("main:make", factory=True) == (
        "The factory main:make failed: OSError: no disk\n"
        '  File "main.py", line 2, in make\n'
        "    raise OSError('no disk')"
    )


def test_refusals_are_for_the_operator(project):
    project()
    with pytest.raises(FatalError):
        load_target("nothing_here")
