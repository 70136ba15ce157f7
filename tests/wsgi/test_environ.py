import os
import sys

import pytest

from granian.plan import WorkerPlan
from granian.wire.http1.lane import Section
from granian.wsgi.environ import EnvironTemplate
from granian.wsgi.file import FileWrapper
from tests.support.responder import FakeResponder, make_head


def environ_of(plan=None, responder=None, **facts):
    template = EnvironTemplate(plan or WorkerPlan())
    return template.fill(template.connect(responder or FakeResponder()), make_head(**facts))


def test_what_a_request_says():
    environ = environ_of(method="POST", target=b"/info%20x?test=true&a=%20", version="1.0")
    expected = {
        "REQUEST_METHOD": "POST",
        "SCRIPT_NAME": "",
        "PATH_INFO": "/info x",
        "QUERY_STRING": "test=true&a=%20",
        "REQUEST_URI": "/info%20x?test=true&a=%20",
        "RAW_URI": "/info%20x?test=true&a=%20",
        "SERVER_PROTOCOL": "HTTP/1.0",
    }
    assert {key: environ[key] for key in expected} == expected


def test_what_the_connection_says():
    environ = environ_of(responder=FakeResponder(scheme="https"))
    expected = {
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "8000",
        "REMOTE_ADDR": "127.0.0.1",
        "REMOTE_PORT": "50000",
        "wsgi.url_scheme": "https",
    }
    assert {key: environ[key] for key in expected} == expected


def test_what_the_server_says():
    environ = environ_of(WorkerPlan(workers=2))
    assert environ["wsgi.version"] == (1, 0)
    assert environ["wsgi.errors"] is sys.stderr
    assert environ["wsgi.file_wrapper"] is FileWrapper
    assert environ["wsgi.input_terminated"] is True
    assert environ["wsgi.multithread"] is True
    assert environ["wsgi.multiprocess"] is True
    assert environ["wsgi.run_once"] is False
    assert environ_of()["wsgi.multiprocess"] is False


def test_a_unix_socket_has_no_remote_port():
    environ = environ_of(responder=FakeResponder(client=None, server=("/run/app.sock", 0)))
    assert (environ["SERVER_NAME"], environ["SERVER_PORT"]) == ("/run/app.sock", "0")
    assert environ["REMOTE_ADDR"] == ""
    assert "REMOTE_PORT" not in environ


