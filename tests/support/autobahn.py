"""The Autobahn cases, as kosoku drives them, against a server of ours."""

import asyncio
import functools

import pytest

GOOD = {"OK", "INFORMATIONAL"}


def shortcomings(server, cases):
    """Every case whose verdict, or whose closing handshake's, is not the best there is."""
    kosoku = pytest.importorskip("kosoku")
    give_octets()

    async def drive():
        url = f"ws://127.0.0.1:{server.address[1]}/"
        try:
            return await kosoku.run_fuzzingclient(url, cases=cases)
        except kosoku.FailureError as failure:
            return failure.results

    results = asyncio.run(drive())
    assert results, "no such case"
    return [
        (case.case_id, case.behavior.value, case.behavior_close.value, case.result)
        for case in results
        if not (case.behavior.value in GOOD and case.behavior_close.value in GOOD)
    ]


@functools.lru_cache(maxsize=None)
def give_octets():
    """Have every message reach the cases of sections 12 and 13 as octets.

    kosoku 0.1.0 gives them octets when the message was compressed, and a ``str`` of code points
    below 256 when it was not, as Python 2 had it: there the cases end with an error of their own.
    A server need not compress every message (RFC 7692 section 6), and ours leaves those of 16
    octets as they are.
    """
    from kosoku._caseindex import initialize_shims

    initialize_shims()
    import case12_x_x

    for case in {*case12_x_x.Case12_X_X, *case12_x_x.Case13_X_X}:
        case.onMessage = as_octets(case.onMessage)


def as_octets(judge):
    def on_message(case, message, binary):
        octets = message.encode("latin-1") if isinstance(message, str) else message
        return judge(case, octets, binary)

    return on_message
