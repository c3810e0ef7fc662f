from __future__ import annotations

import copy
import json
from datetime import date
from pathlib import Path

import pytest
from dbt.cli.main import dbtRunner
from task_manifests import CHURN, CHURN_FEATURES, churn_manifest, manifest

from models_ml.tasks import TaskDeclarationError, UnknownTask, load_task, load_tasks

PROJECT = Path(__file__).resolve().parents[2]
YAML = "models/training_sets/train_household_churn.yml"


def declare(**changes):
    """Return the churn manifest with fields of the declaration changed (None: taken away)."""
    declared = churn_manifest()
    for node in declared["nodes"].values():
        task = node["config"]["meta"].get("task")
        if task is not None:
            task.update(copy.deepcopy(changes))
            for name in [name for name, value in changes.items() if value is None]:
                del task[name]
    return declared


def refused(declared, name="household_churn"):
    with pytest.raises(TaskDeclarationError) as caught:
        load_task(declared, name)
    return str(caught.value)


@pytest.fixture
def churn():
    return load_task(churn_manifest(), "household_churn")


def test_a_declaration_gives_relations_columns_and_types(churn):
    assert churn.entity_key == ("household_id",)
    assert churn.entity_key_types == {"household_id": "bigint"}
    assert churn.training_relation(2) == "training_sets.train_household_churn_v2"
    assert churn.scoring_relation(1) == "scoring_sets.score_household_churn_v1"
    assert churn.feature_columns(1) == ["visit_count", "spend_usd", "has_card"]
    assert churn.feature_columns(2) == ["visit_count", "spend_usd", "has_card", "department"]
    kinds = [column.kind for column in churn.feature_versions[2].features]
    assert kinds == ["numeric", "numeric", "boolean", "categorical"]
    assert churn.training_columns(1) == [
        "household_id", "as_of_date", "features_known_at", "label_known_at",
        "visit_count", "spend_usd", "has_card", "income_band", "is_churned",
    ]  # fmt: skip


def test_the_feature_version_is_the_latest_that_is_available(churn):
    assert churn.feature_version_at(date(2017, 8, 5)) == 1
    assert churn.feature_version_at(date(2017, 8, 6)) == 2
    with pytest.raises(TaskDeclarationError, match="available from 2017-02-26"):
        churn.feature_version_at(date(2017, 2, 25))


def test_weekly_as_of_dates_are_sundays_and_daily_ones_are_all_days(churn):
    assert churn.as_of_dates(date(2017, 2, 27), date(2017, 3, 12)) == [
        date(2017, 3, 5),
        date(2017, 3, 12),
    ]
    assert churn.as_of_dates(date(2017, 3, 6), date(2017, 3, 11)) == []
    daily = load_task(declare(cadence="daily"), "household_churn")
    assert daily.as_of_dates(date(2017, 3, 6), date(2017, 3, 7)) == [
        date(2017, 3, 6),
        date(2017, 3, 7),
    ]


def test_an_unknown_task_lists_the_known_ones():
    with pytest.raises(UnknownTask, match=r"'churn'; the declared tasks are: household_churn"):
        load_task(churn_manifest(), "churn")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"kind": "ranking"}, ["kind is 'ranking'", "'binary', 'regression' or 'multiclass'"]),
        ({"cadence": "hourly"}, ["cadence is 'hourly'", "'daily' or 'weekly'"]),
        ({"pipelines": ["ridge"]}, ["pipelines is 'ridge'", "logistic, hist_gradient_boosting"]),
        ({"pipelines": []}, ["pipelines", "at least 1"]),
        ({"primary_metric": "roc_auc"}, ["primary_metric is 'roc_auc'", "accepts log_loss"]),
        (
            {"guardrails": [{"metric": "squared_error", "margin": 1}]},
            ["guardrails.metric is 'squared_error'", "accepts roc_auc, brier_score"],
        ),
        (
            {"guardrails": [{"metric": "roc_auc", "margin": -0.1}]},
            ["guardrails.0.margin is -0.1", "greater than or equal to 0"],
        ),
        (
            {"guardrails": [{"metric": "roc_auc", "margin": float("nan")}]},
            ["guardrails.0.margin is nan", "finite"],
        ),
        ({"entity_key": ["house_id"]}, ["entity_key names 'house_id'", "household_id"]),
        ({"entity_key": ["household_id"] * 2}, ["entity_key", "named more than once"]),
        ({"slices": ["region"]}, ["slices names 'region'", "income_band"]),
        ({"cluster_by": ["region"]}, ["cluster_by names 'region'"]),
        ({"history_from": "2017-02-27"}, ["history_from is 2017-02-27", "Sunday", "2017-03-05"]),
        ({"history_from": "soon"}, ["history_from is 'soon'"]),
        ({"label": {**CHURN["label"], "column": "churned"}}, ["label.column names 'churned'"]),
        ({"label": {**CHURN["label"], "horizon_days": 0}}, ["label.horizon_days is 0"]),
        ({"label": {**CHURN["label"], "outcome_days": 99}}, ["label", "outcome_days is 99"]),
        ({"label": {**CHURN["label"], "column": "visit_count"}}, ["knows the answer"]),
        (
            {"features": {**CHURN["features"], "exclude": ["nothing"]}},
            ["features.exclude names 'nothing'"],
        ),
        (
            {"features": {**CHURN["features"], "versions": {"3": "2017-02-26"}}},
            ["features.versions names 3", "versions [1, 2]"],
        ),
        ({"split": {"tune_periods": 0, "holdout_periods": 4}}, ["split.tune_periods is 0"]),
        ({"cluster_by": None}, ["cluster_by is missing"]),
        ({"cadance": "weekly"}, ["cadance is not a field", "cadence"]),
    ],
)
def test_a_wrong_declaration_names_file_field_value_and_what_is_accepted(changes, words):
    message = refused(declare(**changes))
    assert message.startswith(YAML)
    for word in words:
        assert word in message


