"""Flow `score-batch`: score one period with every version that holds a role, exactly once each."""

from __future__ import annotations

from datetime import date
from typing import Any

from prefect import flow, get_run_logger

from flows.build_features import build_period
from flows.land_data import land_sources
from flows.roles import roles_at
from flows.rollout import assign_arms
from flows.run import Run, open_run
from flows.steps import step
from models_ml.scoring import scorer
from warehouse.expectations import judge_predictions, judge_scoring_set
from warehouse.home import expectations_folder
from warehouse.writing import Partition, ScoringRun, write_partition

__all__ = ["NoChampion", "score_batch", "score_period"]


class NoChampion(RuntimeError):
    """No version of the task holds the role of champion at the run's date."""


@step(name="score-period")
def score_period(run: Run) -> list[ScoringRun]:
    """Score the period's entities with the champion, its challengers and its predecessor.

    Roles are resolved here, once; the versions found are loaded, checked and stamped on the rows.
    """
    holders = roles_at(run)
    if not holders or holders[0]["role"] != "champion":
        raise NoChampion(
            f"{run.task.name} has no champion at {run.as_of_date}; the flow `daily` trains and "
            "promotes the first version, or run `promote-champion` with an override"
        )
    done = []
    for version in holders:
        done.append(_score_version(run, version))
        get_run_logger().info("%s", done[-1])
    return done


def _score_version(run: Run, version: dict[str, Any]) -> ScoringRun:
    declared = run.task
    feature_version, model_version = version["feature_version"], version["model_version"]
    columns = declared.feature_columns(feature_version)
    shared: dict[str, Any] = {
        "task": declared.name,
        "as_of_date": run.as_of_date,
        "entity_key": declared.entity_key,
        "folder": expectations_folder(),
    }
    relation = declared.scoring_relation(feature_version)
    judge_scoring_set(
        run.connection,
        relation=relation,
        feature_columns=columns,
        model_version=model_version,
        **shared,
    )
    pipeline, nanny = run.registry.load(version), run.registry.load_nanny(version)
    return write_partition(
        run.connection,
        Partition(declared.name, model_version, version["role"], run.as_of_date),
        scoring_relation=relation,
        entity_key=declared.entity_key,
        kind=declared.kind,
        feature_columns=columns,
        score=scorer(pipeline, declared, columns, nanny),
        engine="python",
        model_sha256=version["artifact_sha256"],
        judge=lambda row_count: judge_predictions(
            run.connection,
            model_version=model_version,
            kind=declared.kind,
            expected_row_count=row_count,
            **shared,
        ),
    )


@flow(name="score-batch")
def score_batch(task_name: str, as_of_date: date | None = None) -> None:
    """Score a task's entities as of a date."""
    with open_run(task_name, as_of_date) as run:
        land_sources(run)
        build_period(run)
        assign_arms(run)
        score_period(run)
