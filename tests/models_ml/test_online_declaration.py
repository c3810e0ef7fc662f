"""What a task may declare under `online`: accepted, or refused with file, field and value."""

from __future__ import annotations

import copy
from datetime import date

import pytest
from task_manifests import churn_manifest

from models_ml.tasks import TaskDeclarationError, load_task

YAML = "models/training_sets/train_household_churn.yml"
ONLINE = {
    "acting_changes_outcome": True,
    "unit": ["household_id"],
    "outcome": {
        "table": "label_spend",
        "column": "spend_usd",
        "horizon_days": 28,
        "better": "higher",
    },
    "covariate": "spend_usd",
    "guardrails": [{"column": "visit_count", "margin": 0.5, "better": "higher"}],
    "rehearse_from": "2017-07-09",
}
OUTCOMES = {
    "household_id": "bigint",
    "as_of_date": "date",
    "known_at": "date",
    "spend_usd": "decimal(12, 2)",
    "visit_count": "bigint",
    "comment": "varchar",
}


def declared(**changes):
    """Return the churn manifest with an outcome table and `online`, some of its fields changed."""
    manifest = churn_manifest()
    manifest["nodes"]["model.weighhouse.label_spend"] = {
        "resource_type": "model",
        "name": "label_spend",
        "schema": "labels",
        "alias": "label_spend",
        "config": {"meta": {}},
        "original_file_path": "models/labels/label_spend.sql",
        "patch_path": None,
        "columns": {
            name: {"name": name, "data_type": data_type} for name, data_type in OUTCOMES.items()
        },
    }
    online = {**copy.deepcopy(ONLINE), **changes}
    for node in manifest["nodes"].values():
        task = node["config"]["meta"].get("task")
        if task is not None:
            task["online"] = {name: value for name, value in online.items() if value is not None}
    return manifest


def test_a_task_says_how_its_versions_are_compared_online():
    online = load_task(declared(), "household_churn").online
    assert online.acting_changes_outcome
    assert online.unit == ("household_id",)
    assert online.outcome.better == "higher"
    assert online.rehearse_from == date(2017, 7, 9)
    assert load_task(churn_manifest(), "household_churn").online is None
    assert load_task(declared(rehearse_from=None), "household_churn").online.rehearse_from is None


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"acting_changes_outcome": None}, ["online.acting_changes_outcome is missing"]),
        ({"acting_changes_outcome": "perhaps"}, ["online.acting_changes_outcome is 'perhaps'"]),
        ({"unit": ["income_band"]}, ["online.unit names 'income_band'", "household_id"]),
        ({"unit": []}, ["online.unit", "at least 1"]),
        ({"unit": ["household_id"] * 2}, ["unit name household_id more than once"]),
        ({"covariate": "wealth"}, ["online.covariate names 'wealth'", "visit_count"]),
        ({"covariate": "income_band"}, ["online.covariate 'income_band'", "varchar", "numeric"]),
        (
            {"outcome": {**ONLINE["outcome"], "table": "label_luck"}},
            ["online.outcome.table is 'label_luck'", "label_spend"],
        ),
        (
            {"outcome": {**ONLINE["outcome"], "column": "profit"}},
            ["online.outcome.column needs 'profit' in label_spend", "spend_usd"],
        ),
        (
            {"outcome": {**ONLINE["outcome"], "column": "comment"}},
            ["online.outcome.column 'comment'", "varchar", "numeric"],
        ),
        (
            {"outcome": {**ONLINE["outcome"], "better": "more"}},
            ["online.outcome.better is 'more'", "'higher' or 'lower'"],
        ),
        (
            {"outcome": {**ONLINE["outcome"], "horizon_days": 0}},
            ["online.outcome.horizon_days is 0"],
        ),
        (
            {"guardrails": [{"column": "visit_count", "margin": -1, "better": "higher"}]},
            ["online.guardrails.0.margin is -1"],
        ),
        (
            {"guardrails": [{"column": "visits", "margin": 1, "better": "higher"}]},
            ["online.guardrails.column needs 'visits'", "visit_count"],
        ),
        (
            {"guardrails": [{"column": "spend_usd", "margin": 1, "better": "higher"}]},
            ["outcome and guardrails name spend_usd more than once"],
        ),
        ({"rehearse_from": "2017-07-10"}, ["online.rehearse_from is 2017-07-10", "Sunday"]),
        ({"rehearsal": True}, ["online.rehearsal is not a field"]),
    ],
)
def test_a_wrong_declaration_names_file_field_value_and_what_is_accepted(changes, words):
    with pytest.raises(TaskDeclarationError) as caught:
        load_task(declared(**changes), "household_churn")
    message = str(caught.value)
    assert message.startswith(YAML)
    for word in words:
        assert word in message


@pytest.mark.parametrize("column", ["household_id", "as_of_date", "known_at"])
def test_an_outcome_table_without_its_key_is_refused(column):
    manifest = declared()
    del manifest["nodes"]["model.weighhouse.label_spend"]["columns"][column]
    with pytest.raises(TaskDeclarationError, match=f"needs '{column}' in label_spend"):
        load_task(manifest, "household_churn")
