"""The corpus over real sockets: every case, however it is cut, behind another request, everywhere.

One corpus for every interface, so that no code path reads a message in its own way.
"""

import pytest

from tests.support import corpus, lines
from tests.support.servers import GranianServer
from tests.support.wire import Wire, finals

FIRST = lines.get("/first")

# Messages that are whole before the one that is not.
ANSWERED_BEFORE = {"llhttp-connection-L158": 1, "llhttp-pipelining-L6": 2}

CUTS = {
    "whole": lines.whole,
    "octet by octet": lines.octets,
    "at line ends": lines.at_line_ends,
    "pipelined": lambda raw: [FIRST + raw],
}
GRID = [("asgi", cut) for cut in CUTS] + [
    (interface, cut) for interface in ("rsgi", "wsgi") for cut in ("whole", "octet by octet")
]


@pytest.fixture(scope="module")
def servers():
    """One server for each interface, started when first asked for."""
    running = {}

    def server(interface):
        if interface not in running:
            target = f"tests.apps.wire:{interface}"
            running[interface] = GranianServer(target, interface)
        return running[interface]

    yield server
    for started in running.values():
        started.kill()


@pytest.mark.parametrize("case", corpus.load("must"), ids=lambda case: case.id)
@pytest.mark.parametrize(("interface", "cut"), GRID, ids=lambda value: value.replace(" ", "-"))
def test_must(servers, interface, cut, case):
    before = cut == "pipelined"
    methods = ["GET"] * before + [case.raw.strip().split(b" ")[0].decode("latin-1")]
    with Wire(servers(interface).address) as wire:
        wire.send_each(CUTS[cut](case.raw))
        if case.expectation == corpus.ACCEPT:
            count = before + case.responses
            wire.read_until(lambda data: enough(wire, methods, count))
        if case.expectation != corpus.REJECT:
            wire.finish()
        wire.read_to_end()
        answers = finals(wire.responses(methods))
    statuses = [answer.status for answer in answers]
    if case.expectation == corpus.ACCEPT:
        assert statuses == [200] * (before + case.responses)
    elif case.expectation == corpus.INCOMPLETE:
        answered = before + ANSWERED_BEFORE.get(case.id, 0)
        assert statuses[:answered] == [200] * answered
        assert 200 not in statuses[answered:]
    else:
        refused = statuses[before:]
        assert statuses[:before] == [200] * before
        assert len(refused) == 1, "one refusal, nothing after it"
        assert refused[0] in (400, 414, 431, 501, 505)
        assert answers[-1].says_close


def enough(wire, methods, count):
    answers = finals(wire.responses(methods))
    return len(answers) >= count and answers[-1].whole
