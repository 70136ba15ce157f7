"""Env files: applied again and again, never over what was given."""

import os

import pytest

from granian.errors import FatalError
from granian.server.environment import Environment


@pytest.fixture(autouse=True)
def own_environment(monkeypatch):
    monkeypatch.setattr(os, "environ", dict(os.environ))
    os.environ.pop("COLOUR", None)


def test_later_file_wins_and_given_variables_win_over_both(tmp_path):
    first, second = tmp_path / "a.env", tmp_path / "b.env"
    first.write_text("COLOUR=red\nGIVEN=file\nONE=1\n")
    second.write_text("COLOUR='dark blue' # said later\n")
    os.environ["GIVEN"] = "before"
    Environment([str(first), str(second)]).apply()
    assert os.environ["COLOUR"] == "dark blue"
    assert os.environ["ONE"] == "1"
    assert os.environ["GIVEN"] == "before"


def test_applied_again_after_a_change(tmp_path):
    file = tmp_path / "a.env"
    file.write_text("COLOUR=red\nGONE=1\n")
    environment = Environment([str(file)])
    environment.apply()
    file.write_text("COLOUR=blue\n")
    environment.apply()
    assert os.environ["COLOUR"] == "blue"
    assert "GONE" not in os.environ


def test_nothing_happens_without_files():
    before = dict(os.environ)
    Environment([]).apply()
    assert os.environ == before


@pytest.mark.parametrize("content", [None, b"\xff\xfe\x00"])
def test_unreadable_file_is_one_sentence(tmp_path, content):
    file = tmp_path / "a.env"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(FatalError, match=r"^Cannot read the env file"):
        Environment([str(file)]).apply()
