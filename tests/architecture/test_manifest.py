"""The dbt project's own rules, read from its manifest: direction, contracts, descriptions."""

from typing import Any

import pytest

from flows.dbt_runs import manifest

# A SQL model may read from its own layer and from those before it.
LAYERS = [
    "staging",
    "features",
    "labels",
    "training_sets",
    "scoring_sets",
    "predictions",
    "monitoring",
    "decisions",
    "rollouts",
]
PUBLIC = {"features", "predictions", "monitoring", "decisions"}
# The declarations are literals out of the tasks' YAML: decisions owns them, monitoring reads them.
READ_BY_MONITORING = {"declared_tasks", "declared_slices", "declared_metrics"}


def layer(node: dict[str, Any]) -> str:
    return node["path"].split("/")[0]


@pytest.fixture(scope="module")
def sql_models() -> dict[str, dict[str, Any]]:
    nodes = manifest()["nodes"]
    return {key: node for key, node in nodes.items() if node["resource_type"] == "model"}


def test_data_flows_one_way(sql_models: dict[str, dict[str, Any]]) -> None:
    backwards = [
        f"{node['name']} reads {sql_models[parent]['name']}"
        for node in sql_models.values()
        for parent in node["depends_on"]["nodes"]
        if parent in sql_models
        and LAYERS.index(layer(sql_models[parent])) > LAYERS.index(layer(node))
        and sql_models[parent]["name"] not in READ_BY_MONITORING
    ]
    assert backwards == []


def test_only_staging_reads_the_landed_tables(sql_models: dict[str, dict[str, Any]]) -> None:
    sources = manifest()["sources"]
    readers = {
        layer(node)
        for node in sql_models.values()
        for parent in node["depends_on"]["nodes"]
        if parent in sources and sources[parent]["schema"] == "raw"
    }
    assert readers <= {"staging"}


def test_every_sql_model_says_what_one_row_is(sql_models: dict[str, dict[str, Any]]) -> None:
    silent = [
        node["name"]
        for node in sql_models.values()
        if "One row per" not in " ".join(node["description"].split())
    ]
    assert silent == []


def test_every_column_is_described(sql_models: dict[str, dict[str, Any]]) -> None:
    undescribed = [
        f"{node['name']}.{column['name']}"
        for node in sql_models.values()
        for column in node["columns"].values()
        if not column["description"].strip()
    ]
    assert undescribed == []
    assert [node["name"] for node in sql_models.values() if not node["columns"]] == []


def test_public_tables_have_an_enforced_contract(sql_models: dict[str, dict[str, Any]]) -> None:
    loose = [
        node["name"]
        for node in sql_models.values()
        if node["config"]["schema"] in PUBLIC and not node["contract"]["enforced"]
    ]
    assert loose == []


def test_no_sql_model_reads_a_clock_or_an_unstable_function(
    sql_models: dict[str, dict[str, Any]],
) -> None:
    forbidden = (
        "now()",
        "current_date",
        "current_timestamp",
        " random(",
        " hash(",
        "approx_",
        "::",
    )
    found = [
        f"{node['name']}: {word}"
        for node in sql_models.values()
        for word in forbidden
        if word in " ".join(node["raw_code"].lower().split())
    ]
    assert found == []


def test_every_exposure_stands_for_a_flow() -> None:
    exposures = {node["name"] for node in manifest()["exposures"].values()}
    assert exposures == {
        "land_data",
        "build_features",
        "train_challenger",
        "score_batch",
        "judge_champion",
        "promote_champion",
        "rollout",
        "daily",
        "write_docs",
    }
