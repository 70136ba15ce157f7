"""A Django project in one module, for ASGI and for WSGI: forms, streams, uploads, sessions."""

import asyncio
import os

import django
from django.conf import settings
from django.http import FileResponse, HttpResponse, JsonResponse, StreamingHttpResponse
from django.urls import path

if not settings.configured:
    settings.configure(
        ALLOWED_HOSTS=["*"],
        SECRET_KEY="for tests only",
        ROOT_URLCONF=__name__,
        DEFAULT_CHARSET="utf-8",
        SESSION_ENGINE="django.contrib.sessions.backends.signed_cookies",
        MIDDLEWARE=[
            "django.middleware.common.CommonMiddleware",
            "django.contrib.sessions.middleware.SessionMiddleware",
        ],
        LOGGING_CONFIG=None,
        USE_TZ=True,
    )
    django.setup()

EVENTS = []


def home(request):
    request.session["visits"] = request.session.get("visits", 0) + 1
    facts = {"method": request.method, "path": request.path, "visits": request.session["visits"]}
    uri = request.build_absolute_uri()
    return JsonResponse({**facts, "uri": uri, "query": request.GET.dict(), "pid": os.getpid()})


def echo(request):
    return HttpResponse(request.body, content_type="application/octet-stream")


def form(request):
    return JsonResponse(request.POST.dict())


def upload(request):
    content = request.FILES["file"]
    return JsonResponse({"name": content.name, "size": content.size})


def stream(request):
    return StreamingHttpResponse((f"{n}\n" for n in range(5)), content_type="text/plain")


def this_file(request):
    return FileResponse(open(__file__, "rb"))


async def asynchronous(request):
    await asyncio.sleep(0.01)
    return HttpResponse("asynchronous")


async def async_stream(request):
    async def produce():
        try:
            while True:
                yield b"tick\n"
                await asyncio.sleep(0.01)
        finally:
            EVENTS.append("stream ended")

    return StreamingHttpResponse(produce(), content_type="text/plain")


def events(request):
    return JsonResponse(EVENTS, safe=False)


def fail(request):
    raise RuntimeError("told to fail")


urlpatterns = [
    path("", home),
    path("echo", echo),
    path("form", form),
    path("upload", upload),
    path("stream", stream),
    path("file", this_file),
    path("async", asynchronous),
    path("async-stream", async_stream),
    path("events", events),
    path("fail", fail),
]


def asgi():
    """Make the ASGI application."""
    from django.core.asgi import get_asgi_application

    return get_asgi_application()


def wsgi():
    """Make the WSGI application."""
    from django.core.wsgi import get_wsgi_application

    return get_wsgi_application()
