"""How a flow behaves on the terminal: our own lines, and errors as sentences, not tracebacks."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import click
import httpx
from prefect.settings import PREFECT_API_URL

__all__ = ["on_the_terminal"]

OURS = {"flows", "models_ml", "warehouse"}


@contextmanager
def on_the_terminal() -> Iterator[None]:
    """Quiet the libraries, and turn the errors that this project raises on purpose into messages.

    Any other error is a defect and keeps its traceback.
    """
    logging.getLogger("prefect").setLevel(logging.CRITICAL)
    try:
        yield
    except BaseException as error:
        if _was_interrupted(error):
            raise click.ClickException(
                "stopped; what was recorded is whole, and the same command goes on from there"
            ) from error
        if type(error).__module__.split(".")[0] in OURS:
            raise click.ClickException(str(error)) from error
        if isinstance(error, httpx.ConnectError) or "Failed to reach API" in str(error):
            raise click.ClickException(
                f"Prefect's server does not answer at {PREFECT_API_URL.value()}; "
                "start it with `make up`, or end it properly with `make down`: without a server "
                "the run starts its own"
            ) from error
        raise


def _was_interrupted(error: BaseException | None) -> bool:
    """Tell whether Ctrl-C is behind an error: Prefect reports what it broke, not that it came."""
    while error is not None:
        if isinstance(error, KeyboardInterrupt):
            return True
        error = error.__cause__ or error.__context__
    return False
