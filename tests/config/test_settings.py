import subprocess
import sys

import pytest
from pydantic import ValidationError

from granian.config.options import CANONICAL
from granian.config.settings import Settings, converted


def test_table_and_model_agree():
    assert list(Settings.model_fields) == list(CANONICAL)
    for name, field in Settings.model_fields.items():
        assert field.default == CANONICAL[name].default
        assert field.description == CANONICAL[name].help


def test_without_layers_everything_has_its_default():
    assert converted(()) == {name: row.default for name, row in CANONICAL.items()}


def test_the_first_layer_wins():
    layers = ({"port": "1"}, {"port": "2", "backlog": "200"}, {"port": 3, "backlog": 300, "fd": 4})
    settings = converted(layers)
    assert (settings["port"], settings["backlog"], settings["fd"]) == (1, 200, 4)


def test_lists_replace_each_other_whole():
    layers = ({"reload_ignore_dirs": ["a"]}, {"reload_ignore_dirs": ["b", "c"]})
    assert converted(layers)["reload_ignore_dirs"] == ["a"]


@pytest.mark.parametrize(
    ("name", "raw", "value"),
    [
        ("workers", " AUTO ", "auto"),
        ("workers", "3", 3),
        ("interface", "ASGI", "asgi"),
        ("http", 1, "1"),
        ("websockets", "off", False),
        ("workers_lifetime", "1h30m", 5400),
        ("uds_permissions", "0660", 0o660),
        ("respawn_interval", "0.5", 0.5),
        ("ssl_keyfile_password", "secret", "secret"),
        ("pid_file", "some/where", "some/where"),
        ("ssl_crl", [__file__], [__file__]),
    ],
)
def test_values_come_out_plain(name, raw, value):
    assert converted(({name: raw},))[name] == value
    assert type(converted(({name: raw},))[name]) is type(value)


def limits():
    for name, row in CANONICAL.items():
        if row.minimum is not None:
            yield name, row.minimum, True
            yield name, row.minimum - 1, False
        if row.maximum is not None:
            yield name, row.maximum, True
            yield name, row.maximum + 1, False


@pytest.mark.parametrize(("name", "number", "good"), list(limits()))
def test_ranges_of_the_table_are_kept(name, number, good):
    written = oct(number) if name == "uds_permissions" and number >= 0 else str(number)
    if good:
        assert converted(({name: written},))[name] == number
    else:
        with pytest.raises(ValidationError):
            converted(({name: written},))


@pytest.mark.parametrize("name", [name for name, row in CANONICAL.items() if row.choices])
def test_choices_of_the_table_are_kept(name):
    for choice in CANONICAL[name].choices:
        assert converted(({name: choice.upper()},))[name] == choice
    with pytest.raises(ValidationError):
        converted(({name: "nothing"},))


@pytest.mark.parametrize(
    ("name", "raw"),
    [
        ("port", True),
        ("port", 8000.0),
        ("respawn_interval", True),
        ("respawn_interval", "nan"),
        ("respawn_interval", "inf"),
        ("host", 7),
        ("http", True),
        ("pid_file", ""),
        ("nothing_of_the_sort", 1),
    ],
)
def test_what_looks_alike_is_refused(name, raw):
    with pytest.raises(ValidationError):
        converted(({name: raw},))


def test_neither_environment_nor_dotenv_is_read(monkeypatch, tmp_path):
    monkeypatch.setenv("PORT", "1")
    monkeypatch.setenv("GRANIAN_PORT", "2")
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_text("PORT=3\n")
    assert converted(())["port"] == 8000


def test_the_table_is_not_behind_pydantic():
    code = (
        "import sys, granian.config.options, granian.config.plans; print('pydantic' in sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == "False\n"
