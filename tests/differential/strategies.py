"""Octets that look like HTTP/1, nearly like it, or not at all."""

import os

from hypothesis import settings
from hypothesis import strategies as st

EXAMPLES = settings(max_examples=int(os.environ.get("EXAMPLES", "200")), deadline=None)
"""More of them for a long run: ``EXAMPLES=20000 make unit PYTEST_ARGS=tests/differential``."""

CRLF = b"\r\n"

FRAMING_LINES = [
    b"Host: a",
    b"host: example.com:8080",
    b"HOST:[::1]:80",
    b"Host: ",
    b"Host: a b",
    b"Host: a,b",
    b"Content-Length: 5",
    b"content-length:0",
    b"Content-Length: 5, 5",
    b"Content-Length: +5",
    b"Content-Length: 00000000000000000005",
    b"Content-Length: 99999999999999999999999",
    b"Content-Length : 5",
    b"Transfer-Encoding: chunked",
    b"transfer-encoding: CHUNKED",
    b"Transfer-Encoding: gzip, chunked",
    b"Transfer-Encoding: chunked, identity",
    b"Transfer-Encoding:\x0bchunked",
    b"Transfer_Encoding: chunked",
    b"Connection: close",
    b"Connection: keep-alive",
    b"Connection: Keep-Alive, Upgrade",
    b"Connection: x-close",
    b"Connection: upgrade,close",
    b"Upgrade: websocket",
    b"Upgrade: WebSocket, h2c",
    b"Expect: 100-continue",
    b"Expect: 100-Continue",
    b"Expect: 200-ok",
]
PLAIN_LINES = [
    b"Accept: */*",
    b"Accept:*/*",
    b"Cookie: a=b; c=d",
    b"Authorization: Basic Zm9v",
    b"X-Empty:",
    b"X-Tab:\tvalue\t",
    b"X-High: caf\xe9",
    b"X-Nul: a\x00b",
    b"X-Bell: a\x07b",
    b"X-Del: a\x7fb",
    b"X-CR: a\rb",
    b"X-LF: a\nb",
    b" folded: line",
    b"\tfolded",
    b": no name",
    b"no colon",
    b"na me: x",
    b"n\xe9me: x",
    b"na(me): x",
    b"",
]
TARGETS = [
    b"/",
    b"/path?query=1&b=%20",
    b"/%c3%a9/%zz/%00",
    b"//double",
    b"/a#fragment",
    b"/\xc3\xa9",
    b"/with space",
    b"/with\ttab",
    b"*",
    b"a:443",
    b"http://a/b?c",
    b"http://a",
    b"http://[::1/",
    b"relative",
    b"",
    b"/" + b"x" * 300,
]
VERSIONS = [b"HTTP/1.1"] * 8 + [b"HTTP/1.0", b"HTTP/1.2", b"HTTP/2.0", b"http/1.1", b"HTTP/1.10"]
METHODS = [b"GET"] * 4 + [b"POST", b"HEAD", b"OPTIONS", b"CONNECT", b"-x", b"G(T", b"", b"G\xe9T"]

line_ends = st.sampled_from([CRLF] * 20 + [b"\n", b"\r", b"\r\r\n", b"\n\r\n", b" \r\n"])
tokens = st.text("abcXYZ019-_!~", min_size=1, max_size=8).map(str.encode)
values = st.one_of(
    st.text('abc XYZ,;="/\t\xe9', max_size=20).map(lambda text: text.encode("latin-1")),
    st.binary(max_size=8),
)
field_lines = st.one_of(
    st.sampled_from(FRAMING_LINES),
    st.sampled_from(PLAIN_LINES),
    st.builds(b"%b: %b".__mod__, st.tuples(tokens, values)),
)


@st.composite
def heads(draw):
    """A head of plausible lines, sometimes with wrong line ends, and what follows it."""
    line = b" ".join(draw(st.sampled_from(part)) for part in (METHODS, TARGETS, VERSIONS))
    lines = [line, *draw(st.lists(field_lines, max_size=6))]
    if draw(st.booleans()):
        lines.insert(1, b"Host: a")
    joined = b"".join(line + draw(line_ends) for line in lines) + draw(line_ends)
    rest = draw(st.sampled_from([b"", b"", b"body", b"GET / HTTP/1.1\r\n\r\n", b"\r\n"]))
    return joined + rest


@st.composite
def mutants(draw, sources=heads()):  # noqa: B008 a strategy is a constant
    """A head, or one of the given octets, with a few of them replaced, doubled or removed."""
    data = bytearray(draw(sources))
    for _ in range(draw(st.integers(0, 4))):
        if not data:
            break
        at = draw(st.integers(0, len(data) - 1))
        what = draw(st.sampled_from(["replace", "insert", "remove", "double", "cut"]))
        octet = draw(st.one_of(st.sampled_from(b"\r\n \t:\x00\x0b;,"), st.integers(0, 255)))
        if what == "replace":
            data[at] = octet
        elif what == "insert":
            data.insert(at, octet)
        elif what == "remove":
            del data[at]
        elif what == "double":
            data[at:at] = data[at : at + 8]
        else:
            del data[at:]
    return bytes(data)


chunk_lines = st.one_of(
    st.sampled_from(
        [
            b"5",
            b"005",
            b"A",
            b"0",
            b"00",
            b"5;a",
            b"5;a=b;c",
            b'5;a="b;c"',
            b"5 ;a",
            b"5 ",
            b" 5",
            b"+5",
            b"-5",
            b"0x5",
            b"5_0",
            b"",
            b";a",
            b"5;a\rb",
            b"5;\x00",
            b"5;\xe9",
            b"FFFFFFFFFFFFFFFF",
            b"10000000000000000",
            b"5\x0b",
        ]
    ),
    st.integers(0, 12).map(b"%x".__mod__),
)


@st.composite
def chunked_bodies(draw):
    """A chunked body that is right in most places, and what follows it."""
    parts = []
    for _ in range(draw(st.integers(0, 4))):
        line = draw(chunk_lines)
        try:
            size = int(line.partition(b";")[0], 16)
        except ValueError:
            size = 5
        size = min(abs(size) + draw(st.sampled_from([0] * 9 + [1, -1])), 20)
        parts.append(line + draw(line_ends) + b"x" * max(size, 0) + draw(line_ends))
    parts.append(draw(st.sampled_from([b"0\r\n"] * 4 + [b"0\n", b"0", b"0;a\r\n", b""])))
    trailers = st.sampled_from(PLAIN_LINES + FRAMING_LINES)
    parts += [line + draw(line_ends) for line in draw(st.lists(trailers, max_size=2))]
    parts.append(draw(st.sampled_from([b"\r\n"] * 4 + [b"\n", b"", b"\r"])))
    return b"".join(parts) + draw(st.sampled_from([b"", b"GET / HTTP/1.1\r\n\r\n"]))


def cuts(data, points):
    """The octets in pieces, cut at the given places."""
    edges = [0, *sorted({point % (len(data) + 1) for point in points}), len(data)]
    return [data[a:b] for a, b in zip(edges, edges[1:]) if a != b]
