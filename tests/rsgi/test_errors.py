import pytest

from granian.rsgi import ProtocolClosed, ProtocolError


@pytest.mark.parametrize(
    ("error", "message"),
    [(ProtocolError, "RSGI protocol error"), (ProtocolClosed, "RSGI transport is closed")],
)
def test_errors_are_siblings_that_emmett_can_catch(error, message):
    assert issubclass(error, RuntimeError)
    assert str(error()) == message
    assert not issubclass(ProtocolError, ProtocolClosed)
    assert not issubclass(ProtocolClosed, ProtocolError)
