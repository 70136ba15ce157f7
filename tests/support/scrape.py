"""The metrics endpoint of a real server, read as Prometheus reads it."""

import re
import socket
from typing import Dict

from .lines import get
from .servers import GranianServer
from .wire import Wire

SAMPLE = re.compile(r'granian_(\w+)\{worker="1"\} (\S+)')


class ScrapedServer(GranianServer):
    """A server whose counters are fresh every second."""

    def __init__(self, app: str, interface: str = "asgi", **options) -> None:
        with socket.socket() as sock:
            sock.bind(("127.0.0.1", 0))
            self.metrics_port = sock.getsockname()[1]
        options.update(metrics=True, metrics_port=self.metrics_port, metrics_scrape_interval=1)
        super().__init__(app, interface, **options)

    def scrape(self) -> Dict[str, float]:
        """Ask the endpoint for what the first worker has counted; empty before its first report."""
        with Wire(("127.0.0.1", self.metrics_port)) as wire:
            wire.send(get("/metrics", "Connection: close"))
            text = wire.read_to_end().partition(b"\r\n\r\n")[2].decode()
        return {name: float(value) for name, value in SAMPLE.findall(text)}
