import pytest

from tests.support.http2 import Server


@pytest.fixture(params=[True, False], ids=["lane", "h2"])
def lane(request):
    return request.param


@pytest.fixture
def serve(lane):
    """Make a greeted session; by default its application never answers."""

    def make(script=None, **options):
        return Server(script, lane=lane, **options)

    return make
