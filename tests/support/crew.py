"""Workers without processes: a real crew, whose members say and suffer what a test tells them."""

from granian.server import link as line
from granian.server.crew import SERVING, STARTING, Body, Crew, Member
from granian.server.link import Link, pair
from granian.server.signals import Alarm


class FakeBody(Body):
    kind = "PID"

    def __init__(self, pid=100):
        ours, theirs = pair()
        self.link, self.other = Link(ours), Link(theirs)
        self.pid = pid
        self.code = None
        self.interrupted = self.killed = 0

    def exit_code(self):
        return self.code

    def interrupt(self):
        self.interrupted += 1

    def kill(self):
        self.killed += 1
        self.code = -9


class Team:
    """A crew and everything that was made for it."""

    def __init__(self):
        self.alarm = Alarm()
        self.metrics = []
        self.crew = Crew(self.alarm, self.metrics.append)
        self.bodies = []

    def member(self, number=1, phase=STARTING, **options):
        body = FakeBody(100 + len(self.bodies))
        self.bodies.append(body)
        member = Member(number, body, **options)
        self.crew.join(member)
        if phase == SERVING:
            body.other.tell(line.READY, 1)
            self.crew.pump(1)
            self.crew.seat(member)
        return member

    def close(self):
        for body in self.bodies:
            body.link.close()
            body.other.close()
        self.crew.close()
        self.alarm.close()
