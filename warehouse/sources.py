"""What lands: the declarations of sources, read from dbt's manifest and checked field by field.

Owns the form of `config.meta.landing` and the place of a source's files. It must not read the
files' rows (`warehouse/source_files.py`) nor write anything (`warehouse/landing.py`).
"""

import difflib
import importlib.util
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import duckdb

from warehouse.connection import WarehouseError, open_scratch
from warehouse.home import project_folder

__all__ = [
    "Column",
    "Rule",
    "Source",
    "SourceDeclarationRefused",
    "SourceTable",
    "load_sources",
]

TABLE_FIELDS = (
    "package",
    "file",
    "path",
    "is_subset",
    "null_text",
    "event_at",
    "key",
    "max_quarantine_share",
    "expectations",
)
FILE_ENDINGS = {".parquet": "parquet", ".csv": "csv", ".csv.zip": "zip"}
NAME = re.compile(r"[a-z][a-z0-9_]*")


class SourceDeclarationRefused(WarehouseError):
    """A source's YAML declares what cannot be landed."""


@dataclass(frozen=True)
class Column:
    """A column of a file, and the type that its values must have."""

    name: str
    data_type: str


@dataclass(frozen=True)
class Rule:
    """A named expectation: a class of Great Expectations, and its arguments."""

    name: str
    expectation: str
    arguments: Mapping[str, Any]


@dataclass(frozen=True)
class SourceTable:
    """One file that lands in one table of the schema `raw`.

    `event_at` is SQL over the columns, a timestamp in UTC; None for a snapshot. `is_subset` says
    that the file has further columns, which are not landed.
    """

    source_name: str
    name: str
    declared_in: str
    package: str | None
    file: str
    is_subset: bool
    null_text: str | None
    event_at: str | None
    key: tuple[str, ...]
    max_quarantine_share: float
    columns: tuple[Column, ...]
    rules: tuple[Rule, ...]

    @property
    def label(self) -> str:
        """The name that errors and records use."""
        return f"{self.source_name}.{self.name}"

    @property
    def file_format(self) -> str:
        """How the file is read: parquet, csv, or zip (of one csv)."""
        return next(kind for ending, kind in FILE_ENDINGS.items() if self.file.endswith(ending))

    def locate(self) -> Path:
        """Return the path of the file: inside the installed package, or in the project.

        The package is found without being imported.

        Raises
        ------
        SourceDeclarationRefused
            When the package is not installed, or the file does not exist.
        """
        if self.package is None:
            path = project_folder() / self.file
        else:
            found = importlib.util.find_spec(self.package)
            if found is None or not found.submodule_search_locations:
                raise SourceDeclarationRefused(
                    f"{self.declared_in}: {self.label} is read from the package {self.package!r}, "
                    "which is not installed; install the project's dependencies"
                )
            path = Path(found.submodule_search_locations[0]) / self.file
        if not path.is_file():
            raise SourceDeclarationRefused(
                f"{self.declared_in}: the file of {self.label} does not exist: {path}"
            )
        return path


@dataclass(frozen=True)
class Source:
    """A source: the tables that land together."""

    name: str
    tables: tuple[SourceTable, ...]


def load_sources(manifest: Mapping[str, Any]) -> dict[str, Source]:
    """Return the sources that the manifest declares a landing for, by name.

    Sources without `landing`, such as the recorded facts, are left out.

    Parameters
    ----------
    manifest : mapping
        dbt's manifest.

    Raises
    ------
    SourceDeclarationRefused
        Naming the YAML file, the field, its value, and what is accepted.
    """
    tables: dict[str, list[SourceTable]] = {}
    takers: dict[str, SourceTable] = {}
    for node in manifest["sources"].values():
        if "landing" not in node["config"]["meta"]:
            continue
        table = _table(node)
        taker = takers.setdefault(table.name, table)
        if taker is not table:
            _refuse(table, "name", table.name, f"a name that {taker.label} does not use in raw")
        tables.setdefault(table.source_name, []).append(table)
    return {name: Source(name, tuple(landed)) for name, landed in tables.items()}


def _table(node: Mapping[str, Any]) -> SourceTable:
    landing = node["config"]["meta"]["landing"]
    shared = node["source_meta"].get("landing", {})
    place = f"{node['original_file_path']}, {node['source_name']}.{node['name']}"
    if not isinstance(landing, dict):
        raise _refusal(place, "landing", landing, "a mapping")
    for field in landing:
        if field not in TABLE_FIELDS:
            raise _refusal(place, "landing", field, _or(TABLE_FIELDS, field))
    columns = tuple(_column(place, column) for column in node["columns"].values())
    if not columns:
        raise _refusal(place, "columns", "none", "the columns of the file, each with a data_type")
    names = [column.name for column in columns]
    share = landing.get("max_quarantine_share", 0.0)
    if isinstance(share, bool) or not isinstance(share, int | float) or not 0 <= share < 1:
        raise _refusal(
            place, "landing.max_quarantine_share", share, "a number from 0 up to below 1"
        )
    event_at = landing.get("event_at")
    if event_at is not None:
        _check_event_at(place, event_at, columns)
    package, file = _file(place, landing, shared)
    is_subset = landing.get("is_subset", False)
    if not isinstance(is_subset, bool):
        raise _refusal(place, "landing.is_subset", is_subset, "true or false")
    null_text = landing.get("null_text")
    if null_text is not None and (not isinstance(null_text, str) or file.endswith(".parquet")):
        raise _refusal(place, "landing.null_text", null_text, "a quoted text, for csv files only")
    key = landing.get("key")
    if not isinstance(key, list) or not key:
        raise _refusal(place, "landing.key", key, "a list of columns")
    for name in key:
        if name not in names:
            raise _refusal(place, "landing.key", name, _or(names, name))
    return SourceTable(
        source_name=node["source_name"],
        name=_name(place, "name", node["identifier"]),
        declared_in=node["original_file_path"],
        package=package,
        file=file,
        is_subset=is_subset,
        null_text=null_text,
        event_at=event_at,
        key=tuple(key),
        max_quarantine_share=float(share),
        columns=columns,
        rules=_rules(place, landing.get("expectations", []), names),
    )


