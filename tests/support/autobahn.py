"""The Autobahn cases, as kosoku drives them, against a server of ours."""

import asyncio

import pytest

GOOD = {"OK", "INFORMATIONAL"}

CRASH = "Strings must be encoded before hashing"
"""How kosoku 0.1 ends the first case of each row of sections 12 and 13, before it connects."""


def shortcomings(server, cases):
    """Every case whose verdict, or whose closing handshake's, is not the best there is."""
    kosoku = pytest.importorskip("kosoku")

    async def drive():
        url = f"ws://127.0.0.1:{server.address[1]}/"
        try:
            return await kosoku.run_fuzzingclient(url, cases=cases)
        except kosoku.FailureError as failure:
            return failure.results

    results = asyncio.run(drive())
    assert results, "no such case"
    return [
        (case.case_id, case.behavior.value, case.behavior_close.value)
        for case in results
        if case.result != CRASH
        and not (case.behavior.value in GOOD and case.behavior_close.value in GOOD)
    ]
