"""Logging: levels, configurations, access lines, and that nothing can be injected."""

import io
import json
import logging
import os
import re
import time
from types import SimpleNamespace

import pytest

from granian import log
from granian.errors import ConfigurationError
from granian.log import LogLevels, configure_logging, log_request_builder, printable

REQUEST = {
    "addr_remote": "192.0.2.7",
    "protocol": "HTTP/1.1",
    "path": "/a b",
    "qs": b"x=1",
    "method": "GET",
    "scheme": "http",
}


@pytest.fixture(autouse=True)
def as_before():
    loggers = (log.logger, log.access_logger)
    kept = [(one.handlers[:], one.level, one.propagate, one.disabled) for one in loggers]
    yield
    for one, (handlers, level, propagate, disabled) in zip(loggers, kept):
        one.handlers[:] = handlers
        one.setLevel(level)
        one.propagate, one.disabled = propagate, disabled


@pytest.fixture
def records():
    class Keep(logging.Handler):
        def __init__(self):
            super().__init__()
            self.kept = []

        def emit(self, record):
            self.kept.append(record)

    keeper = Keep()
    log.access_logger.handlers[:] = [keeper]
    log.access_logger.setLevel(logging.INFO)
    log.access_logger.propagate = False
    return keeper.kept


class TestConfiguration:
    @pytest.mark.parametrize(
        ("level", "number"),
        [
            (LogLevels.critical, 50),
            ("debug", 10),
            ("DEBUG", 10),
            (None, 20),
            ("warn", 30),
            (LogLevels.notset, 0),
            (15, 15),
        ],
    )
    def test_level_by_any_name(self, level, number):
        configure_logging(level)
        assert log.logger.level == number

    def test_unknown_level(self):
        with pytest.raises(ConfigurationError, match="'loud' is not a log level"):
            configure_logging("loud")

    def test_silenced_server_keeps_its_access_log(self):
        configure_logging("debug", enabled=False)
        assert log.logger.level > logging.CRITICAL
        assert log.access_logger.isEnabledFor(logging.INFO)

    def test_user_configuration_replaces_whole_keys(self):
        user = {"loggers": {"granian.access": {"handlers": ["access"], "level": "ERROR"}}}
        configure_logging("warning", user)
        assert log.logger.level == logging.WARNING
        assert not log.access_logger.isEnabledFor(logging.INFO)
        assert "_granian" not in user["loggers"]

    def test_default_dictionary_is_not_changed(self):
        before = json.dumps(log.LOGGING_CONFIG)
        configure_logging("debug", {"filters": {}}, json_lines=True)
        assert json.dumps(log.LOGGING_CONFIG) == before

    @pytest.mark.parametrize("json_lines", [False, True])
    @pytest.mark.parametrize("enabled", [False, True])
    def test_default_is_the_same_by_hand_and_by_the_library(self, enabled, json_lines):
        def state():
            return [
                (
                    one.level,
                    one.propagate,
                    one.disabled,
                    [
                        (type(h), type(h.formatter), h.formatter._fmt, h.formatter.datefmt)
                        for h in one.handlers
                    ],
                    [h.stream for h in one.handlers],
                )
                for one in (log.logger, log.access_logger)
            ]

        configure_logging("warning", None, enabled, json_lines)
        by_hand = state()
        configure_logging("warning", {"version": 1}, enabled, json_lines)
        assert state() == by_hand

    def test_default_that_was_changed_in_place_counts(self, monkeypatch):
        changed = json.loads(json.dumps(log.LOGGING_CONFIG))
        changed["loggers"]["granian.access"]["level"] = "ERROR"
        monkeypatch.setattr(log, "LOGGING_CONFIG", changed)
        configure_logging("info")
        assert log.access_logger.level == logging.ERROR

    @pytest.mark.parametrize("bad", [{"version": 2}, {"handlers": {"console": {"class": "no.X"}}}])
    def test_unusable_dictionary_is_one_sentence(self, bad):
        with pytest.raises(ConfigurationError, match=r"^The log configuration cannot be used: "):
            configure_logging("info", bad)

    def test_every_level_has_a_number(self):
        assert set(log.log_levels_map) == set(LogLevels)
        assert log.log_levels_map["info"] == logging.INFO


