"""The fixed number of threads under which everything is learned.

Sums over doubles depend on how threads share the work, so the number is a constant, recorded with
each model version, and not a property of the machine. It is one: on the sizes of a warehouse task
two threads gain little, and on a busy machine they cost many times more, because every tree node
waits for the slower one (measured: 228 s against 6 s). A batch is scored under the same limit:
there the cores share the batches, not the rows of one.
"""

from contextlib import AbstractContextManager
from functools import cache

from threadpoolctl import ThreadpoolController

__all__ = ["THREAD_COUNT", "fixed_threads"]

THREAD_COUNT = 1


@cache
def _controller() -> ThreadpoolController:
    # finding the thread pools of the loaded libraries costs milliseconds: once a process
    return ThreadpoolController()


def fixed_threads() -> AbstractContextManager[object]:
    """Limit the BLAS and OpenMP pools to ``THREAD_COUNT`` while the context is open."""
    return _controller().limit(limits=THREAD_COUNT)
