import io
import os

import pytest

from granian.cli.terminal import columns, say, shows_panels
from granian.errors import FatalError


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize(
    ("stream", "environ", "shown"),
    [
        (Terminal, {}, True),
        (io.StringIO, {}, False),
        (Terminal, {"NO_COLOR": "1"}, False),
        (Terminal, {"NO_COLOR": ""}, True),
        (Terminal, {"TERM": "dumb"}, False),
        (Terminal, {"TERM": "xterm"}, True),
        (io.StringIO, {"FORCE_COLOR": "1"}, True),
        (io.StringIO, {"FORCE_COLOR": ""}, False),
        (Terminal, {"NO_COLOR": "1", "FORCE_COLOR": "1"}, False),
        (Terminal, {"TERM": "dumb", "FORCE_COLOR": "1"}, False),
    ],
)
def test_panels_are_for_terminals_that_can_show_them(stream, environ, shown):
    assert shows_panels(stream(), environ) is shown


def test_a_closed_stream_shows_nothing():
    stream = io.StringIO()
    stream.close()
    assert not shows_panels(stream, {})


def test_width_is_told_by_the_environment_first():
    assert columns(io.StringIO(), {"COLUMNS": "100"}) == 100
    assert columns(io.StringIO(), {"COLUMNS": "wide"}) == 80
    assert columns(io.StringIO(), {"COLUMNS": "0"}, otherwise=70) == 70


def test_what_an_encoding_lacks_is_escaped():
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")
    say("caf\xe9 \u2713\n", stream)
    assert raw.getvalue().strip() == b"caf\\xe9 \\u2713"


def test_a_reader_that_has_gone_is_no_error():
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as stream:
        say("x" * 100_000, stream)


def test_a_stream_that_never_was_is_no_error():
    say("text", None)
    assert not shows_panels(None, {"FORCE_COLOR": "1"})
    assert columns(None, {}) == 80


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_full_disk_is_told():
    with open("/dev/full", "w") as stream, pytest.raises(FatalError, match="No space left"):
        say("text", stream)
