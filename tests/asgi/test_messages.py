import pytest

from granian.asgi.messages import as_octets, flow_error, unsupported


@pytest.mark.parametrize("body", [b"ab", bytearray(b"ab"), memoryview(b"ab")])
def test_every_form_of_octets(body):
    octets = as_octets(body)
    assert octets == b"ab"
    assert type(octets) is bytes


@pytest.mark.parametrize("body", ["ab", None, 2, [97]])
def test_what_is_no_octets_is_no_message(body):
    with pytest.raises(RuntimeError, match=r"^Unsupported ASGI message$"):
        as_octets(body)


def test_the_texts_that_applications_compare():
    assert unsupported().args == ("Unsupported ASGI message",)
    assert flow_error("Response not started").args == ("ASGI flow error: Response not started",)
