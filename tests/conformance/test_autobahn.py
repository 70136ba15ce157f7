"""Every Autobahn case; sections 9, 12 and 13 move gigabytes, so this is not for every change."""

import pytest

from tests.apps import sockets as app
from tests.support.autobahn import shortcomings
from tests.support.servers import EngineServer

pytest.importorskip("kosoku")
pytestmark = [
    pytest.mark.conformance,
    # kosoku leaves the data of sections 12 and 13 to the collector.
    pytest.mark.filterwarnings("ignore:unclosed file .*testdata:ResourceWarning"),
]

SECTIONS = ["6.*", "9.*", *(f"12.{row}.*" for row in range(1, 6))]
SECTIONS += [f"13.{row}.*" for row in range(1, 8)]


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("section", SECTIONS)
def test_section(section):
    with EngineServer(app.asgi) as server:
        assert shortcomings(server, [section]) == []
