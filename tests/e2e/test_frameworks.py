"""Real frameworks with real clients: what their users would notice first."""

import os
import signal
import threading

import httpx
import pytest

from tests.support.servers import GranianServer, wait_until

PAYLOAD = os.urandom(300_000)


@pytest.fixture(scope="module")
def starlette():
    with GranianServer("tests.apps.starlette_app:app", workers=2) as server:
        yield server


@pytest.fixture(scope="module")
def fastapi():
    with GranianServer("tests.apps.fastapi_app:app") as server:
        yield server


@pytest.fixture(scope="module", params=["asgi", "asginl", "wsgi"])
def django(request):
    """The same project over each interface; Django has no lifespan."""
    factory = "wsgi" if request.param == "wsgi" else "asgi"
    target = f"tests.apps.django_app:{factory}"
    options = {"blocking_threads": 4} if request.param == "wsgi" else {}
    with GranianServer(target, request.param, factory=True, **options) as server:
        yield server


def client(server):
    return httpx.Client(base_url=server.url, timeout=10, trust_env=False)


# Starlette


def test_starlette_state_from_lifespan_is_shared_and_per_worker(starlette):
    with client(starlette) as http:
        first, second = http.get("/").json(), http.get("/").json()
    assert first["greeting"] == "from lifespan"
    assert second["count"] == first["count"] + 1
    assert isinstance(first["client"][1], int)


def test_starlette_url_and_mounts(starlette):
    with client(starlette) as http:
        assert http.get("/?a=b").json()["url"] == f"{starlette.url}/?a=b"
        assert http.get("/mounted/").json()["root"] == "/mounted"


def test_starlette_upload(starlette):
    with client(starlette) as http:
        answer = http.post("/upload", files={"file": ("name.bin", PAYLOAD)}).json()
    assert answer == {"name": "name.bin", "size": len(PAYLOAD)}


def test_starlette_streamed_request(starlette):
    def produce():
        for start in range(0, len(PAYLOAD), 1000):
            yield PAYLOAD[start : start + 1000]

    with client(starlette) as http:
        assert http.post("/consume", content=produce()).text == str(len(PAYLOAD))


def test_starlette_streamed_response(starlette):
    with client(starlette) as http:
        answer = http.get("/numbers?count=1000")
    assert answer.headers["transfer-encoding"] == "chunked"
    assert answer.text.split() == [str(number) for number in range(1000)]


def test_starlette_file_head_and_range(starlette):
    with client(starlette) as http:
        whole, head = http.get("/file"), http.head("/file")
        part = http.get("/file", headers={"range": "bytes=0-9"})
    assert head.headers["content-length"] == whole.headers["content-length"]
    assert whole.content.startswith(b'"""A Starlette')
    assert (part.status_code, part.content) in [(206, whole.content[:10]), (200, whole.content)]


def test_starlette_background_task_runs_after_the_answer(starlette):
    with client(starlette) as http:
        pid_bound = http  # one connection: one worker
        assert pid_bound.get("/background").text == "answered"
        wait_until(lambda: "background ran" in pid_bound.get("/events").json())


def test_starlette_hears_that_a_reader_left():
    with GranianServer("tests.apps.starlette_app:app") as server, client(server) as http:
        with http.stream("GET", "/watched") as answer:
            assert next(answer.iter_text()).startswith("tick")
        wait_until(lambda: "stream ended" in http.get("/events").json(), timeout=3)


def test_starlette_hears_that_a_sender_left():
    with GranianServer("tests.apps.starlette_app:app") as server, client(server) as http:

        def broken():
            yield b"some"
            raise ConnectionAbortedError

        with pytest.raises(ConnectionAbortedError):
            http.post("/waiting", content=broken())
        wait_until(lambda: "client disconnect" in http.get("/events").json(), timeout=3)


def test_starlette_failure_is_its_own_500(starlette):
    with client(starlette) as http:
        answer = http.get("/fail")
    assert (answer.status_code, answer.text) == (500, "Internal Server Error")


def test_starlette_under_a_prefix():
    target = "tests.apps.starlette_app:app"
    with GranianServer(target, url_path_prefix="/api") as server, client(server) as http:
        assert http.get("/api/").json()["root"] == "/api"


