"""How a step of a run behaves under Prefect: never cached, retried only when waiting can help."""

from __future__ import annotations

from functools import partial
from typing import Any

import duckdb
from prefect import task

__all__ = ["step"]

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


# Steps write to the warehouse and are idempotent by themselves: a cached result would skip them.
step = partial(
    task,
    cache_policy=None,
    persist_result=False,
    retries=2,
    retry_delay_seconds=[2, 10],
    retry_condition_fn=_may_pass_by_itself,
)
