"""The domain classifier's step of a day: the champion's window against its reference, once.

The reference is read again from the training set as known at the version's cut-off. Only the
probabilities are recorded; monitoring.mon_domain_drift says what they mean.
"""

from __future__ import annotations

from typing import Any

from flows.roles import roles_at
from flows.run import Run
from flows.steps import step
from models_ml.domain import FOLD_COUNT, domain_scores
from warehouse.domain_rows import sample_side
from warehouse.facts import record
from warehouse.reading import training_query

__all__ = ["compare_domain"]


@step(name="compare-domain")
def compare_domain(run: Run) -> None:
    """Record how well a classifier tells the champion's window from its holdout."""
    champion = next((held for held in roles_at(run) if held["role"] == "champion"), None)
    if champion is None or _is_compared(run, champion["model_version"]):
        return
    declared, feature_version = run.task, champion["feature_version"]
    judged = _judged_features(run, champion["model_version"])
    features = [
        column
        for column in declared.feature_versions[feature_version].features
        if column.name in judged
    ]
    shared: dict[str, Any] = {
        "entity_key": declared.entity_key,
        "unit": declared.cluster_by,
        "columns": [column.name for column in features],
        "fold_count": FOLD_COUNT,
    }
    known = training_query(
        declared.training_relation(feature_version), declared.entity_key, champion["cut_off_date"]
    )
    holdout = (
        f"select * from ({known}) as known where as_of_date between "
        f"date '{champion['holdout_first_date']}' and date '{champion['holdout_last_date']}'"
    )
    window = (
        f"select * from {declared.scoring_relation(feature_version)} "
        f"where as_of_date = date '{run.as_of_date}'"
    )
    reference_rows = sample_side(run.connection, holdout, **shared)
    window_rows = sample_side(run.connection, window, **shared)
    scores = domain_scores(
        reference_rows,
        window_rows,
        features,
        reference_folds=reference_rows.column("fold").to_numpy(),
        window_folds=window_rows.column("fold").to_numpy(),
    )
    if scores is None:
        return  # mon_domain_drift has no comparison for this window, and says so
    key = {
        "task": declared.name,
        "model_version": champion["model_version"],
        "as_of_date": run.as_of_date,
    }
    record(run.connection, {"domain_scores": [{**key, **row} for row in scores.to_pylist()]})


def _is_compared(run: Run, model_version: int) -> bool:
    return bool(
        run.rows(
            """
            select 1 from recorded.domain_scores
            where task = $task and as_of_date = $as_of_date and model_version = $model_version
            limit 1
            """,
            model_version=model_version,
        )
    )


def _judged_features(run: Run, model_version: int) -> set[str]:
    """Return the features that matter to the version and whose shifts are judged at all."""
    rows = run.rows(
        """
        select importances.feature
        from recorded.feature_importances as importances
        cross join (
            select sum(greatest(0, importance)) as total from recorded.feature_importances
            where task = $task and model_version = $model_version
        )
        where
            importances.task = $task
            and importances.model_version = $model_version
            and importances.importance >= total * (
                select threshold_value from policy.drift_thresholds
                where name = 'domain_min_importance_share'
            )
            and importances.importance > 0
            and importances.feature not in (
                select feature from policy.drift_exceptions where task = $task
            )
        """,
        model_version=model_version,
    )
    return {row["feature"] for row in rows}
