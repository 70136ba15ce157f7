"""A quick subset of the Autobahn cases, so that every change meets it."""

import pytest

from tests.apps import sockets as app
from tests.support.autobahn import shortcomings
from tests.support.servers import EngineServer

pytest.importorskip("kosoku")

QUICK = ["1.*", "2.*", "3.*", "4.*", "5.*", "6.1.*", "6.2.*", "6.4.*", "7.*", "10.*"]


@pytest.mark.parametrize("interface", ["asgi", "rsgi"])
def test_quick_cases(interface):
    with EngineServer(getattr(app, interface), interface) as server:
        assert shortcomings(server, QUICK) == []
