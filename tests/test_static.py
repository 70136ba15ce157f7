import os
from types import SimpleNamespace

import pytest

from granian.errors import AppError
from granian.plan import StaticPlan
from granian.static import SMALL, StaticFiles, accepts, evaluate, read_range
from tests.support.responder import FakeResponder, make_head


@pytest.fixture
def mount(tmp_path):
    root = tmp_path / "a"
    root.mkdir()
    (root / "sub").mkdir()
    (root / "file.txt").write_bytes(b"0123456789")
    (root / "index.html").write_bytes(b"<html>")
    (root / "sub" / "index.html").write_bytes(b"<sub>")
    (root / "empty").write_bytes(b"")
    (tmp_path / "secret.txt").write_bytes(b"secret")
    sibling = tmp_path / "ab"
    sibling.mkdir()
    (sibling / "file.txt").write_bytes(b"sibling")
    return root


class Application:
    """What static files stand before; answers 299."""

    begun = 0

    def connect(self, peer):
        return "context"

    def disconnect(self, context):
        """Never called here."""

    def begin(self, responder, head, body, complete):
        responder.respond(299, (), body)


class Site:
    def __init__(self, mount, route="/static", **options):
        plan = StaticPlan(mounts=((route, str(mount)),), **options)
        self.counters = SimpleNamespace(static_requests_handled=0, static_requests_err=0)
        self.static = StaticFiles(plan, Application(), self.counters)

    def ask(self, target, method="GET", refuse=None, **fields):
        responder = FakeResponder(self.static, handler="stale", refuse=refuse)
        headers = [
            (name.replace("_", "-").encode(), value if isinstance(value, bytes) else value.encode())
            for name, value in fields.items()
        ]
        head = make_head(method, target.encode(), headers)
        self.static.begin(responder, head, b"body", True)
        status, fields, body = responder.response
        return status, dict(fields), body


@pytest.fixture
def site(mount):
    return Site(mount)


def test_a_file(site):
    status, fields, body = site.ask("/static/file.txt")
    assert (status, body) == (200, b"0123456789")
    assert fields[b"content-type"] == b"text/plain"
    assert fields[b"cache-control"] == b"max-age=86400"
    assert fields[b"accept-ranges"] == b"bytes"
    assert fields[b"etag"].startswith(b'"')
    assert fields[b"last-modified"].endswith(b" GMT")
    assert (site.counters.static_requests_handled, site.counters.static_requests_err) == (1, 0)


def test_no_caching_when_it_does_not_expire(mount):
    assert b"cache-control" not in Site(mount, expires=0).ask("/static/file.txt")[1]


def test_a_stale_handler_is_removed(site):
    responder = FakeResponder(site.static, handler="stale")
    site.static.begin(responder, make_head(target=b"/static/file.txt"), b"", True)
    assert responder.handler is None


def test_the_rest_is_the_applications(site):
    assert site.ask("/")[::2] == (299, b"body")
    assert site.ask("/staticx/file.txt")[0] == 299
    assert site.ask("/x/static/file.txt")[0] == 299


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "get"])
def test_other_methods_are_the_applications(site, method):
    assert site.ask("/static/file.txt", method)[0] == 299


@pytest.mark.parametrize(
    "target",
    [
        "/static/../secret.txt",
        "/static/%2e%2e/secret.txt",
        "/static/..%2fsecret.txt",
        "/static/%2e%2e%2fsecret.txt",
        "/static/%252e%252e/secret.txt",
        "/static/sub/../../secret.txt",
        "/static/sub/../file.txt",
        "/static/..\\secret.txt",
        "/static/..%5csecret.txt",
        "/static//etc/passwd",
        "/static/%2fetc/passwd",
        "/static/..",
        "/static/../ab/file.txt",
        "/static/file.txt/",
        "/static/file.txt%00",
        "/static/file.txt%00.png",
        "/static/%ff",
        "/static/missing",
        "/static/sub",
        "/static/",
        "/static",
        "/static/" + "x" * 5000,
    ],
)
def test_what_is_not_a_file_of_the_mount_is_one_and_the_same_404(site, target):
    assert site.ask(target) == (404, {b"content-type": b"text/plain; charset=utf-8"}, b"Not found")
    assert site.counters.static_requests_err == 1


@pytest.mark.parametrize("index", [None, "index.html"])
def test_links_out_of_the_mount(mount, index):
    site = Site(mount, dir_to_file=index)
    (mount / "link").symlink_to("/etc/hostname")
    (mount / "up").symlink_to(mount.parent)
    (mount / "inside").symlink_to(mount / "file.txt")
    (mount / "trap").mkdir()
    (mount / "trap" / "index.html").symlink_to(mount.parent / "secret.txt")
    for target in ("/static/link", "/static/up/secret.txt", "/static/up/ab/file.txt"):
        assert site.ask(target)[0] == 404
    assert site.ask("/static/trap/")[0] == 404
    assert site.ask("/static/inside")[2] == b"0123456789"


