"""WSGI around the user's application; called on whichever thread owns the connection."""

import io
from sys import intern
from typing import Any, Optional

from ..metrics import AccessLog
from ..plan import WorkerPlan
from ..wire.head import RequestHead
from ..wire.waist import BlockingResponder
from .body import GatheringBody, gathers, open_body
from .environ import EnvironTemplate
from .http import Target, WsgiHttp, logged

_INPUT = intern("wsgi.input")  # see ``wire.head.HTTP_1_1``


class WsgiApplication:
    """Makes an environ of every request and runs the application on the caller's thread.

    Args:
        target: What the operator named, a PEP 3333 application.
        plan: The worker's plan.
        access: Writes the access line, if there is to be one.

    Attributes:
        connect: Makes the environ template of a connection.
    """

    def __init__(
        self, target: Target, plan: WorkerPlan, access: Optional[AccessLog] = None
    ) -> None:
        self.target = target
        self.exchange = WsgiHttp if access is None else logged(access)
        template = EnvironTemplate(plan)
        self.connect = template.connect
        self.fill = template.fill

    def disconnect(self, context: Any) -> None:
        """Nothing: an exchange ends before its connection does."""

    def begin(
        self, responder: BlockingResponder, head: RequestHead, body: bytes, complete: bool
    ) -> None:
        """Run one exchange to its end, or wait for its body first."""
        if complete or not gathers(head, body):
            self.run(responder, head, body, complete)
        else:
            responder.handler = GatheringBody(responder, head, body, self.run)
            responder.want_body(len(body))

    def run(
        self, responder: BlockingResponder, head: RequestHead, body: bytes, complete: bool
    ) -> None:
        """Call the application and send its response."""
        environ = self.fill(responder.context, head)
        environ[_INPUT] = io.BytesIO(body) if complete else open_body(responder, body)
        exchange = responder.handler = self.exchange(responder)
        exchange.run(self.target, environ, head)