class TestHandler:
    def test_reader_that_leaves_silences_the_stream_only(self, capfd):
        reader, writer = os.pipe()
        stream = os.fdopen(writer, "w", buffering=1)
        handler = log.ConsoleHandler(stream)
        os.close(reader)
        for _ in range(2):
            handler.emit(logging.LogRecord("x", 20, "", 0, "hello", None, None))
        stream.flush()
        stream.close()
        assert capfd.readouterr().err == ""

    def test_a_full_pipe_stops_nobody_and_what_was_dropped_is_told(self):
        reader, writer = os.pipe()
        with open(writer, "w") as stream, open(reader, "rb", buffering=0) as other:
            handler = log.ConsoleHandler(stream)
            record = logging.LogRecord("x", 20, "", 0, "x" * 1000, None, None)
            for _ in range(200):  # a pipe holds 64 KiB
                handler.emit(record)
            received = other.read(1 << 20)
            taken = received.count(b"\n")
            assert 0 < taken < 200
            handler.emit(record)
            assert other.read(1 << 20).startswith(b"%d log records were dropped" % (200 - taken))

    def test_closed_stream_is_survived(self):
        stream = io.StringIO()
        handler = log.ConsoleHandler(stream)
        stream.close()
        handler.emit(logging.LogRecord("x", 20, "", 0, "hello", None, None))
        handler.emit(logging.LogRecord("x", 20, "", 0, "hello", None, None))
        handler.stream.close()

    def test_other_errors_are_reported(self, capfd):
        handler = log.ConsoleHandler(io.StringIO())
        handler.emit(logging.LogRecord("x", 20, "", 0, "%d", ("no number",), None))
        assert "TypeError" in capfd.readouterr().err


class TestText:
    def test_terminal_sequences_become_visible(self):
        formatter = log.TextFormatter("%(message)s")
        record = logging.LogRecord("x", 20, "", 0, "a\x1b[2J\x07\r\x9b\u2028b\n\tc", None, None)
        assert formatter.format(record) == r"a\x1b[2J\x07\x0d\xc2\x9b\xe2\x80\xa8b" + "\n\tc"

    @pytest.mark.parametrize(
        ("given", "expected"),
        [
            ("/plain?x=1&y", "/plain?x=1&y"),
            ("a\r\nb", r"a\x0d\x0ab"),
            ('"\\', r"\x22\x5c"),
            ("é", r"\xc3\xa9"),
            ("\udcff", r"\xff"),
            (b"\xe9\x1b", r"\xe9\x1b"),
            ("\ufffd", r"\xef\xbf\xbd"),
            ("\x7f", r"\x7f"),
        ],
    )
    def test_printable(self, given, expected):
        assert printable(given) == expected

    def test_printable_never_fails_and_never_breaks_a_line(self):
        for code in [*range(0x250), 0x2028, 0xD800, 0xDFFF, 0xFFFF, 0x1F600]:
            text = printable(chr(code))
            assert all(" " <= char <= "~" for char in text)


