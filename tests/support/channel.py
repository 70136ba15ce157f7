"""A channel without a wire: writes down what an interface asks of it."""

from granian.errors import AppError

from .responder import FakeResponder


class FakeChannel(FakeResponder):
    """Every verb of ``waist.Channel``; ``events`` holds what was called, in order.

    Attributes:
        blocked: What ``send``, ``start`` and ``write`` return.
    """

    def accept(self, subprotocol, headers):
        if self.refuse is not None:
            raise AppError(self.refuse)
        self.events.append(("accept", subprotocol, list(headers)))

    def send(self, message):
        self.events.append(("send", message))
        return self.blocked

    def close_with(self, code, reason=""):
        if code == 1005:
            raise AppError("1005 cannot be sent as the code of a close")
        self.events.append(("close", code, reason))

    def finish(self, trailers=(), data=b""):
        self.events.append(("finish", data))

    def pause(self):
        self.events.append(("pause",))

    def resume(self):
        self.events.append(("resume",))
