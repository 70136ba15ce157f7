"""What every connection does: send, hold back, time out, wait, close."""

import errno
import os
import socket
import threading

import pytest

from granian.engine import connection as module
from granian.engine.connection import LOW_WATER, Connection, wait_ready
from granian.engine.deadlines import NEVER
from granian.engine.poller import READ, WRITE, Newcomer
from granian.plan import WorkerPlan
from tests.support.fakes import ScriptedSocket
from tests.support.runtime import FakeRuntime, RecordingApplication
from tests.support.wire import tcp_pair


class Plain(Connection):
    """A connection without a protocol: writes down what it is told."""

    def __init__(self, sock, runtime):
        super().__init__(Newcomer(sock, ("peer", 1), ("self", 2)), runtime)
        self.context = {"peer": self}
        runtime.poller.adopt(self)

    # Slots end with a subclass that has none: what is told is kept beside it.
    @property
    def log(self):
        return self.runtime.log

    def on_drained(self):
        self.log.append("drained")

    def on_deadline(self):
        self.reset()

    def on_lost(self):
        self.log.append("lost")

    def linger(self):
        self.log.append("linger")
        self.close()


def make(sock=None, room=None, **plan):
    runtime = FakeRuntime(RecordingApplication(), WorkerPlan(**plan))
    runtime.log = []
    return Plain(sock or ScriptedSocket(room=room), runtime)


@pytest.fixture
def pair():
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    theirs.settimeout(5)
    yield ours, theirs
    ours.close()
    theirs.close()


def watched(connection):
    return connection.poller.watched[connection.fd]


# sending


def test_what_the_kernel_takes_is_gone():
    connection = make()
    connection.transmit(b"hello")
    assert connection.sock.take() == b"hello"
    assert (connection.out_size, connection.deadline, watched(connection)) == (0, NEVER, READ)


@pytest.mark.parametrize("room", [0, 1, 4])
def test_the_rest_is_held_back_under_a_deadline(room):
    connection = make(room=room, write_timeout=7.0)
    connection.transmit(b"hello")
    connection.transmit(b" world")
    assert connection.out_size == 11 - room
    assert watched(connection) == READ | WRITE
    assert connection.deadline == connection.poller.now + 7.0
    data = connection.sock.drain()
    connection.on_writable()
    assert data + connection.sock.take() == b"hello world"
    assert (connection.out_size, watched(connection)) == (0, READ)
    assert connection.log == ["drained"]


def test_progress_renews_the_deadline_and_nothing_else_does():
    connection = make(room=0, write_timeout=7.0)
    connection.transmit(b"x" * 100)
    connection.poller.clock.advance(5.0)
    connection.on_writable()
    assert connection.deadline == connection.poller.now + 2.0
    connection.sock.room = 1
    connection.on_writable()
    assert connection.deadline == connection.poller.now + 7.0
    connection.poller.advance(7.1)
    assert connection.closed


def test_drained_is_told_at_the_low_water_mark():
    connection = make(room=0)
    connection.transmit(b"x" * (LOW_WATER + 1))
    connection.sock.room = 1
    connection.on_writable()
    assert connection.log == ["drained"]
    assert watched(connection) == READ | WRITE


def test_large_and_small_pieces_leave_in_order():
    connection = make(room=0)
    pieces = [b"a" * 300_000, b"b", b"c" * 700_000, *[b"%d" % i for i in range(100)]]
    for piece in pieces:
        connection.transmit(piece)
    data = b""
    while connection.out_size:
        connection.sock.room = 100_003
        connection.on_writable()
        data += connection.sock.take()
    assert data == b"".join(pieces)
    assert max(map(len, connection.sock.sends)) <= 262_144


def test_small_pieces_are_joined():
    connection = make(room=0)
    for _ in range(1000):
        connection.transmit(b"x")
    connection.sock.room = None
    connection.on_writable()
    assert connection.sock.sends == [b"x" * 1000]