def test_a_mount_that_is_a_link(mount):
    (mount.parent / "alias").symlink_to(mount)
    assert Site(mount.parent / "alias").ask("/static/file.txt")[0] == 200


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs FIFOs")
def test_a_fifo_holds_nobody(site, mount):
    os.mkfifo(mount / "fifo")
    assert site.ask("/static/fifo")[0] == 404


def test_without_proc_the_path_is_resolved(site, mount, monkeypatch):
    monkeypatch.setattr("granian.static._DESCRIPTORS", "/nowhere")
    (mount / "link").symlink_to(mount.parent / "secret.txt")
    assert site.ask("/static/file.txt")[0] == 200
    assert site.ask("/static/link")[0] == 404


@pytest.mark.parametrize("target", ["/static/sub", "/static/sub/"])
def test_an_index(mount, target):
    site = Site(mount, dir_to_file="index.html")
    assert site.ask(target)[::2] == (200, b"<sub>")
    assert site.ask("/static/")[2] == b"<html>"
    (mount / "bare").mkdir()
    assert site.ask("/static/bare/")[0] == 404


@pytest.mark.parametrize("route", ["static", "/static/", "/static"])
def test_routes_are_normalised(mount, route):
    assert Site(mount, route).ask("/static/file.txt")[0] == 200


def test_the_root_route(mount):
    site = Site(mount, "/")
    assert site.ask("/file.txt")[0] == 200
    assert site.ask("/nothing")[0] == 404


def test_names_beyond_ascii(site, mount):
    (mount / "メディア.png").write_bytes(b"png")
    target = "/static/%E3%83%A1%E3%83%87%E3%82%A3%E3%82%A2.png"
    status, fields, body = site.ask(target)
    assert (status, fields[b"content-type"], body) == (200, b"image/png", b"png")


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.pem", b"application/x-x509-ca-cert"),
        ("a.js", b"text/javascript"),
        ("a.HTML", b"text/html"),
        ("a.woff2", b"font/woff2"),
        ("a.svg", b"image/svg+xml"),
        ("a.tar.gz", b"application/gzip"),
        ("a.bz2", b"application/octet-stream"),
        ("a\r\nx-evil: 1.txt", b"text/plain"),
        ("a.unknown", None),
        ("plain", None),
    ],
)
def test_types(site, mount, name, kind):
    (mount / name).write_bytes(b"x")
    from urllib.parse import quote

    fields = site.ask("/static/" + quote(name))[1]
    expected = {kind, b"application/javascript"} if name == "a.js" else {kind}
    assert fields.get(b"content-type") in expected


def test_head_has_a_length_and_no_body(site):
    status, fields, body = site.ask("/static/file.txt", "HEAD", range="bytes=0-1")
    assert (status, fields[b"content-length"], body) == (200, b"10", b"")


def test_large_files_are_sent_by_the_responder(site, mount):
    content = os.urandom(SMALL + 10)
    (mount / "large").write_bytes(content)
    assert site.ask("/static/large")[::2] == (200, content)
    assert site.ask("/static/large", range="bytes=5-")[2] == content[5:]
    before = len(os.listdir("/proc/self/fd")) if os.path.exists("/proc/self/fd") else 0
    with pytest.raises(AppError):
        site.ask("/static/large", refuse="wrong")
    if before:
        assert len(os.listdir("/proc/self/fd")) == before


# conditions


@pytest.mark.parametrize("tag", ["{etag}", "W/{etag}", '"x", {etag}', "*"])
def test_a_known_tag_is_not_modified(site, tag):
    etag = site.ask("/static/file.txt")[1][b"etag"].decode()
    status, fields, body = site.ask("/static/file.txt", if_none_match=tag.format(etag=etag))
    assert (status, body) == (304, b"")
    assert fields[b"etag"].decode() == etag
    assert b"cache-control" in fields
    assert b"content-type" not in fields


def test_another_tag_is_served_whatever_the_date(site):
    modified = site.ask("/static/file.txt")[1][b"last-modified"]
    fields = {"if_none_match": '"other"', "if_modified_since": modified}
    assert site.ask("/static/file.txt", **fields)[0] == 200


OLD, NOW, NEW = (b"Sun, 06 Nov %d 08:49:37 GMT" % year for year in (1994, 2004, 2034))


