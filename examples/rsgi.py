"""An RSGI application: an object with ``__rsgi__``, answering in one call or as a stream.

Run it: ``granian --interface rsgi examples.rsgi:app``
"""


class App:
    """Granian's own interface (RSGI): one call per answer, no messages in between."""

    def __rsgi_init__(self, loop):
        """Run once per worker, before the first request."""
        self.greeting = "It works\n"

    async def __rsgi__(self, scope, protocol):
        """Answer one exchange."""
        if scope.proto != "http":
            protocol.close(403)
            return
        headers = [("content-type", "text/plain; charset=utf-8")]
        if scope.path == "/echo":
            protocol.response_bytes(200, headers, await protocol())
        elif scope.path == "/stream":
            transport = protocol.response_stream(200, headers)
            for number in range(10):
                await transport.send_str(f"line {number}\n")
        else:
            protocol.response_str(200, headers, self.greeting)


app = App()