def test_a_feature_called_score_is_refused():
    features = {1: {**CHURN_FEATURES[1], "score": "double"}, 2: CHURN_FEATURES[2]}
    declared = manifest(
        CHURN, features, label_type="boolean", key_types={"household_id": "bigint"},
        others={"income_band": "varchar"},
    )  # fmt: skip
    assert "feature called 'score'" in refused(declared)


def test_a_date_cannot_be_a_feature_unless_it_is_excluded():
    features = {1: {"seen_on": "date", "visit_count": "bigint"}, 2: CHURN_FEATURES[2]}
    declared = manifest(
        CHURN, features, label_type="boolean", key_types={"household_id": "bigint"},
        others={"income_band": "varchar"},
    )  # fmt: skip
    assert "feature 'seen_on'" in refused(declared)
    task = {**CHURN, "features": {**CHURN["features"], "versions": {"1": "2017-02-26"}}}
    task["features"]["exclude"] = ["income_band", "seen_on"]
    declared = manifest(
        task, {1: features[1]}, label_type="boolean", key_types={"household_id": "bigint"},
        others={"income_band": "varchar"},
    )  # fmt: skip
    assert load_task(declared, "household_churn").feature_columns(1) == ["visit_count"]


def test_training_and_scoring_sets_that_differ_are_refused():
    declared = churn_manifest()
    node = declared["nodes"]["model.weighhouse.score_household_churn.v1"]
    columns = list(node["columns"].items())
    node["columns"] = dict(columns[:3] + columns[3:][::-1])  # the other way round
    assert "order parts at 'visit_count' against 'income_band'" in refused(declared)
    node["columns"] = dict(columns[:3] + columns[4:])
    assert "only the training set has visit_count" in refused(declared)


def test_a_column_without_data_type_is_refused():
    declared = churn_manifest()
    node = declared["nodes"]["model.weighhouse.train_household_churn.v1"]
    node["columns"]["visit_count"]["data_type"] = None
    assert "column 'visit_count' of train_household_churn has no data_type" in refused(declared)


def test_versions_that_declare_different_tasks_are_refused():
    declared = churn_manifest()
    node = declared["nodes"]["model.weighhouse.train_household_churn.v2"]
    node["config"]["meta"]["task"]["kind"] = "multiclass"
    assert "declare different tasks" in refused(declared)


def test_a_label_of_a_type_that_its_kind_cannot_learn_is_refused():
    declared = churn_manifest()
    for version in (1, 2):
        node = declared["nodes"][f"model.weighhouse.train_household_churn.v{version}"]
        node["columns"]["is_churned"]["data_type"] = "varchar"
    assert "data_type 'varchar'; the label of a binary task" in refused(declared)


@pytest.mark.slow
def test_dbt_parses_what_the_shipped_tasks_declare(tmp_path):
    folder = str(PROJECT / "dbt_project")
    arguments = ["--project-dir", folder, "--profiles-dir", folder]
    arguments += ["--target-path", str(tmp_path), "--log-path", str(tmp_path), "--quiet"]
    assert dbtRunner().invoke(["parse", *arguments]).success
    tasks = load_tasks(json.loads((tmp_path / "manifest.json").read_text()))
    assert {"flight_delay", "household_churn"} <= set(tasks)
    assert tasks["household_churn"].kind == "binary"
    assert sorted(tasks["household_churn"].feature_versions) == [1, 2]
    assert tasks["flight_delay"].kind == "regression"
