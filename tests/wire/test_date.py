"""The Date field is an IMF-fixdate of the clock that was passed in."""

import pytest

from granian.wire.date import date_line


@pytest.mark.parametrize(
    ("seconds", "date"),
    [
        (0, b"Thu, 01 Jan 1970 00:00:00 GMT"),
        (784_111_777, b"Sun, 06 Nov 1994 08:49:37 GMT"),
        (784_111_777.999, b"Sun, 06 Nov 1994 08:49:37 GMT"),
        (1_709_210_096, b"Thu, 29 Feb 2024 12:34:56 GMT"),
    ],
)
def test_date_line(seconds, date):
    assert date_line(seconds) == b"date: " + date + b"\r\n"
