"""`make docs`: the dbt docs site as one HTML file in the state folder, with Python's part in it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import click

from flows import dbt_runs
from flows.run import open_run
from models_ml.tasks import load_tasks
from warehouse.home import docs_folder

__all__ = ["main"]


@click.command()
def main() -> None:
    """Write the docs site and print its address."""
    first_task = next(iter(load_tasks(dbt_runs.manifest())))
    with open_run(first_task):  # the catalog describes tables that must exist
        dbt_runs.docs()
    site = docs_folder() / "index.html"
    site.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(Path(os.environ["DBT_TARGET_PATH"]) / "static_index.html", site)
    click.echo(f"docs: {site.as_uri()}")


if __name__ == "__main__":
    main()
