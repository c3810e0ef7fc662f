"""Where the state lies. Only paths: this module opens and reads nothing.

Everything the project writes lies under one folder: `WEIGHHOUSE_HOME`, or `var/` beside the
packages. Other modules ask here and never build a state path of their own.
"""

import os
from pathlib import Path

__all__ = [
    "cache_folder",
    "data_docs_path",
    "dbt_folder",
    "docs_folder",
    "expectations_folder",
    "high_water_path",
    "home",
    "mlflow_folder",
    "prefect_folder",
    "project_folder",
    "published_path",
    "warehouse_path",
]


def project_folder() -> Path:
    """Return the folder that holds the packages and `dbt_project/`."""
    return Path(__file__).resolve().parents[1]


def home() -> Path:
    """Return the state folder, absolute; it is created when it does not exist."""
    stated = os.environ.get("WEIGHHOUSE_HOME")
    return _made(Path(stated).expanduser().absolute() if stated else project_folder() / "var")


def warehouse_path() -> Path:
    """Return the path of the working file, private to the flows."""
    return home() / "warehouse.duckdb"


def published_path() -> Path:
    """Return the path of the copy that analysts read."""
    return home() / "published.duckdb"


def high_water_path() -> Path:
    """Return the path of the row counts that the working file must not fall below."""
    return home() / "warehouse.highwater.json"


def mlflow_folder() -> Path:
    """Return the folder of MLflow's database and artifacts."""
    return _made(home() / "mlflow")


def prefect_folder() -> Path:
    """Return Prefect's home."""
    return _made(home() / "prefect")


def expectations_folder() -> Path:
    """Return the folder of Great Expectations' context and Data Docs."""
    return _made(home() / "great_expectations")


def dbt_folder() -> Path:
    """Return the folder of dbt's target and logs."""
    return _made(home() / "dbt")


def data_docs_path() -> Path:
    """Return the index page of the Data Docs."""
    return expectations_folder() / "data_docs" / "index.html"


def docs_folder() -> Path:
    """Return the folder of the built documentation site."""
    return _made(home() / "docs")


def cache_folder() -> Path:
    """Return the folder of what may be deleted at any time."""
    return _made(home() / "cache")


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder
