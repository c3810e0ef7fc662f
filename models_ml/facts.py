"""A registered version as rows of the recorded tables (`recorded_at` is the warehouse's)."""

import json
from math import isfinite
from typing import Any

import pyarrow as pa

from models_ml.provenance import Provenance
from models_ml.training import TrainedVersion

__all__ = ["Facts", "version_facts"]

Facts = dict[str, list[dict[str, Any]] | pa.Table]


def version_facts(
    trained: TrainedVersion,
    provenance: Provenance,
    *,
    model_version: int,
    training_content_hash: str,
    trigger_reason: str,
    artifact_sha256: str,
    artifact_path: str,
    mlflow_run_id: str,
    nanny: dict[str, str],
    parity: dict[str, Any],
) -> Facts:
    """Return the rows to record, by table of the schema ``recorded``."""
    split = trained.split
    identity = {"task": trained.task.name, "model_version": model_version}
    version = {
        **identity,
        "cut_off_date": trained.cut_off_date,
        "feature_table": trained.task.features.table,
        "feature_version": trained.feature_version,
        "pipeline": trained.winner.pipeline,
        "hyperparameters": json.dumps(trained.winner.hyperparameters, sort_keys=True),
        "fit_first_date": split.refit[0],
        "fit_last_date": split.refit[-1],
        "fit_row_count": trained.fit_row_count,
        "holdout_first_date": split.holdout[0],
        "holdout_last_date": split.holdout[-1],
        "holdout_row_count": trained.holdout.num_rows,
        "classes": trained.classes,
        "training_row_count": trained.training_row_count,
        "training_content_hash": training_content_hash,
        "code_commit": provenance.code_commit,
        "lock_sha256": provenance.lock_sha256,
        "seed": trained.seed,
        "thread_count": trained.thread_count,
        "artifact_sha256": artifact_sha256,
        "arrays_sha256": trained.arrays_sha256,
        "artifact_path": artifact_path,
        **nanny,
        "mlflow_run_id": mlflow_run_id,
        "trigger_reason": trigger_reason,
    }
    measured = {
        "model": trained.model_metrics,
        "baseline": trained.baseline_metrics,
        "estimate": {"holdout": trained.estimates.values},
        "estimate_error": {"holdout": trained.estimates.errors},
    }
    metrics = [
        {**identity, "scorer": scorer, "split": split, "metric": metric, "metric_value": value}
        for scorer, by_split in measured.items()
        for split, by_metric in by_split.items()
        for metric, value in by_metric.items()
        if isfinite(value)  # an undefined metric has no row, so no gate can pass on it
    ]
    importances = [
        {**identity, "feature": feature, "importance": importance}
        for feature, importance in trained.importances.items()
    ]
    return {
        "model_versions": [version],
        "model_metrics": metrics,
        "reference_bins": _identified(trained.reference_bins, identity),
        "reference_values": _identified(trained.reference_values, identity),
        "feature_importances": importances,
        "calibration_knots": _identified(trained.calibration_knots, identity),
        "parity_certificates": [{**identity, "engine": "python", **parity}],
    }


def _identified(rows: pa.Table, identity: dict[str, Any]) -> pa.Table:
    for place, (name, value) in enumerate(identity.items()):
        kind = pa.string() if isinstance(value, str) else pa.int32()
        rows = rows.add_column(place, name, pa.repeat(pa.scalar(value, kind), rows.num_rows))
    return rows