class TestAccessLine:
    def test_default_format(self, records):
        line = log_request_builder(log.DEFAULT_ACCESSLOG_FMT)
        assert not line.parse_headers
        line(0.0, time.monotonic(), REQUEST, 200)
        pattern = r'^\[[-0-9: ]{19} [+-]\d{4}\] 192\.0\.2\.7 - "GET /a b HTTP/1\.1" 200 0\.\d{3}$'
        assert re.match(pattern, records[0].getMessage())

    def test_record_carries_the_atoms(self, records):
        log_request_builder("%(status)d")(0.0, time.monotonic(), REQUEST, 404)
        (record,) = records
        assert record.name == "granian.access"
        assert record.levelno == logging.INFO
        assert record.args["query_string"] == "x=1"
        assert record.args["scheme"] == "http"
        assert isinstance(record.args["dt_ms"], float)

    def test_request_fields_by_any_case(self, records):
        line = log_request_builder("%(header{X-One})s %(header{user-agent})s %(header{Gone})s")
        assert line.parse_headers
        headers = [(b"x-one", b"1\r\n[INFO] forged"), (b"user-agent", b"\x1b[m"), (b"x-one", b"2")]
        line(0.0, 0.0, {**REQUEST, "headers": headers}, 200)
        assert records[0].getMessage() == r"1\x0d\x0a[INFO] forged \x1b[m -"

    def test_request_fields_as_a_mapping(self, records):
        line = log_request_builder("%(header{Host})s")
        line(0.0, 0.0, {**REQUEST, "headers": {"Host": "example.org"}}, 200)
        assert records[0].getMessage() == "example.org"

    def test_further_atoms(self, records):
        line = log_request_builder("%(pid)d %(request_id)s %(worker)d", 3)
        assert line.parse_headers
        assert not line.counts
        for headers in [(b"x-request-id", b"a\nb")], []:
            line(0.0, 0.0, {**REQUEST, "headers": headers}, 200)
        assert [record.getMessage() for record in records] == [
            rf"{os.getpid()} a\x0ab 3",
            f"{os.getpid()} - 3",
        ]

    @pytest.mark.parametrize(
        ("facts", "said"),
        [(None, "-"), ({"tls_version": None}, "-"), ({"tls_version": 0x0304}, "TLSv1.3")],
    )
    def test_version_of_tls(self, records, facts, said):
        line = log_request_builder("%(tls)s")
        assert not line.counts
        line(0.0, 0.0, {**REQUEST, "responder": SimpleNamespace(tls=facts)}, 200)
        assert records[0].getMessage() == said

    @pytest.mark.parametrize(
        ("fmt", "said"),
        [
            ("%(bytes_in)d", "7"),
            ("%(bytes_out)d", "9"),
            ("%(response_header{Content-Type})s %(response_header{gone})s", r"a\x0ab -"),
        ],
    )
    def test_what_was_counted(self, records, fmt, said):
        line = log_request_builder(fmt)
        assert line.counts
        tally = SimpleNamespace(bytes_in=7, bytes_out=9, fields=[(b"content-type", b"a\nb")])
        line(0.0, 0.0, {**REQUEST, "responder": tally}, 200)
        assert records[0].getMessage() == said

    def test_nothing_is_counted_of_a_websocket(self, records):
        line = log_request_builder("%(bytes_in)d %(bytes_out)d %(response_header{x})s")
        line(0.0, 0.0, {**REQUEST, "responder": SimpleNamespace(tls=None)}, 101)
        assert records[0].getMessage() == "0 0 -"

    def test_the_default_format_counts_nothing(self):
        assert not log_request_builder(log.DEFAULT_ACCESSLOG_FMT).counts

    def test_one_line_per_request_whatever_it_says(self, records):
        line = log_request_builder("%(path)s %(query_string)s %(method)s %(addr)s")
        nasty = "".join(map(chr, range(256))) + "\u2028\u2029\x85"
        request = {**REQUEST, "path": nasty, "qs": nasty.encode(), "method": nasty}
        line(0.0, 0.0, {**request, "addr_remote": None}, 200)
        text = records[0].getMessage()
        assert all(" " <= char <= "~" for char in text)

    @pytest.mark.parametrize("bad", ["%(nothing)s", "%(path)d", "%(path)", "%(path"])
    def test_bad_format_is_refused_at_start(self, bad):
        with pytest.raises(ConfigurationError, match="access log format"):
            log_request_builder(bad)

    def test_no_record_is_made_when_nobody_listens(self, records):
        line = log_request_builder("%(path)s")
        log.access_logger.setLevel(logging.ERROR)
        line(0.0, 0.0, REQUEST, 200)
        assert records == []


class TestJson:
    def format(self, record):
        text = log.JsonFormatter().format(record)
        assert "\n" not in text
        assert text.isascii()
        return json.loads(text)

    def test_message(self):
        record = logging.LogRecord("_granian", 30, "", 0, "two\nlines %s", ("é",), None)
        entry = self.format(record)
        assert entry["message"] == "two\nlines é"
        assert entry["level"] == "warning"
        assert entry["logger"] == "_granian"
        assert entry["pid"] == os.getpid()
        assert re.match(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$", entry["time"])

    def test_exception_is_one_field(self):
        try:
            raise ValueError("broken")
        except ValueError:
            import sys

            record = logging.LogRecord("_granian", 40, "", 0, "failed", None, sys.exc_info())
        assert "ValueError: broken" in self.format(record)["exception"]

    def test_access_record(self, records):
        line = log_request_builder("%(path)s %(header{User-Agent})s")
        line(0.0, time.monotonic(), {**REQUEST, "headers": [(b"user-agent", b"curl")]}, 204)
        entry = self.format(records[0])
        assert entry["client"] == "192.0.2.7"
        assert entry["path"] == "/a b"
        assert entry["query"] == "x=1"
        assert entry["status"] == 204
        assert entry["http_version"] == "HTTP/1.1"
        assert entry["user_agent"] == "curl"
        assert entry["duration_ms"] >= 0
        assert "message" not in entry

    def test_access_record_with_further_atoms(self, records):
        line = log_request_builder(
            "%(bytes_in)d %(bytes_out)d %(response_header{Content-Type})s %(request_id)s", 4
        )
        tally = SimpleNamespace(bytes_in=7, bytes_out=9, fields=[(b"content-type", b"text/css")])
        line(0.0, 0.0, {**REQUEST, "responder": tally}, 200)
        entry = self.format(records[0])
        assert (entry["bytes_in"], entry["bytes_out"], entry["worker"]) == (7, 9, 4)
        assert entry["response_content_type"] == "text/css"
        assert entry["request_id"] == "-"

    def test_worker_number(self, monkeypatch):
        monkeypatch.setattr(log, "worker_id", 3)
        assert self.format(logging.LogRecord("x", 20, "", 0, "m", None, None))["worker"] == 3
