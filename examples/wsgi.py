"""A WSGI application (PEP 3333) without a framework: a greeting, an echo, and a stream.

Run it: ``granian --interface wsgi --blocking-threads 4 examples.wsgi:app``
"""

import time


def app(environ, start_response):
    """Answer with a greeting, with the body that was sent to /echo, or with ten lines."""
    start_response("200 OK", [("content-type", "text/plain; charset=utf-8")])
    if environ["PATH_INFO"] == "/echo":
        return [environ["wsgi.input"].read()]
    if environ["PATH_INFO"] == "/stream":
        return lines()
    return [b"It works\n"]


def lines():
    """Ten lines, one every 200 ms; each leaves as it is yielded."""
    for number in range(10):
        yield b"line %d\n" % number
        time.sleep(0.2)
