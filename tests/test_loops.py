"""The registry of loops."""

import asyncio
import pickle
import sys
import types

import pytest

from granian._loops import Registry, loops


def test_asyncio_is_built():
    loop = loops.get("asyncio")
    assert isinstance(loop, asyncio.SelectorEventLoop)
    loop.close()


def test_auto_is_the_loop_over_our_own_poller():
    assert loops.is_native("auto")
    assert loops.is_native("asyncio")
    assert not loops.is_native("uvloop")
    assert "auto" in loops
    assert "auto" in loops.keys()  # noqa: SIM118 - the method is public


def test_unknown_loop():
    with pytest.raises(RuntimeError, match=r"^'nothing' implementation not available\.$"):
        loops.get("nothing")


def test_builder_without_its_package_is_not_stored():
    registry = Registry()

    @registry.register("mine", packages=["no_such_package_here"])
    def build(no_such_package_here):
        raise AssertionError

    assert "mine" not in registry
    assert build is not None


def test_builder_gets_its_packages_by_name(monkeypatch):
    package = types.ModuleType("fake_loop_package")
    package.__spec__ = types.SimpleNamespace()
    monkeypatch.setitem(sys.modules, "fake_loop_package", package)
    registry = Registry()
    registry.register("mine", packages=["fake_loop_package"])(lambda fake_loop_package: package)
    assert registry.get("mine") is package


def test_package_that_breaks_on_import_is_not_available(tmp_path, monkeypatch):
    (tmp_path / "broken_loop_package.py").write_text("raise ImportError('no')")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    registry = Registry()
    registry.register("mine", packages=["broken_loop_package"])(lambda **_: None)
    with pytest.raises(RuntimeError, match="'mine' implementation not available"):
        registry.get("mine")


def test_overridden_auto_is_the_users():
    registry = Registry()
    registry._add_native("auto", asyncio.SelectorEventLoop)
    assert registry.is_native("auto")
    registry.register("auto")(users_loop)
    assert not registry.is_native("auto")
    assert registry.get("auto") == "loop"
    assert registry.custom() == (("auto", (), users_loop),)
    assert pickle.loads(pickle.dumps(registry.custom())) == registry.custom()


def users_loop():
    return "loop"


def test_nothing_is_custom_by_default():
    assert loops.custom() == ()
