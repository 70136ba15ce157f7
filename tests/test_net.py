"""Binding: what is bound, what is printed, what is said when it cannot be."""

import os
import pickle
import socket
import stat

import pytest

from granian import net
from granian.errors import FatalError


@pytest.fixture
def path(tmp_path, monkeypatch):
    # Unix socket paths are short (sun_path): bind relative to the folder.
    monkeypatch.chdir(tmp_path)
    return "s.sock"


def closing(sockets):
    for sock in sockets:
        sock.close()


class TestTcp:
    def test_port_zero_becomes_a_real_port(self):
        (sock,) = net.bind_tcp("127.0.0.1", 0, 128)
        with sock:
            assert sock.getsockname()[1] > 0
            assert net.url(sock, "http") == f"http://127.0.0.1:{sock.getsockname()[1]}"

    def test_name_listens_on_all_its_addresses_with_one_port(self, monkeypatch):
        found = [
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 0)),
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.2", 0)),
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 0)),
        ]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *a, **k: found)
        sockets = net.bind_tcp("two.example", 0, 128)
        names = [sock.getsockname() for sock in sockets]
        closing(sockets)
        assert [name[0] for name in names] == ["127.0.0.1", "127.0.0.2"]
        assert names[0][1] == names[1][1] > 0

    def test_name_with_too_many_addresses_is_refused(self, monkeypatch):
        found = [(socket.AF_INET, 1, 6, "", (f"10.0.0.{n}", 0)) for n in range(9)]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *a, **k: found)
        with pytest.raises(FatalError, match="resolves to 9 addresses"):
            net.bind_tcp("many.example", 0, 128)

    def test_unknown_name_is_one_sentence(self, monkeypatch):
        def fail(*_, **__):
            raise socket.gaierror(-2, "Name or service not known")

        monkeypatch.setattr(socket, "getaddrinfo", fail)
        with pytest.raises(FatalError, match=r"^Cannot resolve host 'no.invalid': Name or service"):
            net.bind_tcp("no.invalid", 0, 128)

    def test_port_in_use_names_its_holder(self):
        (sock,) = net.bind_tcp("127.0.0.1", 0, 128)
        with sock, pytest.raises(FatalError) as caught:
            net.bind_tcp("127.0.0.1", sock.getsockname()[1], 128)
        text = str(caught.value)
        assert "the port is in use" in text
        if os.path.exists("/proc/net/tcp"):
            assert f"by process {os.getpid()}" in text
        assert "\n" not in text

    def test_foreign_address_is_one_sentence(self):
        with pytest.raises(FatalError, match="this machine does not have that address"):
            net.bind_tcp("192.0.2.1", 0, 128)

    def test_any_address_falls_back_where_ipv6_is_missing(self, monkeypatch):
        bind = net._bind_address

        def no_ipv6(family, address, backlog):
            if family == socket.AF_INET6:
                raise OSError(97, "Address family not supported by protocol")
            return bind(family, address, backlog)

        monkeypatch.setattr(net, "_bind_address", no_ipv6)
        sockets = net.bind_tcp("::", 0, 128)
        names = [sock.getsockname()[0] for sock in sockets]
        closing(sockets)
        assert names == ["0.0.0.0"]

    def test_ipv6_is_bracketed(self):
        class Sock:
            def getsockname(self):
                return ("::1", 8000, 0, 0)

        assert net.url(Sock(), "https") == "https://[::1]:8000"

    def test_partial_failure_closes_what_was_bound(self, monkeypatch):
        made = []
        bind = net._bind_address

        def second_fails(family, address, backlog):
            if made:
                raise OSError(13, "Permission denied")
            made.append(bind(family, address, backlog))
            return made[0]

        found = [(socket.AF_INET, 1, 6, "", (f"127.0.0.{n}", 0)) for n in (1, 2)]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *a, **k: found)
        monkeypatch.setattr(net, "_bind_address", second_fails)
        with pytest.raises(FatalError):
            net.bind_tcp("two.example", 0, 128)
        assert made[0].fileno() == -1


