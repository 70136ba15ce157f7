import gzip
import io
import os

import pytest

from granian.wsgi.file import FileWrapper, regular_file


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"0123456789")
    return path


def test_iteration_in_blocks():
    assert list(FileWrapper(io.BytesIO(b"abcde"), 2)) == [b"ab", b"cd", b"e"]
    assert list(FileWrapper(io.BytesIO(b""))) == []


def test_close_reaches_the_file():
    file = io.BytesIO()
    FileWrapper(file).close()
    assert file.closed
    FileWrapper(object()).close()


@pytest.mark.parametrize("buffering", [0, -1])
def test_plain_files_from_where_they_stand(path, buffering):
    with path.open("rb", buffering=buffering) as file:
        file.read(3)
        assert regular_file(file) == (file.fileno(), 3, 7)
        file.seek(99)
        assert regular_file(file)[2] == 0


def test_what_only_looks_like_a_file(path):
    zipped = path.with_suffix(".gz")
    with gzip.open(zipped, "wb") as file:
        file.write(b"content")
    with gzip.open(zipped, "rb") as file:
        assert regular_file(file) is None
        assert regular_file(io.BufferedReader(file)) is None
    reader, writer = os.pipe()
    with open(reader, "rb") as file, open(writer, "wb"):
        assert regular_file(file) is None
    assert regular_file(io.BytesIO(b"x")) is None
    with path.open() as text:
        assert regular_file(text) is None


def test_a_closed_file(path):
    file = path.open("rb")
    file.close()
    assert regular_file(file) is None
