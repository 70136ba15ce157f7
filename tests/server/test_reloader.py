"""What counts as a change, and when it is told."""

import os
import threading

import pytest
from watchdog import events

from granian.errors import FatalError
from granian.plan import ReloadPlan
from granian.server import reloader as module
from granian.server.reloader import Change, DefaultFilter, Reloader, make_filter
from tests.support.fakes import FakeClock


@pytest.fixture
def clock(monkeypatch):
    clock = FakeClock()
    monkeypatch.setattr("time.monotonic", clock)
    return clock


def reloader(**plan):
    rung = []
    made = Reloader(ReloadPlan(**plan), None, lambda: rung.append(1))
    made.rung = rung
    return made


class TestFilter:
    @pytest.mark.parametrize(
        "path",
        [
            "/p/__pycache__/a.py",
            "/p/.git/index",
            "/p/node_modules/x/y.js",
            "/p/.venv/lib/a.py",
            "/p/a.pyc",
            "/p/.a.swp",
            "/p/a~",
            "/p/.#a.py",
            "/p/.DS_Store",
            "/p/flycheck_a.py",
            "/p/a.py.___jb_tmp___",
        ],
    )
    def test_what_does_not_count(self, path):
        assert not DefaultFilter(ReloadPlan())(Change.modified, path)

    @pytest.mark.parametrize("path", ["/p/a.py", "/p/style.css", "/p/git/a", "/p/venv.py", "/p/a"])
    def test_everything_else_counts(self, path):
        assert DefaultFilter(ReloadPlan())(Change.added, path)

    def test_users_lists_extend_the_defaults(self):
        keep = DefaultFilter(
            ReloadPlan(
                ignore_dirs=("media",), ignore_patterns=(r"\.log$",), ignore_paths=("/p/data",)
            )
        )
        for path in ("/p/media/a", "/p/x.log", "/p/data/x", "/p/a.pyc"):
            assert not keep(Change.added, path)
        assert keep(Change.added, "/p/a.py")
        assert not keep.enters("media")

    def test_unusable_pattern_is_one_sentence(self):
        with pytest.raises(FatalError, match=r"^The reload pattern '\(' cannot be used"):
            DefaultFilter(ReloadPlan(ignore_patterns=("(",)))

    def test_custom_class_is_extended_in_place(self):
        class Custom:
            ignore_dirs = ("a",)
            ignore_paths = None

            def __call__(self, change, path):
                return path.endswith(".py")

        made = make_filter(ReloadPlan(ignore_dirs=("b",), ignore_paths=("/x",)), Custom)
        assert Custom.ignore_dirs == ("a", "b")
        assert Custom.ignore_paths == ("/x",)
        assert made(Change.modified, "/p/a.py")


class TestCollecting:
    def test_kinds_of_events(self, clock):
        watched = reloader()
        for event in (
            events.FileCreatedEvent("/p/new.py"),
            events.FileModifiedEvent("/p/old.py"),
            events.FileDeletedEvent("/p/gone.py"),
            events.FileMovedEvent("/p/from.py", "/p/to.py"),
            events.DirModifiedEvent("/p"),
            events.DirCreatedEvent("/p/sub"),
        ):
            watched.on_any_event(event)
        for kind in ("opened", "closed", "closed_no_write"):
            event = events.FileModifiedEvent("/p/read.py")
            event.event_type = kind
            watched.on_any_event(event)
        clock.advance(1)
        assert watched.take() == [
            (Change.deleted, "/p/from.py"),
            (Change.deleted, "/p/gone.py"),
            (Change.added, "/p/new.py"),
            (Change.modified, "/p/old.py"),
            (Change.added, "/p/to.py"),
        ]
        assert watched.take() == []
        assert watched.wait() is None

    def test_save_through_a_temporary_file_names_the_file_only(self, clock):
        watched = reloader()
        watched.on_any_event(events.FileMovedEvent("/p/.a.py.swp", "/p/a.py"))
        clock.advance(1)
        assert watched.take() == [(Change.added, "/p/a.py")]

    def test_nothing_is_told_before_a_pause(self, clock):
        watched = reloader(tick=0.05)
        for _ in range(5):
            watched.on_any_event(events.FileModifiedEvent("/p/a.py"))
            clock.advance(0.04)
            assert watched.take() == []
            assert 0 < watched.wait() < 0.05
        clock.advance(0.02)
        assert watched.take() == [(Change.modified, "/p/a.py")]

    def test_a_stream_without_pauses_is_cut(self, clock):
        watched = reloader(tick=0.05)
        for _ in range(26):
            watched.on_any_event(events.FileModifiedEvent("/p/a.py"))
            clock.advance(0.04)
        assert watched.wait() == 0
        assert len(watched.take()) == 1

    def test_only_what_counts_rings(self, clock):
        watched = reloader()
        watched.on_any_event(events.FileModifiedEvent("/p/a.pyc"))
        assert watched.rung == []
        watched.on_any_event(events.FileModifiedEvent("/p/a.py"))
        assert watched.rung == [1]


class TestWatching:
    @pytest.mark.parametrize("polling", [False, True])
    def test_real_file(self, tmp_path, monkeypatch, polling):
        monkeypatch.setattr(module, "_POLL_SECONDS", 0.01)
        rung = threading.Event()
        plan = ReloadPlan(paths=(str(tmp_path),), tick=0.0, polling=polling)
        watched = Reloader(plan, None, rung.set)
        watched.start()
        try:
            (tmp_path / "a.py").write_text("x")
            assert rung.wait(5)
        finally:
            watched.stop()
        assert {os.path.basename(path) for _, path in watched.take()} == {"a.py"}

    def test_missing_path_is_one_sentence(self):
        with pytest.raises(FatalError, match="does not exist"):
            reloader(paths=("/no/such/path",)).start()

    def test_polling_takes_over_where_watches_run_out(self, tmp_path, monkeypatch):
        class Exhausted:
            def schedule(self, *_, **__):
                raise OSError(28, "No space left on device")

            def unschedule_all(self):
                pass

        monkeypatch.setattr(module, "Observer", Exhausted)
        watched = reloader(paths=(str(tmp_path),))
        watched.start()
        assert isinstance(watched._observer, module.PollingObserverVFS)
        watched.stop()

    def test_polling_does_not_enter_what_is_ignored(self, tmp_path):
        (tmp_path / "node_modules").mkdir()
        (tmp_path / "src").mkdir()
        assert [entry.name for entry in reloader()._entered(str(tmp_path))] == ["src"]

    def test_never_started_can_be_stopped(self):
        reloader().stop()
