"""The corpus of raw HTTP/1 requests, with the verdicts this server gives."""

import json
from pathlib import Path
from typing import List, NamedTuple, Optional

FILE = Path(__file__).parent.parent / "corpus" / "http1-requests.json"

ACCEPT, REJECT, INCOMPLETE = "accept", "reject", "incomplete"


class Case(NamedTuple):
    """One entry: octets on the wire and what must come of them."""

    id: str
    raw: bytes
    expectation: str
    responses: Optional[int]
    level: str
    note: str


# Cases about a leading blank line that came without the Host field their message needs (RFC 9112
# section 3.2): it is added here, as the corpus itself does elsewhere.
ADD_HOST = {
    "llhttp-sample-L293": b"HTTP/1.1\r\n",
    "llhttp-sample-L480": b"HTTP/1.1\r\n",
    "gunicorn-valid-022": b"/second HTTP/1.1\r\n",
}


def load(level: Optional[str] = None) -> List[Case]:
    """Read the cases, those of one level or all."""
    cases = []
    for entry in json.loads(FILE.read_text())["cases"]:
        raw = entry["raw"].encode("latin-1")
        line = ADD_HOST.get(entry["id"])
        if line is not None:
            raw = raw.replace(line, line + b"Host: localhost\r\n")
        if level in (None, entry["level"]):
            case = (entry["id"], raw, entry["expectation"], entry.get("responses"))
            cases.append(Case(*case, entry["level"], entry["note"]))
    return cases