def test_the_process_environment_stays_out(monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://proxy")
    monkeypatch.setenv("SECRET", "1")
    assert not {"HTTP_PROXY", "SECRET", *os.environ} & set(environ_of())


@pytest.mark.parametrize(
    ("target", "info"),
    [
        (b"/caf%C3%A9", "/caf\u00c3\u00a9"),
        (b"/%c0", "/\u00c0"),
        (b"/a%2fb", "/a/b"),
        (b"/%00", "/\0"),
        (b"/%zz", "/%zz"),
    ],
)
def test_paths_are_octets_in_latin_1(target, info):
    assert environ_of(target=target)["PATH_INFO"] == info


@pytest.mark.parametrize("prefix", ["/api", "api", "/api/"])
@pytest.mark.parametrize(
    ("target", "script", "info"),
    [
        (b"/api/x", "/api", "/x"),
        (b"/api", "/api", "/"),
        (b"/api/", "/api", "/"),
        (b"/apix", "", "/apix"),
        (b"/other", "", "/other"),
        (b"/x/api/y", "", "/x/api/y"),
    ],
)
def test_a_prefix_is_stripped_by_whole_segments(prefix, target, script, info):
    environ = environ_of(WorkerPlan(url_path_prefix=prefix), target=target)
    assert (environ["SCRIPT_NAME"], environ["PATH_INFO"]) == (script, info)


FIELDS = [
    (b"host", b"localhost"),
    (b"content-type", b"text/plain"),
    (b"content-length", b"3"),
    (b"x-latin", b"caf\xe9"),
]


def test_fields():
    environ = environ_of(headers=FIELDS)
    assert environ["HTTP_HOST"] == "localhost"
    assert environ["CONTENT_TYPE"] == "text/plain"
    assert environ["CONTENT_LENGTH"] == "3"
    assert environ["HTTP_X_LATIN"] == "café"
    assert not {"HTTP_CONTENT_TYPE", "HTTP_CONTENT_LENGTH"} & set(environ)


@pytest.mark.parametrize("seen", [False, True])
def test_repeats_are_joined(seen):
    template = EnvironTemplate(WorkerPlan())
    connection = template.connect(FakeResponder())
    headers = [
        (b"test", b"val1"),
        (b"cookie", b"a=1"),
        (b"content-type", b"first"),
        (b"test", b"val2"),
        (b"cookie", b"b=2"),
        (b"content-type", b"second"),
    ]
    for _ in range(1 + seen):
        environ = template.fill(connection, make_head(headers=headers))
    assert environ["HTTP_TEST"] == "val1,val2"
    assert environ["HTTP_COOKIE"] == "a=1; b=2"
    assert environ["CONTENT_TYPE"] == "first"


@pytest.mark.parametrize("seen", [False, True])
def test_names_that_could_deceive_are_dropped(seen):
    template = EnvironTemplate(WorkerPlan())
    connection = template.connect(FakeResponder())
    headers = [
        (b"x_forwarded_for", b"spoofed"),
        (b"x-forwarded-for", b"real"),
        (b"proxy", b"http://evil"),
        (b"content_length", b"99"),
        (b"script-name", b"/x"),
        (b"remote-user", b"root"),
    ]
    for _ in range(1 + seen):
        environ = template.fill(connection, make_head(headers=headers))
    assert environ["HTTP_X_FORWARDED_FOR"] == "real"
    assert not {"HTTP_PROXY", "CONTENT_LENGTH", "HTTP_CONTENT_LENGTH", "REMOTE_USER"} & set(environ)
    assert environ["SCRIPT_NAME"] == ""


def test_requests_do_not_share_their_environ():
    template = EnvironTemplate(WorkerPlan())
    connection = template.connect(FakeResponder())
    first = template.fill(connection, make_head(headers=[(b"a", b"1")]))
    first["app"] = "mine"
    second = template.fill(connection, make_head(headers=[]))
    assert not {"app", "HTTP_A"} & set(second)


def test_the_authority_stands_in_for_a_missing_host():
    assert environ_of(version="2", authority=b"example.org")["HTTP_HOST"] == "example.org"
    kept = environ_of(version="2", authority=b"example.org", headers=[(b"host", b"sent")])
    assert kept["HTTP_HOST"] == "sent"
    assert kept["SERVER_PROTOCOL"] == "HTTP/2"
    assert "HTTP_HOST" not in environ_of(version="1.0")


def test_the_names_learnt_are_bounded():
    template = EnvironTemplate(WorkerPlan())
    connection = template.connect(FakeResponder())
    for number in range(1100):
        name = b"x-%d" % number
        environ = template.fill(connection, make_head(headers=[(name, b"v")]))
        assert environ[f"HTTP_X_{number}"] == "v"
    assert len(template._keys) <= 1024


def test_fields_that_are_remembered_are_made_once_and_shared_with_nobody():
    template = EnvironTemplate(WorkerPlan())
    connection = template.connect(FakeResponder())
    section = Section(b"")
    fields = [(b"x-a", b"1"), (b"x-a", b"2"), (b"content-type", b"text/plain")]
    first = template.fill(connection, make_head(headers=fields, section=section))
    first["HTTP_X_A"] = "changed by middleware"
    again = template.fill(connection, make_head(headers=fields, section=section))
    fresh = template.fill(connection, make_head(headers=fields))
    assert again["HTTP_X_A"] == "1,2"
    assert again == fresh
