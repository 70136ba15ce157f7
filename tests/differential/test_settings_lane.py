"""The lane of settings against the model: it declines, or says the same."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from granian.config import lane
from granian.config.options import CANONICAL
from granian.config.settings import converted

pytest.importorskip("hypothesis", reason="has no wheel for every build")

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

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
