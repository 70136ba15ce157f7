"""The patterns accept what their ABNF rule does, nothing else, and in linear time."""

import re
import time

import pytest

from granian.wire import grammar

SEPARATORS = b'"(),/:;<=>?@[\\]{} \t\r\n\0\x7f\x80\xff'
CONTROLS = bytes([*range(9), *range(10, 32), 127])

ACCEPTED = {
    "TOKEN": [b"GET", b"x-a", b"!#$%&'*+-.^_`|~09AZaz"],
    "FIELD_VALUE": [b"", b"a b", b"\t", b"\xff\x80~!"],
    "DIGITS": [b"0", b"007", b"9" * 18],
    "HOST": [
        b"",
        b"a",
        b"a:80",
        b"a:",
        b"127.0.0.1:65535",
        b"[::1]",
        b"[::1]:80",
        b"[fe80::1%25eth0]",
        b"a_b.c-d~e!$&'()*+,;=%41",
    ],
    "REQUEST_LINE": [b"GET / HTTP/1.1", b"M-SEARCH * HTTP/1.0", b"G /\xff HTTP/9.9"],
    "ORIGIN_REQUEST_LINE": [b"GET / HTTP/1.1", b"X /a?b#c HTTP/1.1"],
    "PLAIN_REQUEST_LINE": [b"GET / HTTP/1.1", b"PUT /a/b.c-d~e HTTP/1.1", b"GET /a?b=%31 HTTP/1.1"],
    "ABSOLUTE_FORM": [b"http://a", b"HTTPS://a:1/b?c", b"x+y-z.1://a?q", b"a://"],
    "AUTHORITY_FORM": [b"a:443", b"[::1]:1"],
    "CHUNK_LINE": [b"0", b"fF09", b"a;x", b'1;a="b";c', b"0" * 16, b"1;\xff\t"],
}
REFUSED = {
    "TOKEN": [b"", *(b"a%c" % octet for octet in SEPARATORS)],
    "FIELD_VALUE": [b"a%c" % octet for octet in CONTROLS],
    "DIGITS": [
        b"",
        b"+1",
        b"-1",
        b"0x1",
        b"1_0",
        b"1 0",
        b"1.0",
        b"1\n",
        b"\xb2",
        "٣".encode(),
        b"9" * 19,
    ],
    "HOST": [
        b"a b",
        b"a/b",
        b"a@b",
        b"a:b",
        b"a:123456",
        b"[::1",
        b"::1",
        b"[g]",
        b"[::1]a",
        b"a\n",
        b"\xff",
        b"a:80:80",
        b"a?",
        b"a#",
        b"<a>",
    ],
    "REQUEST_LINE": [
        b"",
        b"GET /",
        b"GET  / HTTP/1.1",
        b"GET / HTTP/1.1 ",
        b" GET / HTTP/1.1",
        b"GET / http/1.1",
        b"GET / HTTP/11",
        b"GET / HTTP/1.10",
        b"G@T / HTTP/1.1",
        b"GET /\x7f HTTP/1.1",
        b"GET /\0 HTTP/1.1",
        b"GET\t/ HTTP/1.1",
        b"GET / HTTP/1.1\n",
    ],
    "ORIGIN_REQUEST_LINE": [
        b"GET * HTTP/1.1",
        b"GET / HTTP/1.0",
        b"GET http://a/ HTTP/1.1",
        b"GET /\xff HTTP/1.1",
        b"GET / HTTP/1.1\n",
    ],
    "PLAIN_REQUEST_LINE": [
        b"GET /%61 HTTP/1.1",
        b"GET a HTTP/1.1",
        b"GET / HTTP/1.0",
        b"GET /\xff HTTP/1.1",
        b"GET / HTTP/1.1\n",
    ],
    "ABSOLUTE_FORM": [b"/", b"*", b"http:/a", b"1http://a", b"http", b"http://a/\n"],
    "AUTHORITY_FORM": [b"a", b"a:", b"a:123456", b"a:b", b"a/b:1", b":1", b"[::1]", b"a:1\n"],
    "CHUNK_LINE": [
        b"",
        b"+5",
        b"-5",
        b"0x5",
        b"0_5",
        b" 5",
        b"5 ",
        b"g",
        b"5;a\r",
        b"5;a\n",
        b"5;\0",
        b"0" * 17,
        b"5\n",
    ],
}


