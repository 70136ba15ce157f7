import os

import pytest

from granian.config import values
from granian.config.options import SETTINGS


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0),
        ("30", 30),
        (30, 30),
        (" 7 ", 7),
        ("24h", 86_400),
        ("6m", 360),
        ("2s", 2),
        ("1h30m", 5400),
        ("10d10h10m10s", 900_610),
        ("", 0),
    ],
)
def test_durations(text, seconds):
    assert values.parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text", ["1.5", "-1", "+1", "1 h", "30m1h", "10x", "h", "1_0", True, 1.0, None]
)
def test_what_is_no_duration(text):
    with pytest.raises(ValueError, match="not a valid duration"):
        values.parse_duration(text)


def test_arabic_digits_are_not_silently_octal_or_units():
    with pytest.raises(ValueError, match="not a valid duration"):
        values.parse_duration("\u0661h")


@pytest.mark.parametrize(
    ("text", "number"), [("0666", 0o666), ("0o666", 0o666), ("666", 666), (438, 438), ("0", 0)]
)
def test_file_modes_are_octal_only_with_a_zero(text, number):
    assert values.parse_octal(text) == number


@pytest.mark.parametrize("text", ["0888", "rw-", True, "0x1ff"])
def test_what_is_no_file_mode(text):
    with pytest.raises(ValueError, match="is not a valid"):
        values.parse_octal(text)


@pytest.mark.parametrize("word", ["1", "true", "T", "YES", "y", "On", " true ", True, 1])
def test_words_for_true(word):
    assert values.parse_bool(word) is True


@pytest.mark.parametrize("word", ["0", "false", "F", "NO", "n", "Off", False, 0])
def test_words_for_false(word):
    assert values.parse_bool(word) is False


@pytest.mark.parametrize("word", ["", "maybe", 2, "truee"])
def test_what_is_no_boolean(word):
    with pytest.raises(ValueError, match="not a valid boolean"):
        values.parse_bool(word)


@pytest.mark.parametrize("value", [True, 2.0, "2.0", "x", None])
def test_what_is_no_whole_number(value):
    with pytest.raises(ValueError, match="not a valid integer"):
        values.parse_int(value)


def test_paths_split_like_path_and_texts_on_white_space():
    joined = os.pathsep.join(["a b", "c"])
    assert values.split_list(SETTINGS["static_path_mount"], joined) == ["a b", "c"]
    assert values.split_list(SETTINGS["reload_ignore_dirs"], " a  b\tc ") == ["a", "b", "c"]
    assert values.split_list(SETTINGS["forwarded_allow_ips"], "10.0.0.1, 10.1.0.0/16 unix") == [
        "10.0.0.1",
        "10.1.0.0/16",
        "unix",
    ]


def test_the_nearest_word_is_found_in_any_case():
    assert values.nearest("GRANIAN_WORKRES", ["GRANIAN_WORKERS", "GRANIAN_PORT"]) == (
        "GRANIAN_WORKERS"
    )
    assert values.nearest("Asgl", ["asgi", "wsgi"]) == "asgi"
    assert values.nearest("zzz", ["asgi", "wsgi"]) is None


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("workers", "x>=1"),
        ("blocking_threads_idle_timeout", "5<=x<=600"),
        ("interface", ""),
    ],
)
def test_ranges_are_written_as_help_shows_them(name, text):
    assert values.range_text(SETTINGS[name]) == text


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("port", "abc", "'abc' is not a valid integer."),
        ("port", "80000", "80000 is not in the range 0<=x<=65535."),
        ("port", True, "True is not a valid integer."),
        ("workers", "many", "'many' is not a valid integer or auto."),
        ("workers", "0", "0 is not in the range x>=1."),
        ("respawn_interval", "soon", "'soon' is not a valid number."),
        ("workers_lifetime", "10s", "10 is not in the range x>=60 (in seconds)."),
        ("workers_lifetime", "1.5h", "'1.5h' is not a valid duration; 90, 90s and 1m30s are."),
        ("http1_buffer_size", "1", "1 is not in the range x>=8192 (octets)."),
        ("uds_permissions", "0999", "'0999' is not a valid file mode; 0660 and 0o660 are."),
        ("process_name", 7, "7 is not a text; write it in quotes."),
        ("pid_file", 7, "7 is not a path; write it in quotes."),
        (
            "websockets",
            "maybe",
            "'maybe' is not a valid boolean; true and false are "
            "(also yes and no, on and off, 1 and 0).",
        ),
        (
            "interface",
            "wsg",
            "'wsg' is not one of 'asgi', 'asginl', 'rsgi', 'wsgi'. Did you mean 'wsgi'?",
        ),
        ("http", "3", "'3' is not one of 'auto', '1', '2'."),
    ],
)
def test_complaints_say_what_would_be_right(name, value, sentence):
    assert values.complaint(SETTINGS[name], value) == sentence


def test_complaints_about_paths(tmp_path):
    file = tmp_path / "file"
    file.touch()
    missing = str(tmp_path / "missing")
    row, folder = SETTINGS["ssl_keyfile"], SETTINGS["working_dir"]
    assert values.complaint(row, missing) == f"File {missing!r} does not exist."
    assert values.complaint(row, str(tmp_path)) == f"File {str(tmp_path)!r} is a directory."
    assert values.complaint(folder, missing) == f"Directory {missing!r} does not exist."
    assert values.complaint(folder, str(file)) == f"Directory {str(file)!r} is a file."
    assert values.complaint(row, str(file)) == f"File {str(file)!r} is not readable."