def _file(
    place: str, landing: Mapping[str, Any], shared: Mapping[str, Any]
) -> tuple[str | None, str]:
    if ("file" in landing) == ("path" in landing):
        given = "both" if "file" in landing else "neither"
        raise _refusal(place, "landing.file, landing.path", given, "one of the two")
    field = "file" if "file" in landing else "path"
    file = landing[field]
    if not isinstance(file, str) or not file.endswith(tuple(FILE_ENDINGS)):
        raise _refusal(place, f"landing.{field}", file, f"a name ending {_or(FILE_ENDINGS)}")
    if field == "path":
        return None, file
    package = landing.get("package", shared.get("package"))
    if not isinstance(package, str) or not package.isidentifier():
        raise _refusal(place, "landing.package", package, "the package that holds the file")
    return package, file


def _column(place: str, column: Mapping[str, Any]) -> Column:
    name = _name(place, "columns.name", column["name"])
    declared = column.get("data_type")
    if not declared:
        raise _refusal(place, f"columns.{name}.data_type", declared, "a type of DuckDB")
    try:
        duckdb.type(declared)
    except (duckdb.Error, RuntimeError) as error:
        raise _refusal(place, f"columns.{name}.data_type", declared, "a type of DuckDB") from error
    return Column(name, declared)


def _check_event_at(place: str, event_at: object, columns: Sequence[Column]) -> None:
    empty = ", ".join(f'cast(null as {column.data_type}) as "{column.name}"' for column in columns)
    try:
        with open_scratch() as scratch:
            described = scratch.execute(
                f"describe select {event_at} as event_at from (select {empty})"
            ).fetchall()
    except duckdb.Error as error:
        expected = f"SQL over the columns ({str(error).splitlines()[0]})"
        raise _refusal(place, "landing.event_at", event_at, expected) from error
    if described[0][1] not in ("TIMESTAMP", "DATE"):
        expected = f"SQL that gives a timestamp, and this gives {described[0][1]}"
        raise _refusal(place, "landing.event_at", event_at, expected)


def _rules(place: str, declared: object, columns: Sequence[str]) -> tuple[Rule, ...]:
    if not isinstance(declared, list):
        raise _refusal(place, "landing.expectations", declared, "a list")
    rules: list[Rule] = []
    for entry in declared:
        field = "landing.expectations"
        if not isinstance(entry, dict) or not {"rule", "type"} <= entry.keys():
            raise _refusal(place, field, entry, "a mapping with rule, type and arguments")
        arguments = dict(entry)
        name = _name(place, f"{field}.rule", arguments.pop("rule"))
        expectation = arguments.pop("type")
        if name in [rule.name for rule in rules]:
            raise _refusal(place, f"{field}.rule", name, "a name that no other rule has")
        if expectation not in _expectation_classes():
            accepted = _or(_expectation_classes(), str(expectation))
            raise _refusal(place, f"{field}.{name}.type", expectation, accepted)
        for argument, value in arguments.items():
            if argument.startswith("column"):
                for column in value if isinstance(value, list) else [value]:
                    if column not in columns:
                        raise _refusal(
                            place, f"{field}.{name}.{argument}", column, _or(columns, str(column))
                        )
        rules.append(Rule(name, expectation, arguments))
    return tuple(rules)


@cache
def _expectation_classes() -> tuple[str, ...]:
    # Importing Great Expectations takes seconds; its folder of expectations tells the names.
    found = importlib.util.find_spec("great_expectations")
    if found is None or not found.submodule_search_locations:
        raise WarehouseError("great-expectations is not installed; install the dependencies")
    folder = Path(found.submodule_search_locations[0]) / "expectations" / "core"
    return tuple(
        "".join(part.capitalize() for part in path.stem.split("_"))
        for path in sorted(folder.glob("expect_*.py"))
    )


def _name(place: str, field: str, name: object) -> str:
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise _refusal(place, field, name, "lower case letters, digits and underscores")
    return name


def _or(accepted: Iterable[str], given: str = "") -> str:
    # A long list is cut to what comes near to what was given.
    names = list(accepted)
    if len(names) > 30:
        names = difflib.get_close_matches(given, names, n=5, cutoff=0.3) or names[:5]
    return ", ".join(names)


def _refusal(place: str, field: str, value: object, accepted: str) -> SourceDeclarationRefused:
    return SourceDeclarationRefused(f"{place}: {field} is {value!r}; accepted: {accepted}")


def _refuse(table: SourceTable, field: str, value: object, accepted: str) -> None:
    raise _refusal(f"{table.declared_in}, {table.label}", field, value, accepted)
