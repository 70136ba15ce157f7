"""The allocator's habit of giving memory back at once, and how a worker is cured of it.

glibc returns the top of a heap to the kernel as soon as 128 KiB of it are free. A turn that reads
some bodies and sends their answers crosses that line again and again, and each page given back is
cleared and mapped anew for the next turn: half of what an echo of 10 KiB cost. Any thread.
"""

KEPT = 4 << 20
"""Octets that may stay free at the top of a heap: what a turn's bodies and answers take."""


def keep_top() -> None:
    """Have the allocator keep ``KEPT`` octets at hand; elsewhere than on glibc this does nothing.

    glibc takes a freed mapping as a sign that blocks of that size come and go: it serves them
    from the heap from then on, and leaves twice their size untrimmed (mallopt(3),
    M_MMAP_THRESHOLD). The block's pages are never touched.
    """
    bytearray(KEPT // 2)
