import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from granian.config import lane
from granian.config.options import CANONICAL
from granian.config.settings import converted

HERE = Path(__file__)

words = st.sampled_from(
    [
        *{choice for row in CANONICAL.values() for choice in row.choices},
        *("true", "off", " yes ", "0660", "0o17", "1h30m", "90s", "auto", " AUTO", "ASGI", "Info"),
        *("1_000", "+5", "-1", "1e3", "nan", "inf", "0x10", "", " ", "\u0663", "\udcff", "a\0b"),
        *(str(HERE), str(HERE.parent), f"{HERE.parent}//./{HERE.name}", "/nowhere/at/all", "."),
    ]
)
raw = st.one_of(
    words,
    st.text(max_size=5),
    st.integers(min_value=-2, max_value=70_000),
    st.integers(min_value=-(10**400), max_value=10**400),
    st.integers(min_value=0, max_value=70_000).map(str),
    st.booleans(),
    st.floats(),
    st.none(),
    st.lists(words, max_size=3),
    st.dictionaries(words, words, max_size=1),
)


@given(name=st.sampled_from(list(CANONICAL)), value=raw)
@settings(max_examples=1500, deadline=None, suppress_health_check=list(HealthCheck))
def test_the_lane_declines_or_says_what_the_model_says(name, value):
    layers = ({name: value},)
    try:
        told = lane.converted(layers)
    except lane.Declined:
        return
    try:
        judged = converted(layers)
    except ValidationError:
        pytest.fail(f"the model refuses {name}={value!r}, the lane took it for {told[name]!r}")
    assert told == judged
    assert type(told[name]) is type(judged[name])


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
