import sys
import types

import pytest

from granian.errors import FatalError
from granian.server import title


@pytest.fixture
def names(monkeypatch):
    given = []
    library = types.ModuleType("setproctitle")
    library.setproctitle = given.append
    library.__spec__ = types.SimpleNamespace(name="setproctitle")
    monkeypatch.setitem(sys.modules, "setproctitle", library)
    return given


def test_a_process_is_named(names):
    title.check("shop")
    title.entitle("shop worker-1")
    assert names == ["shop worker-1"]


def test_a_name_that_cannot_be_given_is_refused(monkeypatch):
    monkeypatch.setattr(title, "find_spec", lambda name: None)
    title.check(None)
    with pytest.raises(FatalError, match="needs the package setproctitle"):
        title.check("shop")