@pytest.mark.parametrize("number", [errno.EPIPE, errno.ECONNRESET, errno.ETIMEDOUT])
def test_a_send_that_fails_loses_the_connection_once(number):
    connection = make()
    connection.sock.send_error = OSError(number, "gone")
    connection.transmit(b"x")
    connection.transmit(b"y")
    connection.lose()
    assert connection.log == ["lost"]
    connection = make(room=0)
    connection.transmit(b"x")
    connection.sock.room = None
    connection.sock.send_error = OSError(number, "gone")
    connection.on_writable()
    assert connection.log == ["lost"]
    assert connection.out_size == 0


def test_what_closes_waits_for_its_last_octets():
    connection = make(room=0)
    connection.transmit(b"bye")
    connection.closing = True
    connection.sock.room = None
    connection.on_writable()
    assert connection.log == ["linger"]
    assert connection.closed


# files


@pytest.fixture
def descriptor(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"0123456789")
    return os.open(str(path), os.O_RDONLY)


def test_a_file_goes_through_a_real_socket(pair, descriptor):
    connection = make(pair[0])
    connection.transmit(b"head ")
    connection.transmit_file(descriptor, 2, 6)
    assert pair[1].recv(100) == b"head 234567"
    with pytest.raises(OSError, match="Bad file"):
        os.fstat(descriptor)


@pytest.mark.parametrize("tls", [None, {}])
def test_a_file_waits_behind_what_is_unsent(pair, descriptor, tls):
    connection = make(pair[0])
    connection.tls = tls
    connection.transmit(b"x" * 5_000_000)
    connection.transmit_file(descriptor, 0, 10)
    received = bytearray()
    while connection.out_size or connection._file is not None:
        received += pair[1].recv(1 << 20)
        connection.on_writable()
    while len(received) < 5_000_010:
        received += pair[1].recv(1 << 20)
    assert bytes(received[-11:]) == b"x0123456789"
    assert connection.log[-1] == "drained"


def test_a_file_to_a_peer_that_goes(descriptor):
    connection = make()
    connection.tls = {}
    connection.sock.send_error = BrokenPipeError()
    connection.transmit_file(descriptor, 0, 10)
    assert connection.log == ["lost"]
    with pytest.raises(OSError, match="Bad file"):
        os.fstat(descriptor)


# waiting on the application's own thread


def in_thread(call):
    """Run ``call`` on another thread; return how to wait for what it returned or raised."""
    outcome = []

    def run():
        try:
            outcome.append(call())
        except Exception as error:
            outcome.append(error)

    thread = threading.Thread(target=run)
    thread.start()

    def result():
        thread.join(5)
        return outcome[0]

    return result


def test_octets_are_waited_for(pair):
    connection = make(pair[0])
    result = in_thread(lambda: connection.receive_now(5.0))
    pair[1].send(b"late")
    assert result() == b"late"


def test_unsent_octets_leave_while_octets_are_waited_for(pair):
    connection = make(pair[0])
    connection.transmit(b"x" * 2_000_000)
    assert connection.out_size
    result = in_thread(lambda: connection.receive_now(5.0))
    received = 0
    while received < 2_000_000:
        received += len(pair[1].recv(1 << 20))
    pair[1].send(b"thanks")
    assert result() == b"thanks"
    assert connection.out_size == 0


def test_a_peer_that_sends_nothing_is_reset(pair):
    connection = make(pair[0])
    with pytest.raises(ConnectionAbortedError):
        connection.receive_now(0.001)
    assert connection.closed
    assert connection.log == ["lost"]


def test_a_peer_that_ends_is_lost(pair):
    connection = make(pair[0])
    pair[1].close()
    with pytest.raises(ConnectionResetError):
        connection.receive_now(5.0)
    with pytest.raises(ConnectionResetError):
        connection.receive_now(5.0)
    assert connection.log == ["lost"]


def test_a_receive_that_fails_is_a_loss():
    connection = make(ScriptedSocket(ConnectionResetError()))
    with pytest.raises(ConnectionResetError):
        connection.receive_now(5.0)
    assert connection.closed


def test_room_is_waited_for(pair):
    connection = make(pair[0])
    connection.transmit(b"x" * 2_000_000)
    result = in_thread(connection.wait_writable)
    received = 0
    while received < 2_000_000 - LOW_WATER:
        received += len(pair[1].recv(1 << 20))
    assert result() is None
    assert connection.out_size <= LOW_WATER


