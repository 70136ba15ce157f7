"""Everything in this directory starts real servers."""

from pathlib import Path

import pytest

from tests.support.clients import http_client

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items):
    for item in items:
        if HERE in Path(item.path).parents:
            item.add_marker(pytest.mark.e2e)


@pytest.fixture(params=["HTTP/1.1", "HTTP/2"])
def client(server, request):
    """Whoever has a ``server`` may be asked by both versions."""
    with http_client(server, request.param == "HTTP/2") as made:
        yield made
