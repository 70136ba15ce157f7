import re
import sys

import pytest

from granian.cli.sample import sample, toml_value, write_sample
from granian.config.options import CANONICAL
from granian.config.sources import resolve

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


def uncommented(text):
    return re.sub(r"^# (\w+ = )", r"\1", text, flags=re.MULTILINE)


def test_the_sample_changes_nothing():
    assert tomllib.loads(sample()) == {"granian": {}}


def test_every_key_is_there_with_its_default_or_an_example():
    table = tomllib.loads(uncommented(sample()))["granian"]
    assert set(table) == set(CANONICAL)
    for name, row in CANONICAL.items():
        if row.default is not None:
            assert table[name] == row.default


def test_defaults_of_the_sample_are_accepted(tmp_path):
    lines = [
        line
        for line in uncommented(sample()).splitlines()
        if not re.match(r"\w+ = ", line) or CANONICAL[line.split(" ", 1)[0]].default is not None
    ]
    (tmp_path / "granian.toml").write_text("\n".join(lines))
    resolved = resolve({"config": str(tmp_path / "granian.toml")}, {})
    assert resolved.values == {name: row.default for name, row in CANONICAL.items()}


@pytest.mark.parametrize(
    "value", [True, False, 3, 3.5, "plain", 'a "b" \\ \x7f \u2713 \n', ["a", "b"], []]
)
def test_values_survive_toml(value):
    assert tomllib.loads(f"x = {toml_value(value)}") == {"x": value}


def test_lines_are_short():
    assert all(len(line) <= 100 for line in sample().splitlines())


def test_a_file_is_written_once(tmp_path, capsys):
    path = str(tmp_path / "granian.toml")
    assert write_sample(path) == 0
    assert (tmp_path / "granian.toml").read_text(encoding="utf-8") == sample()
    assert write_sample(path) == 1
    output, errors = capsys.readouterr()
    assert "was written" in output
    assert errors == f"Error: {path!r} was not written: File exists.\n"


def test_the_sample_is_printed(capsys):
    assert write_sample("-") == 0
    assert capsys.readouterr().out == sample()