def test_starlette_request_in_flight_survives_sigterm():
    with GranianServer("tests.apps.starlette_app:app") as server, client(server) as http:
        answers = []
        thread = threading.Thread(target=lambda: answers.append(http.get("/slow?seconds=0.6")))
        http.get("/")
        thread.start()
        with client(server) as other:
            other.get("/")  # the slow one was sent before this answer came
        assert server.stop(signal.SIGTERM) == 0
        thread.join(5)
    (answer,) = answers
    assert answer.text == "slow"
    assert answer.headers["connection"] == "close"


# FastAPI


def test_fastapi_validates(fastapi):
    with client(fastapi) as http:
        good = http.get("/items/3?limit=5").json()
        bad = http.get("/items/three")
        created = http.post("/items", json={"name": "ähm", "price": 1.5, "tags": ["a"]})
    assert good == {"id": 3, "limit": 5, "greeting": "from lifespan"}
    assert bad.status_code == 422
    assert created.json() == {"name": "ähm", "price": 1.5, "tags": ["a"]}


def test_fastapi_upload_and_stream(fastapi):
    with client(fastapi) as http:
        uploaded = http.post("/upload", files={"file": ("a.bin", PAYLOAD)}).json()
        streamed = http.get("/stream").text
    assert uploaded["size"] == len(PAYLOAD)
    assert len(streamed) == 50_000


def test_fastapi_runs_plain_functions_in_threads(fastapi):
    with client(fastapi) as http:
        assert "worker" in http.get("/thread").json()["thread"].lower()


def test_fastapi_documentation_and_errors(fastapi):
    with client(fastapi) as http:
        assert http.get("/openapi.json").json()["info"]
        assert http.get("/fail").status_code == 500
        assert http.get("/none").json() == {"detail": "Not Found"}


def test_fastapi_serves_many_at_once(fastapi):
    """Each answer belongs to its request."""
    wrong = []

    def ask(start):
        with client(fastapi) as http:
            numbers = range(start, start + 50)
            wrong.extend(n for n in numbers if http.get(f"/items/{n}").json()["id"] != n)

    threads = [threading.Thread(target=ask, args=(base * 1000,)) for base in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


# Django


def test_django_request_and_session(django):
    with client(django) as http:
        first = http.get("/?a=b").json()
        second = http.get("/?a=b").json()
    assert (first["visits"], second["visits"]) == (1, 2)
    assert first["uri"] == f"{django.url}/?a=b"
    assert first["query"] == {"a": "b"}


@pytest.mark.parametrize("size", [0, 1, 100_000, 2_000_000])
def test_django_echo(django, size):
    body = (PAYLOAD * 7)[:size]
    with client(django) as http:
        assert http.post("/echo", content=body).content == body


def test_django_chunked_request(django):
    """Over WSGI Django reads only as much as a content-length says, whatever the server gives."""
    expected = b"" if "wsgi" in django.command else b"onetwo"
    with client(django) as http:
        assert http.post("/echo", content=iter([b"one", b"two"])).content == expected


def test_django_form_and_upload(django):
    with client(django) as http:
        assert http.post("/form", data={"name": "ü"}).json() == {"name": "ü"}
        answer = http.post("/upload", files={"file": ("a.bin", PAYLOAD)}).json()
    assert answer == {"name": "a.bin", "size": len(PAYLOAD)}


@pytest.mark.filterwarnings("ignore::Warning")
def test_django_streams_and_files(django):
    with client(django) as http:
        assert http.get("/stream").text.split() == ["0", "1", "2", "3", "4"]
        assert http.get("/file").content.startswith(b'"""A Django')
        assert http.get("/async").text == "asynchronous"


def test_django_failure(django):
    with client(django) as http:
        assert http.get("/fail").status_code == 500
        assert http.get("/").status_code == 200


def test_django_hears_that_a_reader_left():
    target = "tests.apps.django_app:asgi"
    with GranianServer(target, factory=True) as server, client(server) as http:
        with http.stream("GET", "/async-stream") as answer:
            assert next(answer.iter_text()).startswith("tick")
        wait_until(lambda: "stream ended" in http.get("/events").json(), timeout=3)
