"""Small manifests, shaped like the ones `dbt parse` writes, and tasks over real data."""

from __future__ import annotations

import copy
from typing import Any

CHURN = {
    "name": "household_churn",
    "kind": "binary",
    "entity_key": ["household_id"],
    "cadence": "weekly",
    "sources": ["completejourney"],
    "history_from": "2017-02-26",
    "label": {"table": "label_household_churned", "column": "is_churned", "horizon_days": 28},
    "features": {
        "table": "feat_household",
        "versions": {"1": "2017-02-26", "2": "2017-08-06"},
        "exclude": ["income_band"],
    },
    "pipelines": ["logistic", "hist_gradient_boosting"],
    "split": {"tune_periods": 2, "holdout_periods": 4},
    "primary_metric": "log_loss",
    "guardrails": [{"metric": "roc_auc", "margin": 0.005}],
    "slices": ["income_band"],
    "cluster_by": ["household_id"],
    "replay": {"first_training": "2017-07-02", "last": "2017-12-31"},
}
CHURN_FEATURES = {
    1: {"visit_count": "bigint", "spend_usd": "decimal(18, 2)", "has_card": "boolean"},
    2: {
        "visit_count": "bigint",
        "spend_usd": "decimal(18, 2)",
        "has_card": "boolean",
        "department": "varchar",
    },
}


def manifest(
    task: dict[str, Any],
    features: dict[int, dict[str, str]],
    *,
    label_type: str,
    key_types: dict[str, str],
    others: dict[str, str] | None = None,
) -> dict[str, Any]:
    """Return a manifest with the train and score SQL models of one task.

    `others` are columns of both sets that are no features (they must be excluded).
    """
    nodes: dict[str, Any] = {}
    name, label = task["name"], task["label"]["column"]
    for version, typed in features.items():
        shared = {**typed, **(others or {})}
        trained = {
            **key_types,
            "as_of_date": "date",
            "features_known_at": "date",
            "label_known_at": "date",
            **shared,
            label: label_type,
        }
        scored = {**key_types, "as_of_date": "date", "features_known_at": "date", **shared}
        for prefix, schema, columns in (
            ("train", "training_sets", trained),
            ("score", "scoring_sets", scored),
        ):
            meta = {"task": copy.deepcopy(task)} if prefix == "train" else {}
            nodes[f"model.weighhouse.{prefix}_{name}.v{version}"] = {
                "resource_type": "model",
                "name": f"{prefix}_{name}",
                "version": version,
                "schema": schema,
                "alias": f"{prefix}_{name}_v{version}",
                "config": {"meta": meta},
                "original_file_path": f"models/{schema}/{prefix}_{name}_v{version}.sql",
                "patch_path": f"weighhouse://models/{schema}/{prefix}_{name}.yml",
                "columns": {
                    column: {"name": column, "data_type": data_type}
                    for column, data_type in columns.items()
                },
            }
    return {"nodes": nodes}


def churn_manifest() -> dict[str, Any]:
    """Return the manifest of the churn task."""
    return manifest(
        CHURN,
        CHURN_FEATURES,
        label_type="boolean",
        key_types={"household_id": "bigint"},
        others={"income_band": "varchar"},
    )
