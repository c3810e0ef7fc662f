"""MLflow's sqlite file, looked at without MLflow: whether it is whole and knows its own folder.

MLflow would retry a broken file for hours, and it stores absolute addresses, so that a state folder
that was moved or copied would go on writing into the old one.
"""

import sqlite3
from contextlib import closing
from pathlib import Path

__all__ = ["check_database", "follow_folder"]

ADDRESSES = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "storage_location"),
)
DEFAULT_EXPERIMENT = 0  # MLflow makes it, nothing is logged to it


def check_database(path: Path) -> None:
    """Read the file once.

    Raises
    ------
    sqlite3.Error
        It is no database, or cannot be read.
    """
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("select count(*) from sqlite_master").fetchall()


def follow_folder(path: Path, artifacts: str) -> None:
    """Point every stored address to the folder in which the file now lies.

    Parameters
    ----------
    path : Path
        MLflow's database, with its tables.
    artifacts : str
        Address of the folder of artifacts, beside the file.
    """
    with closing(sqlite3.connect(path)) as connection, connection:
        elsewhere = connection.execute(
            "select distinct artifact_location from experiments "
            "where experiment_id != ? and artifact_location != ?",
            [DEFAULT_EXPERIMENT, artifacts],
        ).fetchall()
        for (old,) in elsewhere:
            for table, column in ADDRESSES:
                connection.execute(
                    f"update {table} set {column} = ? || substr({column}, ?) "
                    f"where substr({column}, 1, ?) = ?",
                    [artifacts, len(old) + 1, len(old), old],
                )
