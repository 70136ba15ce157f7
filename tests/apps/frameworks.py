"""One small application per framework, made on demand; one that is not installed skips its row."""

import json

import pytest


def flask_app():
    """Flask: a page, an upload, a file, a stream, an error."""
    flask = pytest.importorskip("flask")
    app = flask.Flask("tests.apps.frameworks")

    @app.route("/")
    def page():
        return {"path": flask.request.path, "args": dict(flask.request.args)}

    @app.route("/upload", methods=["POST"])
    def upload():
        return flask.request.get_data()

    @app.route("/file")
    def file():
        return flask.send_file(__file__, mimetype="text/plain")

    @app.route("/stream")
    def stream():
        return flask.Response(f"{number}\n" for number in range(5))

    @app.route("/fail")
    def fail():
        raise LookupError

    @app.route("/café")
    def unicode():
        return flask.request.path.encode()

    return app


def configure_django():
    """Give Django its settings: once for all tests of a process, as it wants them."""
    django = pytest.importorskip("django")
    from django.conf import settings

    if not settings.configured:
        settings.configure(ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"], SECRET_KEY="test")
        django.setup()


def django_app():
    """Django over WSGI: the same routes."""
    configure_django()
    from django.core.wsgi import get_wsgi_application

    return get_wsgi_application()


def __getattr__(name):
    """Django's routes, asked for by name when it serves its first request."""
    if name != "urlpatterns":
        raise AttributeError(name)
    from django.http import FileResponse, HttpResponse, JsonResponse, StreamingHttpResponse
    from django.urls import path

    def page(request):
        return JsonResponse({"path": request.path, "args": request.GET.dict()})

    def upload(request):
        return HttpResponse(request.body)

    def file(request):
        return FileResponse(open(__file__, "rb"), content_type="text/plain")  # closed by Django

    def stream(request):
        return StreamingHttpResponse(f"{number}\n" for number in range(5))

    def fail(request):
        raise LookupError

    def unicode(request):
        return HttpResponse(request.path.encode())

    views = {"": page, "upload": upload, "file": file, "stream": stream, "fail": fail}
    return [path(route, view) for route, view in {**views, "café": unicode}.items()]


def emmett_app():
    """Emmett55 over RSGI: a page and an upload."""
    emmett55 = pytest.importorskip("emmett55")
    app = emmett55.App("tests.apps.frameworks")

    @app.route("/", output="bytes")
    async def page():
        request = emmett55.request
        facts = {"path": request.path, "args": dict(request.query_params)}
        return json.dumps(facts).encode()

    @app.route("/upload", methods=["post"], output="bytes")
    async def upload():
        return await emmett55.request.body

    @app.route("/fail")
    async def fail():
        raise LookupError

    return app
