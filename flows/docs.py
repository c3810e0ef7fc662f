"""`make docs`: the dbt docs site as one HTML file in the state folder, with Python's part in it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import click
from prefect import flow

from flows import dbt_runs
from flows.cli import on_the_terminal
from flows.run import open_run
from models_ml.tasks import load_tasks
from warehouse.home import docs_folder

__all__ = ["main", "write_docs"]


@flow(name="write-docs")
def write_docs() -> str:
    """Write the docs site and return its address."""
    first_task = next(iter(load_tasks(dbt_runs.manifest())))
    with open_run(first_task):  # the catalog describes tables that must exist
        dbt_runs.docs()
    site = docs_folder() / "index.html"
    shutil.copyfile(Path(os.environ["DBT_TARGET_PATH"]) / "static_index.html", site)
    return site.as_uri()


@click.command()
def main() -> None:
    """Write the docs site and print its address."""
    with on_the_terminal():
        click.echo(f"docs: {write_docs()}")


if __name__ == "__main__":
    main()
