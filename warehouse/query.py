"""`python -m warehouse.query "select ..."`: print what a query over the published tables gives."""

from __future__ import annotations

import sys

import click

from warehouse.connection import open_published

__all__ = ["main"]


@click.command()
@click.argument("sql")
def main(sql: str) -> None:
    """Print the result of SQL over the published copy; a run is never blocked by it."""
    with open_published() as connection:
        connection.sql(sql).show(max_rows=200, max_width=200)


if __name__ == "__main__":
    sys.exit(main())
