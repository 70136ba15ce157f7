"""Keywords of ``Granian(...)``: upstream's names, 1.x names, plain words."""

import inspect
from pathlib import Path

import pytest

from granian.constants import HTTPModes, Interfaces, RuntimeModes, TaskImpl, ThreadModes
from granian.errors import ConfigurationError
from granian.http import HTTP1Settings, HTTP2Settings
from granian.log import LogLevels
from granian.server.keywords import like, plans_of


def test_members_and_words_mean_the_same():
    members = plans_of(
        {
            "target": "a:b",
            "interface": Interfaces.ASGI,
            "http": HTTPModes.http1,
            "runtime_mode": RuntimeModes.mt,
            "log_level": LogLevels.debug,
        }
    )
    words = plans_of(
        {
            "target": "a:b",
            "interface": "asgi",
            "http": "1",
            "runtime_mode": "mt",
            "log_level": "DEBUG",
        }
    )
    assert members == words
    assert type(words.worker.interface) is str


def test_renamed_keywords():
    plans = plans_of(
        {"target": "a", "address": "0.0.0.0", "port": 80, "log_access": True, "backlog": 256}
    )
    assert plans.supervisor.host == "0.0.0.0"
    assert plans.supervisor.port == 80
    assert plans.supervisor.backlog == 256
    assert plans.worker.log_access
    assert plans.worker.target == "a"


@pytest.mark.parametrize(("mode", "expected"), [("workers", "st"), (ThreadModes.runtime, "mt")])
def test_names_of_the_1x_line(mode, expected):
    plans = plans_of(
        {
            "target": "a",
            "interface": "wsgi",
            "threads": 3,
            "pthreads": 5,
            "threading_mode": mode,
            "loop_opt": True,
        }
    )
    assert plans.worker.runtime_threads == 3
    assert plans.worker.blocking_threads == 5
    assert plans.worker.runtime_mode == expected
    assert plans.worker.step_coroutines


def test_task_implementation():
    assert plans_of({"target": "a", "task_impl": TaskImpl.rust}).worker.step_coroutines
    assert not plans_of({"target": "a", "task_impl": "asyncio"}).worker.step_coroutines


def test_none_means_the_default():
    nothing = {"target": "a", "uds": None, "log_level": None, "workers_lifetime": None}
    assert plans_of(nothing) == plans_of({"target": "a"})


def test_protocol_settings():
    plans = plans_of(
        {
            "target": "a",
            "http1_settings": HTTP1Settings(header_read_timeout=2500, keep_alive=False),
            "http2_settings": HTTP2Settings(keep_alive_interval=1500, max_concurrent_streams=50),
        }
    )
    assert plans.worker.http1.header_read_timeout == 2.5
    assert not plans.worker.http1.keep_alive
    assert plans.worker.http2.keep_alive_interval == 1.5
    assert plans.worker.http2.max_concurrent_streams == 50


def test_paths_may_be_objects_or_words(tmp_path):
    for path in (tmp_path, str(tmp_path)):
        plans = plans_of({"target": "a", "static_path_mount": [path]})
        assert plans.worker.static.mounts == (("/static", str(tmp_path.resolve())),)
    assert plans_of({"target": "a", "uds": Path("/x.sock")}).supervisor.uds == "/x.sock"


def test_log_dictionary_is_handed_on():
    assert plans_of({"target": "a", "log_dictconfig": {"x": 1}}).worker.log_config == {"x": 1}


def test_unknown_keyword():
    with pytest.raises(TypeError, match="unexpected keyword argument 'wrokers'"):
        plans_of({"target": "a", "wrokers": 2})


@pytest.mark.parametrize(
    ("keywords", "sentence"),
    [
        ({"interface": "cgi"}, "interface cannot be 'cgi'; it is one of asgi"),
        ({"workers": 0}, "workers is 0, but must be at least 1"),
        ({"workers_lifetime": 10}, "workers_lifetime is 10, but must be at least 60"),
        ({"blocking_threads_idle_timeout": 601}, "must be at most 600"),
        ({"interface": "asgi", "blocking_threads": 2}, "blocking_threads"),
        ({"ssl_cert": "/c.pem"}, "ssl_cert.*ssl_key"),
    ],
)
def test_what_cannot_be(keywords, sentence):
    with pytest.raises(ConfigurationError, match=sentence):
        plans_of({"target": "a", **keywords})


class Original:
    def __init__(self, target, port=8000, pid_file=None, backlog=1024, **more):
        raise AssertionError("only its parameters are used")


class Likeness:
    @like(Original.__init__, without=["pid_file"], backlog=128)
    def __init__(self, target, port, **keywords):
        self.got = (target, port, keywords)


def test_likeness_shows_the_parameters_of_the_original():
    shown = inspect.signature(Likeness)
    assert str(shown) == "(target, port=8000, backlog=128, **more) -> None"


def test_likeness_gets_every_parameter_by_name():
    assert Likeness("a").got == ("a", 8000, {"backlog": 128})
    assert Likeness("a", 1, backlog=2, more_of_it=3).got == (
        "a",
        1,
        {"backlog": 2, "more_of_it": 3},
    )
    with pytest.raises(TypeError, match="target"):
        Likeness()