class TestUnix:
    def test_permissions_are_exactly_those_asked(self, path):
        with net.bind_unix(path, 128, 0o660):
            assert stat.S_IMODE(os.stat(path).st_mode) == 0o660

    def test_umask_is_left_as_it_was(self, path):
        before = os.umask(0o027)
        try:
            with net.bind_unix(path, 128, 0o600):
                pass
            assert os.umask(0o027) == 0o027
        finally:
            os.umask(before)

    def test_stale_socket_is_replaced(self, path):
        net.bind_unix(path, 128, None).close()
        assert os.path.exists(path)
        with net.bind_unix(path, 128, None) as sock:
            assert net.url(sock, "http") == f"http://unix:{path}"

    def test_socket_in_use_is_left_alone(self, path):
        with net.bind_unix(path, 128, None), pytest.raises(FatalError, match="in use"):
            net.bind_unix(path, 128, None)

    def test_full_backlog_counts_as_in_use(self, path):
        waiting = []
        with net.bind_unix(path, 0, None):
            for _ in range(4):
                sock = socket.socket(socket.AF_UNIX)
                sock.setblocking(False)
                waiting.append(sock)
                try:
                    sock.connect(path)
                except BlockingIOError:
                    break
            with pytest.raises(FatalError, match="in use"):
                net.bind_unix(path, 128, None)
        closing(waiting)

    def test_file_is_never_removed(self, path):
        with open(path, "w") as file:
            file.write("precious")
        with pytest.raises(FatalError, match="is not a socket"):
            net.bind_unix(path, 128, None)
        assert os.path.getsize(path) == 8

    def test_link_to_a_socket_is_not_followed(self, path):
        net.bind_unix("real.sock", 128, None).close()
        os.symlink("real.sock", path)
        with pytest.raises(FatalError, match="is not a socket"):
            net.bind_unix(path, 128, None)

    def test_own_socket_is_removed_and_another_is_not(self, path):
        with net.bind_unix(path, 128, None):
            own = net.identity(path)
            os.rename(path, "old.sock")
            with net.bind_unix(path, 128, None):
                net.unlink_own(path, own)
                assert os.path.exists(path)
                net.unlink_own("old.sock", own)
                assert not os.path.exists("old.sock")

    def test_missing_folder_is_one_sentence(self, path):
        with pytest.raises(FatalError, match="No such file or directory"):
            net.bind_unix("missing/s.sock", 128, None)


class TestPassed:
    def test_descriptor_is_adopted_and_not_inheritable(self):
        with socket.socket() as sock:
            sock.bind(("127.0.0.1", 0))
            number = os.dup(sock.fileno())
            os.set_inheritable(number, True)
            with net.adopt(number, 128) as adopted:
                assert adopted.getsockname() == sock.getsockname()
                assert not os.get_inheritable(number)
                assert adopted.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)

    def test_file_is_refused(self, tmp_path):
        number = os.open(tmp_path, os.O_RDONLY)
        try:
            with pytest.raises(FatalError, match=f"File descriptor {number} is not a socket"):
                net.adopt(number, None)
        finally:
            os.close(number)

    def test_datagram_socket_is_refused_and_left_open(self):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            with pytest.raises(FatalError, match="not a stream socket"):
                net.adopt(sock.fileno(), None)
            sock.getsockname()

    def test_closed_descriptor_is_refused(self):
        with pytest.raises(FatalError, match="cannot be used"):
            net.adopt(9999, None)

    def test_activation_is_for_this_process_only(self, monkeypatch):
        monkeypatch.setenv("LISTEN_FDS", "2")
        monkeypatch.setenv("LISTEN_PID", str(os.getpid()))
        monkeypatch.setenv("LISTEN_FDNAMES", "a:b")
        assert net.take_activated() == [3, 4]
        assert not [name for name in os.environ if name.startswith("LISTEN_")]
        monkeypatch.setenv("LISTEN_FDS", "2")
        monkeypatch.setenv("LISTEN_PID", "1")
        assert net.take_activated() == []
        assert "LISTEN_FDS" not in os.environ


class TestHolders:
    @pytest.mark.parametrize(
        "spec",
        [
            net.SocketHolder(7, True, 5),
            net.SocketSpec("::1", 80, 3),
            net.UnixSocketSpec("/s", 3, 0o600),
        ],
    )
    def test_survives_pickling(self, spec):
        copy = pickle.loads(pickle.dumps(spec))
        assert type(copy) is type(spec)
        assert copy.__reduce__() == spec.__reduce__()

    def test_spec_builds_a_holder_that_listens(self):
        spec = net.SocketSpec("127.0.0.1", 0)
        holder = spec.build()
        assert not spec.is_uds()
        assert not holder.is_uds()
        with socket.socket(fileno=holder.get_fd()) as sock, holder.listen() as again:
            assert again.getsockname() == sock.getsockname()
            assert again.fileno() != holder.get_fd()

    def test_unix_spec_builds(self, path):
        spec = net.UnixSocketSpec(path, 128, 0o600)
        holder = spec.build()
        assert spec.is_uds()
        assert holder.is_uds()
        os.close(holder.get_fd())

    def test_holder_of_an_unlistening_socket_makes_it_listen(self):
        with socket.socket() as sock:
            sock.bind(("127.0.0.1", 0))
            with net.SocketHolder(sock.fileno(), False, 128).listen() as listening:
                assert listening.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
