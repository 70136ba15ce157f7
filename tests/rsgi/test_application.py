import asyncio

from granian.rsgi.application import RsgiApplication


def test_a_target_is_a_callable_or_an_object_with_rsgi():
    def target(scope, protocol):
        """Never called here."""

    class Target:
        __rsgi__ = staticmethod(target)

    loop = asyncio.new_event_loop()
    assert RsgiApplication(target, loop, loop.create_task).target is target
    assert RsgiApplication(Target(), loop, loop.create_task).target is target
    loop.close()
