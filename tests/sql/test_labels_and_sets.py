"""What the declarations say and what the SQL does are the same; generic tests do fail."""

import re

import duckdb
import pytest
from dbt.contracts.graph.manifest import Manifest

from models_ml.tasks import load_tasks
from tests.sql.conftest import REPOSITORY, Macros


def test_the_source_describes_the_recorded_tables_column_by_column(
    project_manifest: Manifest,
) -> None:
    with duckdb.connect() as connection:
        connection.execute((REPOSITORY / "warehouse" / "recorded.sql").read_text())
        made = connection.execute(
            "select table_name, column_name, lower(data_type) from duckdb_columns()"
            " where schema_name = 'recorded' order by table_name, column_index"
        ).fetchall()
    described = [
        (source.name, column.name, column.data_type)
        for source in sorted(project_manifest.sources.values(), key=lambda source: source.name)
        if source.source_name == "recorded" and not source.name.startswith("predictions_")
        for column in source.columns.values()
    ]
    assert described == made


def test_the_horizon_in_a_label_is_the_declared_one(project_manifest: Manifest) -> None:
    manifest = project_manifest.to_dict()
    sql = {
        node["name"]: node["raw_code"]
        for node in manifest["nodes"].values()
        if node["resource_type"] == "model"
    }
    for task in load_tasks(manifest).values():
        found = re.search(r"set horizon_days = (\d+)", sql[task.label.table])
        assert found is not None, f"{task.label.table} does not set horizon_days"
        assert int(found.group(1)) == task.horizon_days, task.label.table


def test_version_2_of_household_churn_keeps_the_features_of_version_1_in_front(
    project_manifest: Manifest,
) -> None:
    task = load_tasks(project_manifest.to_dict())["household_churn"]
    first, second = task.feature_columns(1), task.feature_columns(2)
    assert second[: len(first)] == first
    assert len(second) > len(first)


@pytest.mark.parametrize(
    ("key", "broken"),
    [([1, 2], []), ([1, 1], [(1, 2)]), ([1, None], [(None, 1)])],
    ids=["unique keys pass", "a repeated key fails", "a null key fails"],
)
def test_unique_combination_finds_what_breaks_it(
    macros: Macros, key: list[int | None], broken: list[tuple[int | None, int]]
) -> None:
    assert macros.rows("{{ test_unique_combination('t', ['key']) }}", t={"key": key}) == broken


def test_unique_combination_lets_a_nullable_column_be_null_once(macros: Macros) -> None:
    combination = "{{ test_unique_combination('t', ['key', 'part'], nullable=['part']) }}"
    assert macros.rows(combination, t={"key": [1, 2], "part": [None, None]}) == []
    assert macros.rows(combination, t={"key": [1, 1], "part": [None, None]}) == [(1, None, 2)]
    assert macros.rows(combination, t={"key": [None], "part": [5]}) == [(None, 5, 1)]


def test_columns_are_sound_names_the_column_and_what_is_wrong(macros: Macros) -> None:
    sound = (
        "select * from ({{ test_columns_are_sound('t', not_null=['margin'],"
        " accepted={'kind': ['binary']}, accepted_codes={'codes': ['x']}) }}) order by column_name"
    )
    table = {"margin": [0.1, None], "kind": ["binary", "other"], "codes": [["x"], ["x", "y"]]}
    assert macros.rows(sound, t=table) == [
        ("codes", "y", 1),
        ("kind", "other", 1),
        ("margin", "null", 1),
    ]
    assert macros.rows(sound, t={name: values[:1] for name, values in table.items()}) == []


@pytest.mark.parametrize(
    ("values", "broken"),
    [
        ([0.0, 0.5, 1.0, None], []),
        ([-0.1, 0.5], [("share", 1)]),
        ([1.5, float("nan"), float("inf")], [("share", 3)]),
    ],
    ids=["both ends and null pass", "below fails", "above, NaN and infinity fail"],
)
def test_values_within_finds_what_breaks_it(
    macros: Macros, values: list[float | None], broken: list[tuple[str, int]]
) -> None:
    template = "{{ test_values_within('t', {'share': {'min': 0, 'max': 1}}) }}"
    assert macros.rows(template, t={"share": values}) == broken