def test_a_peer_that_takes_nothing_is_reset(pair):
    connection = make(pair[0], write_timeout=0.001)
    connection.transmit(b"x" * 2_000_000)
    with pytest.raises(ConnectionResetError):
        connection.wait_writable()
    assert connection.closed


def test_a_peer_that_goes_while_room_is_waited_for(pair):
    connection = make(pair[0])
    connection.transmit(b"x" * 2_000_000)
    pair[1].close()
    with pytest.raises(ConnectionResetError):
        connection.wait_writable()
    assert connection.closed


@pytest.mark.parametrize("poll", [True, False])
def test_readiness_of_one_descriptor(pair, monkeypatch, poll):
    if not poll:
        monkeypatch.delattr(module.select, "poll", raising=False)
    ours, theirs = pair
    assert wait_ready(ours.fileno(), READ, 0.001) is False
    assert wait_ready(ours.fileno(), READ | WRITE, 1.0) is True
    theirs.send(b"x")
    assert wait_ready(ours.fileno(), READ, 1.0) is True


# closing


def test_close_forgets_before_it_closes():
    connection = make()
    order = []
    connection.poller.forget = lambda _: order.append(("forget", connection.sock.closed))
    connection.arm(5.0)
    connection.close()
    connection.close()
    assert order == [("forget", False)]
    assert (connection.fd, connection.sock.closed) == (-1, True)
    assert connection.runtime.closed == [connection]
    assert connection.log == []


def test_a_loss_is_told_before_the_connection_is_said_to_be_closed():
    connection = make()
    connection.runtime.on_closed = lambda _: connection.log.append("closed")
    connection.lose()
    assert connection.log == ["lost", "closed"]