def rows(table):
    return [pytest.param(name, octets) for name in table for octets in table[name]]


@pytest.mark.parametrize(("rule", "octets"), rows(ACCEPTED))
def test_rule_accepts(rule, octets):
    assert getattr(grammar, rule).fullmatch(octets)


@pytest.mark.parametrize(("rule", "octets"), rows(REFUSED))
def test_rule_refuses(rule, octets):
    assert getattr(grammar, rule).fullmatch(octets) is None


def test_every_pattern_has_its_rows():
    patterns = {name for name, value in vars(grammar).items() if isinstance(value, re.Pattern)}
    assert patterns == set(ACCEPTED) == set(REFUSED)


def test_request_line_gives_its_parts():
    matched = grammar.REQUEST_LINE.fullmatch(b"POST http://a/b?c HTTP/1.0")
    assert matched.groups() == (b"POST", b"http://a/b?c", b"1", b"0")


@pytest.mark.parametrize(
    ("target", "authority", "rest"),
    [
        (b"http://a/b?c", b"a", b"/b?c"),
        (b"http://a?c/d", b"a", b"?c/d"),
        (b"http://a#d", b"a", b"#d"),
        (b"http://a:80", b"a:80", b""),
        (b"http:///b", b"", b"/b"),
    ],
)
def test_absolute_form_is_cut_after_its_authority(target, authority, rest):
    assert grammar.ABSOLUTE_FORM.fullmatch(target).groups() == (authority, rest)


# 400 KB that nearly match: a prefix, a long run of what some class takes, an end that fits nowhere.
HOSTILE = {
    "TOKEN": [(b"", b"a", b" ")],
    "FIELD_VALUE": [(b"", b"a \t", b"\n")],
    "DIGITS": [(b"", b"1", b"x")],
    "HOST": [(b"", b"a", b"/"), (b"[", b":", b"x"), (b"[1%25", b"a", b"/"), (b"a:", b"1", b"")],
    "REQUEST_LINE": [(b"", b"A", b"\n"), (b"GET ", b"/", b" HTTP/1."), (b"A ", b"/ ", b"\0")],
    "ORIGIN_REQUEST_LINE": [(b"", b"A", b"\n"), (b"GET /", b"?", b" HTTP/1.0")],
    "PLAIN_REQUEST_LINE": [(b"GET /", b"a", b"\0"), (b"GET /", b"?", b" HTTP/1.0")],
    "ABSOLUTE_FORM": [
        (b"", b"a", b"\0"),
        (b"http://", b"a", b"/\0"),
        (b"http://", b"a:", b"?\0"),
        (b"http://a", b"/", b"\0"),
    ],
    "AUTHORITY_FORM": [(b"", b"a", b"\0"), (b"[", b":", b"\0"), (b"[", b":", b"]")],
    "CHUNK_LINE": [(b"", b"0", b"x"), (b"1;", b"a;", b"\r")],
}


def seconds(pattern, octets):
    start = time.process_time()
    assert pattern.fullmatch(octets) is None
    return time.process_time() - start


@pytest.mark.parametrize("rule", ACCEPTED)
def test_rule_is_linear_in_hostile_octets(rule):
    # What backtracks needs most of a second for the first, what does not, a few microseconds.
    pattern = getattr(grammar, rule)
    for head, run, tail in HOSTILE[rule]:
        assert seconds(pattern, head + run * 20_000 + tail) < 0.05
        assert seconds(pattern, head + run * (400_000 // len(run)) + tail) < 0.05
