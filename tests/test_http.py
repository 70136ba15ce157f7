"""The protocol settings of the public API: upstream's names, units and defaults."""

import pytest

from granian.http import HTTP1Settings, HTTP2Settings

HTTP1 = {
    "header_read_timeout": 30_000,
    "keep_alive": True,
    "max_buffer_size": 417_792,
    "pipeline_flush": False,
}
HTTP2 = {
    "adaptive_window": False,
    "initial_connection_window_size": 1_048_576,
    "initial_stream_window_size": 1_048_576,
    "keep_alive_interval": None,
    "keep_alive_timeout": 20,
    "max_concurrent_streams": 200,
    "max_frame_size": 16_384,
    "max_headers_size": 16_777_216,
    "max_send_buffer_size": 409_600,
}
ROWS = [
    (kind, *row)
    for kind, table in ((HTTP1Settings, HTTP1), (HTTP2Settings, HTTP2))
    for row in table.items()
]


@pytest.mark.parametrize(("kind", "name", "default"), ROWS)
def test_default_is_on_the_class_and_on_the_instance(kind, name, default):
    """Plugins read defaults from the class."""
    assert getattr(kind, name) == default
    assert getattr(kind(), name) == default


def test_settings_can_be_changed_after_construction():
    settings = HTTP1Settings(keep_alive=False)
    settings.header_read_timeout = 1_000
    assert settings == HTTP1Settings(header_read_timeout=1_000, keep_alive=False)