@pytest.mark.parametrize(
    ("asked", "verdict"),
    [
        ({}, 0),
        ({b"if-modified-since": NOW}, 304),
        ({b"if-modified-since": NEW}, 304),
        ({b"if-modified-since": OLD}, 0),
        ({b"if-modified-since": b"yesterday"}, 0),
        ({b"if-modified-since": b"\xff"}, 0),
        ({b"if-unmodified-since": OLD}, 412),
        ({b"if-unmodified-since": NOW}, 0),
        ({b"if-unmodified-since": b"never"}, 0),
        ({b"if-match": b'"tag"'}, 0),
        ({b"if-match": b'"a", "tag"'}, 0),
        ({b"if-match": b"*"}, 0),
        ({b"if-match": b'"other"'}, 412),
        ({b"if-match": b'W/"tag"'}, 412),
        ({b"if-match": b'"tag"', b"if-unmodified-since": OLD}, 0),
        ({b"if-none-match": b'"other"', b"if-modified-since": NEW}, 0),
    ],
)
def test_preconditions(asked, verdict):
    assert evaluate(asked, b'"tag"', NOW) == verdict


def test_repeated_condition_lines_are_one_list(site):
    etag = site.ask("/static/file.txt")[1][b"etag"]
    responder = FakeResponder(site.static)
    headers = [(b"if-none-match", b'"x"'), (b"if-none-match", etag)]
    site.static.begin(responder, make_head(target=b"/static/file.txt", headers=headers), b"", True)
    assert responder.response[0] == 304


# ranges


@pytest.mark.parametrize(
    ("value", "part"),
    [
        (b"bytes=0-9", (0, 10)),
        (b"bytes=3-8", (3, 6)),
        (b"bytes=5-5", (5, 1)),
        (b"bytes=5-", (5, 5)),
        (b"bytes=5-99", (5, 5)),
        (b"bytes=-3", (7, 3)),
        (b"bytes=-99", (0, 10)),
        (b"bytes=10-", (0, 0)),
        (b"bytes=99-100", (0, 0)),
        (b"bytes=-0", (10, 0)),
        (b"bytes=8-3", None),
        (b"bytes=-", None),
        (b"bytes=0-1,3-4", None),
        (b"bytes=" + b"0-," * 1000, None),
        (b"lines=0-1", None),
        (b"bytes=a-b", None),
        (b"bytes=" + b"9" * 50 + b"-", None),
    ],
)
def test_reading_ranges(value, part):
    assert read_range(value, 10) == part


def test_a_part(site):
    status, fields, body = site.ask("/static/file.txt", range="bytes=3-8")
    assert (status, body) == (206, b"345678")
    assert fields[b"content-range"] == b"bytes 3-8/10"


def test_a_part_that_does_not_exist(site):
    status, fields, body = site.ask("/static/file.txt", range="bytes=10-")
    assert (status, fields, body) == (416, {b"content-range": b"bytes */10"}, b"")
    assert site.ask("/static/empty", range="bytes=0-0")[0] == 416


def test_a_part_of_what_was_seen_before(site):
    fields = site.ask("/static/file.txt")[1]
    for name, status in ((fields[b"etag"], 206), (fields[b"last-modified"], 206), (b'"x"', 200)):
        asked = {"range": "bytes=0-1", "if_range": name}
        assert site.ask("/static/file.txt", **asked)[0] == status


# compressed siblings


@pytest.mark.parametrize(
    ("value", "coding", "accepted"),
    [
        (b"gzip, br", b"br", True),
        (b"gzip", b"br", False),
        (b"GZIP;q=0.5", b"gzip", True),
        (b"gzip;q=0", b"gzip", False),
        (b"gzip; q=0.000", b"gzip", False),
        (b"x-gzip", b"gzip", False),
        (b"", b"br", False),
    ],
)
def test_accepted_codings(value, coding, accepted):
    assert accepts(value, coding) is accepted


def test_a_compressed_sibling_is_sent_to_who_accepts_it(site, mount):
    (mount / "file.txt.gz").write_bytes(b"zipped")
    status, fields, body = site.ask("/static/file.txt", accept_encoding="gzip, br")
    assert (status, body) == (200, b"zipped")
    assert fields[b"content-encoding"] == b"gzip"
    assert fields[b"content-type"] == b"text/plain"
    assert fields[b"vary"] == b"accept-encoding"
    plain = site.ask("/static/file.txt")
    assert plain[2] == b"0123456789"
    assert plain[1][b"vary"] == b"accept-encoding"
    assert plain[1][b"etag"] != fields[b"etag"]
    part = site.ask("/static/file.txt", accept_encoding="gzip", range="bytes=0-1")
    assert part[2] == b"01"


def test_a_sibling_older_than_its_file_is_not_sent(site, mount):
    (mount / "file.txt.br").write_bytes(b"stale")
    os.utime(mount / "file.txt.br", (1, 1))
    _, fields, body = site.ask("/static/file.txt", accept_encoding="br")
    assert body == b"0123456789"
    assert b"vary" not in fields


def test_a_sibling_out_of_the_mount_is_not_sent(site, mount):
    (mount / "file.txt.br").symlink_to(mount.parent / "secret.txt")
    assert site.ask("/static/file.txt", accept_encoding="br")[2] == b"0123456789"
