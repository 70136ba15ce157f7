import asyncio

from granian.plan import WorkerPlan
from granian.rsgi.application import RsgiApplication


def test_the_hooks_get_a_loop_that_stands_still():
    calls = []

    class Target:
        def __rsgi_init__(self, loop):
            loop.run_until_complete(asyncio.sleep(0))
            calls.append("init")

        def __rsgi_del__(self, loop):
            loop.run_until_complete(asyncio.sleep(0))
            calls.append("del")

        async def __rsgi__(self, scope, protocol):
            """Never called here."""

    loop = asyncio.new_event_loop()
    application = RsgiApplication(Target(), WorkerPlan(), loop, loop.create_task)
    application.startup()
    application.shutdown()
    loop.close()
    assert calls == ["init", "del"]


def test_the_hooks_are_optional():
    def target(scope, protocol):
        """Never called here."""

    loop = asyncio.new_event_loop()
    application = RsgiApplication(target, WorkerPlan(), loop, loop.create_task)
    application.startup()
    application.shutdown()
    loop.close()
    assert application.target is target
