"""Flow `train-challenger`: learn from what was known at a date, register it, and let it be judged.

The new version only becomes a challenger: nothing here promotes.
"""

from __future__ import annotations

from datetime import date

from prefect import flow, get_run_logger

from flows.build_features import build_period
from flows.land_data import land_sources
from flows.run import Run, open_run
from flows.signals import announce_training, is_left_to_automation, wanted_training
from flows.steps import step
from models_ml.provenance import provenance
from models_ml.training import train
from warehouse.expectations import judge_training_set
from warehouse.facts import record
from warehouse.home import expectations_folder
from warehouse.reading import content_hash, read_training_set, training_query

__all__ = ["train_challenger", "train_if_wanted", "train_version"]


@step(name="train-version")
def train_version(run: Run, trigger_reason: str) -> int:
    """Train and register a version with the labels known at the run's date.

    The same training rows under the same code are not trained twice.

    Returns
    -------
    int
        The version's number in the registry.
    """
    declared, cut_off = run.task, run.as_of_date
    feature_version = declared.feature_version_at(cut_off)
    query = training_query(
        declared.training_relation(feature_version), declared.entity_key, cut_off
    )
    training_hash = content_hash(run.connection, query)
    facts = provenance()
    same = run.rows(
        """
        select model_version from recorded.model_versions
        where task = $task and feature_version = $feature_version
            and training_content_hash = $training_hash and code_commit = $code_commit
        """,
        feature_version=feature_version,
        training_hash=training_hash,
        code_commit=facts.code_commit,
    )
    if same:
        get_run_logger().info(
            "version %s of %s learned from these very rows", same[0]["model_version"], declared.name
        )
        return int(same[0]["model_version"])

    rows = read_training_set(
        run.connection,
        declared.training_relation(feature_version),
        declared.entity_key,
        cut_off,
        declared.training_columns(feature_version),
    )
    judge_training_set(
        run.connection,
        task=declared.name,
        as_of_date=cut_off,
        query=query,
        entity_key=declared.entity_key,
        feature_columns=declared.feature_columns(feature_version),
        label_column=declared.label.column,
        kind=declared.kind,
        folder=expectations_folder(),
    )
    trained = train(declared, rows, feature_version, cut_off)
    registered = run.registry.register(
        trained, facts, training_content_hash=training_hash, trigger_reason=trigger_reason
    )
    record(run.connection, registered.facts)
    return registered.model_version


def train_if_wanted(run: Run) -> None:
    """Announce the training that the period's signals ask for; train, or leave it to automation."""
    reason = wanted_training(run)
    if reason is None:
        return
    is_left = is_left_to_automation()
    announce_training(run, reason, is_left=is_left)
    if not is_left:
        train_version(run, reason)


@flow(name="train-challenger")
def train_challenger(
    task_name: str,
    as_of_date: date | None = None,
    reason: str = "manual",
    only_if_wanted: bool = False,
) -> int | None:
    """Train a challenger with what was known at a date.

    With `only_if_wanted`, as the automation asks, nothing is trained when the date's signals have
    had their answer meanwhile.
    """
    with open_run(task_name, as_of_date) as run:
        if only_if_wanted and wanted_training(run) is None:
            get_run_logger().info("%s at %s: no training is wanted", task_name, run.as_of_date)
            return None
        completed = (
            "select 1 from recorded.day_runs where task = $task and as_of_date = $as_of_date"
        )
        if not run.rows(completed):  # an automation comes after the day, maybe after later ones
            land_sources(run)
            build_period(run)
        return train_version(run, reason)
