"""How a step of a run behaves under Prefect: never cached, retried only when waiting can help."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

import duckdb
from prefect import Task, task
from prefect.cache_policies import NO_CACHE

__all__ = ["step"]

P = ParamSpec("P")
R = TypeVar("R")

TRANSIENT = (ConnectionError, TimeoutError, BlockingIOError, duckdb.TransactionException)


async def _may_pass_by_itself(_task: Any, _run: Any, state: Any) -> bool:  # noqa: ANN401
    """Tell a conflict or a lost connection from an error that would only come again."""
    try:
        await state.aresult()
    except TRANSIENT:
        return True
    except BaseException:
        return False
    return False


def step(name: str) -> Callable[[Callable[P, R]], Task[P, R]]:
    """Return the decorator of a step.

    Steps write to the warehouse and are idempotent by themselves: a cached result would skip them.
    """

    def decorate(function: Callable[P, R]) -> Task[P, R]:
        return task(
            name=name,
            cache_policy=NO_CACHE,
            persist_result=False,
            retries=2,
            retry_delay_seconds=[2, 10],
            retry_condition_fn=_may_pass_by_itself,
        )(function)

    return decorate
