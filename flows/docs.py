"""`make docs`: the dbt docs site as one HTML file, and each task's page beside it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import click
from prefect import flow

from flows import dbt_runs
from flows.cli import on_the_terminal
from flows.pages import write_page
from flows.run import open_run
from models_ml.tasks import load_tasks
from warehouse.home import docs_folder

__all__ = ["main", "write_docs"]


@flow(name="write-docs")
def write_docs() -> list[str]:
    """Write the docs site and the tasks' pages, and return their addresses, the site's first."""
    tasks = list(load_tasks(dbt_runs.manifest()))
    with open_run(tasks[0]) as run:  # the catalog and the pages describe tables that must exist
        dbt_runs.docs()
        pages = [write_page(run.connection, task) for task in tasks]
    site = docs_folder() / "index.html"
    shutil.copyfile(Path(os.environ["DBT_TARGET_PATH"]) / "static_index.html", site)
    return [path.as_uri() for path in (site, *pages)]


@click.command()
def main() -> None:
    """Write the docs site and the tasks' pages, and print their addresses."""
    with on_the_terminal():
        for address in write_docs():
            click.echo(f"docs: {address}")


if __name__ == "__main__":
    main()
