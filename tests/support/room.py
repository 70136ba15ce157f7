"""A shared poller and the connections that tests invite to it."""

import socket

from granian.engine.deadlines import NEVER
from granian.engine.poller import READ
from granian.engine.shared import SharedPoller
from granian.engine.wakeup import Wakeup
from tests.support.fakes import FakeClock


class Guest:
    """A connection that writes down what it is asked."""

    def __init__(self, room, sock=None):
        self.room = room
        self.near, self.far = socket.socketpair() if sock is None else (sock, None)
        self.near.setblocking(False)
        self.fd = self.near.fileno()
        self.sock = self.near
        self.events = READ
        self.deadline = self.check = NEVER
        self.calls = []
        self.during = None
        self.gathered = b""

    def on_readable(self):
        self.calls.append(("readable", self.near.recv(100)))
        if self.during is not None:
            self.during(self)

    def on_writable(self):
        self.calls.append("writable")

    def send_gathered(self):
        if self.gathered:
            self.near.send(self.gathered)
            self.gathered = b""

    def on_hangup(self):
        self.calls.append("hangup")
        self.close()

    def on_deadline(self):
        self.calls.append("deadline")

    @property
    def closed(self):
        return self.fd < 0

    def lose(self):
        self.close()

    def close(self):
        if not self.closed:
            self.room.poller.forget(self)
            self.room.poller.deadlines.discard(self)
            self.fd = -1
            self.near.close()


class Room:
    """A poller and its guests."""

    kind = Guest

    def __init__(self):
        self.clock = FakeClock()
        self.seconds = 0
        self.guests = []
        self.poller = self.make_poller()
        self.wakeup = Wakeup()
        self.poller.adopt(self.wakeup)

    def make_poller(self):
        return SharedPoller(self.welcome, self.on_second, self.clock)

    def welcome(self, newcomer):
        guest = self.kind(self, newcomer.sock)
        self.guests.append(guest)
        self.poller.replace(guest)
        guest.on_readable()
        return guest

    def on_second(self):
        self.seconds += 1

    def guest(self):
        guest = self.kind(self)
        self.guests.append(guest)
        self.poller._watch_new(guest.fd, READ)
        self.poller.connections[guest.fd] = guest
        self.poller.release(guest, guest.fd)
        return guest

    def turn(self):
        """Serve what is ready now, as one thread would."""
        self.poller.select(0)

    def close(self):
        for guest in self.guests:
            guest.close()
            if guest.far is not None:
                guest.far.close()
        self.poller.close()
        self.wakeup.close()