def test_a_loss_that_fails_closes_all_the_same(monkeypatch):
    connection = make()
    monkeypatch.setattr(Plain, "on_lost", lambda self: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        connection.lose()
    assert connection.sock.closed


def test_a_reset_is_an_error_to_the_peer():
    ours, theirs = tcp_pair()
    connection = make(ours)
    connection.reset()
    with theirs, pytest.raises(ConnectionResetError):
        theirs.recv(1)


def test_a_reset_of_what_is_gone_is_nothing():
    connection = make()

    def gone(*_):
        raise OSError(errno.EINVAL, "gone")

    connection.sock.setsockopt = gone
    connection.reset()
    assert connection.closed


def test_a_hangup_is_a_loss():
    connection = make()
    connection.on_hangup()
    assert connection.log == ["lost"]


# becoming another


def test_an_heir_takes_the_socket_and_what_is_unsent():
    connection = make(room=3)
    connection.transmit(b"hello")
    newcomer = connection.give_up()
    assert (newcomer.sock, newcomer.fd) == (connection.sock, 99)
    assert (newcomer.client, newcomer.server) == (("peer", 1), ("self", 2))
    assert connection.closed
    assert not connection.sock.closed
    assert connection.deadline == NEVER


def test_a_successor_goes_on_where_its_predecessor_was():
    first = make(room=3)
    first.transmit(b"hello")
    second = Plain(first.sock, first.runtime)
    second.take_over(first)
    assert first.closed
    assert (first.out_size, second.out_size) == (0, 2)
    assert second.events == READ | WRITE
    assert second.poller.connections == {99: second}
    data = second.sock.drain()
    second.on_writable()
    assert data + second.sock.take() == b"hello"
    first.lose()
    assert second.log == ["drained"]


def test_the_application_can_be_told_before_the_end():
    connection = make()
    connection.disconnect_streams()

    class Handler:
        def on_disconnect(self):
            connection.log.append("told")

    connection.handler = Handler()
    connection.disconnect_streams()
    assert connection.log == ["told"]


def test_a_half_closed_peer_is_heard_out_for_so_long():
    connection = make()
    connection.watch(0)
    assert connection.half_close(5.0)
    assert connection.sock.half_closed
    assert connection.events == READ
    assert connection.deadline == connection.poller.now + 5.0


def test_a_peer_that_has_gone_cannot_be_half_closed():
    connection = make()
    connection.sock.close()
    assert not connection.half_close(5.0)
    assert connection.deadline == NEVER


def test_a_protocol_must_define_its_part():
    bare = Connection(Newcomer(ScriptedSocket(), None, None), make().runtime)
    for name in ("on_readable", "on_drained", "on_deadline", "on_lost", "drain", "linger"):
        with pytest.raises(NotImplementedError):
            getattr(bare, name)()
    with pytest.raises(NotImplementedError):
        _ = bare.idle


# what waits for the end of a turn


def test_answers_of_one_turn_leave_together_at_its_end():
    one = make()
    with one.poller.turn():
        one.dispatch(b"first ")
        one.dispatch(b"second")
        assert one.sock.sends == []
    assert one.sock.sends == [b"first second"]
    assert one.gathered == b""


def test_between_two_turns_the_first_octets_leave_and_the_next_may_wait():
    one = make()
    with one.poller.callbacks():
        one.dispatch(b"first")
        one.dispatch(b"second")
        one.dispatch(b"third")
        assert one.sock.sends == [b"first"]
    assert one.sock.sends == [b"first", b"secondthird"]


def test_octets_that_leave_at_once_end_no_gathering():
    one = make()
    with one.poller.turn():
        one.transmit(b"now")
        one.dispatch(b"later")
        assert one.sock.sends == [b"now"]
    assert one.sock.sends == [b"now", b"later"]


def test_outside_a_turn_nothing_waits():
    one = make()
    one.dispatch(b"now")
    assert one.sock.sends == [b"now"]


def test_what_is_sent_at_once_comes_after_what_waited():
    one = make()
    with one.poller.turn():
        one.dispatch(b"first ")
        one.transmit(b"second")
        assert one.sock.take() == b"first second"


def test_a_large_answer_does_not_wait_nor_overtake():
    one = make()
    large = bytes(module.GATHER + 1)
    with one.poller.turn():
        one.dispatch(b"small")
        one.dispatch(large)
        assert one.sock.take() == b"small" + large


def test_many_small_answers_do_not_wait_beyond_the_limit():
    one = make()
    with one.poller.turn():
        for _ in range(5):
            one.dispatch(bytes(module.GATHER // 4))
        assert len(one.sock.take()) == module.GATHER // 4 * 5
        one.dispatch(b"next")
    assert one.sock.take() == b"next"


def test_what_the_kernel_does_not_take_of_a_gathered_answer_is_kept():
    one = make(room=3)
    with one.poller.turn():
        one.dispatch(b"abcdef")
    assert one.sock.take() == b"abc"
    assert (one.out_size, one.events, one.deadline != NEVER) == (3, READ | WRITE, True)
    one.sock.room = None
    one.on_writable()
    assert one.sock.take() == b"def"


def test_a_peer_that_is_gone_at_the_end_of_the_turn_is_lost_once():
    one = make()
    one.sock.send_error = OSError(errno.EPIPE, "gone")
    with one.poller.turn():
        one.dispatch(b"answer")
        assert one.log == []
    assert one.log == ["lost"]
    assert one.closed


def test_a_connection_that_closes_after_its_answer_does_so_when_it_is_sent():
    one = make()
    with one.poller.turn():
        one.dispatch(b"last")
        one.closing = True
    assert (one.sock.take(), one.log) == (b"last", ["linger"])


def test_who_takes_the_socket_over_finds_the_answer_sent():
    one = make()
    with one.poller.turn():
        one.dispatch(b"answer")
        one.give_up()
        assert one.sock.take() == b"answer"


def test_before_a_thread_waits_for_a_peer_it_sends_what_others_wait_for(pair):
    ours, theirs = pair
    one, other = make(ours), make()
    other.poller = one.poller
    with one.poller.turn():
        other.dispatch(b"other")
        one.dispatch(b"answer")
        answered = threading.Thread(target=lambda: theirs.send(theirs.recv(100).upper()))
        answered.start()
        assert one.receive_now(5) == b"ANSWER"
        assert other.sock.take() == b"other"
        answered.join()
