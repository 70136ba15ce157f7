"""A WSGI application (PEP 3333) without a framework.

Run it: ``granian --interface wsgi --blocking-threads 4 examples.wsgi:app``
"""


def app(environ, start_response):
    """Answer with a greeting, or with the body that was sent to /echo."""
    start_response("200 OK", [("content-type", "text/plain; charset=utf-8")])
    if environ["PATH_INFO"] == "/echo":
        return [environ["wsgi.input"].read()]
    return [b"It works\n"]
