import os
import subprocess
import sys
from pathlib import Path

import pytest

from granian.config import lane
from granian.config.settings import converted

HERE = Path(__file__)


def test_layers_are_merged_as_the_model_merges_them():
    layers = ({"port": "1"}, {"port": "2", "reload_ignore_dirs": ["a"]}, {"backlog": 200})
    assert lane.converted(layers) == converted(layers)


def test_defaults_need_no_conversion():
    assert lane.converted(()) == converted(())


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("port", "x"),
        ("port", "70000"),
        ("interface", "cgi"),
        ("ssl_ca", "/nope"),
        ("none", 1),
        ("ssl_crl", str(HERE)),
        ("pid_file", ""),
        ("workers", 0),
        ("respawn_interval", "nan"),
        ("working_dir", "/nope"),
        ("working_dir", ""),
        ("host", 7),
        ("host", "\udcff"),
        ("ssl_crl", [str(HERE), "/nope"]),
        ("backlog", "1"),
    ],
)
def test_what_is_not_plainly_right_is_declined(name, value):
    with pytest.raises(lane.Declined):
        lane.converted(({name: value},))


def test_a_start_without_mistakes_does_not_load_the_model():
    code = (
        "import sys; from granian.config.sources import resolve;"
        "resolve({'port': '7', 'app': 'a:b', 'workers': 'auto'}, {'GRANIAN_LOOP': 'asyncio',"
        "'GRANIAN_WORKING_DIR': '.', 'GRANIAN_ENV_FILES': sys.argv[1]});"
        "print('pydantic' in sys.modules)"
    )
    run = subprocess.run(
        [sys.executable, "-c", code, os.fspath(HERE)], capture_output=True, text=True, check=True
    )
    assert run.stdout == "False\n"
