"""Declared tasks over the data that scikit-learn ships."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
from sklearn import datasets
from task_manifests import CHURN, manifest

from models_ml.tasks import Task, load_task

FIRST = date(2017, 1, 1)  # a Sunday
PERIODS = 20
CUT_OFF = date(2017, 6, 25)


@dataclass
class Example:
    """A task and its training rows, ordered by as_of_date and key."""

    task: Task
    rows: pa.Table

    def replace(self, name: str, values: Any) -> pa.Table:
        """Return the rows with another column in the place of one."""
        place = self.rows.column_names.index(name)
        return self.rows.set_column(place, name, pa.array(values))


def example(
    name: str,
    kind: str,
    features: dict[str, Any],
    label: Any,
    *,
    types: dict[str, str],
    label_type: str,
    pipelines: list[str],
) -> Example:
    """Declare a weekly task over rows that are dealt out to 20 Sundays."""
    row_count = len(label)
    primary = "absolute_error" if kind == "regression" else "log_loss"
    declaration = {
        **CHURN,
        "name": name,
        "kind": kind,
        "entity_key": ["row_id"],
        "cluster_by": ["row_id"],
        "history_from": str(FIRST),
        "label": {"table": f"label_{name}", "column": "outcome", "horizon_days": 14},
        "features": {"table": f"feat_{name}", "versions": {"1": str(FIRST)}, "exclude": []},
        "pipelines": pipelines,
        "primary_metric": primary,
        "guardrails": [],
        "slices": [],
        "replay": {"first_training": str(CUT_OFF), "last": str(CUT_OFF)},
    }
    declared = manifest(
        declaration, {1: types}, label_type=label_type, key_types={"row_id": "bigint"}
    )
    week = np.sort(np.arange(row_count) % PERIODS)
    days = [FIRST + timedelta(days=7 * int(number)) for number in week]
    columns = {
        "row_id": pa.array(np.arange(row_count)),
        "as_of_date": pa.array(days),
        "features_known_at": pa.array(days),
        "label_known_at": pa.array([day + timedelta(days=14) for day in days]),
        **{column: pa.array(values) for column, values in features.items()},
        "outcome": pa.array(label),
    }
    return Example(load_task(declared, name), pa.table(columns))


def binary_example() -> Example:
    """Breast cancer, 569 rows: is it benign? Ten of its measures, one with gaps, and two texts."""
    data = datasets.load_breast_cancer()
    order = np.random.default_rng(1).permutation(len(data.target))
    measures = data.data[order, :10]
    names = [f"measure_{number:02d}" for number in range(10)]
    features: dict[str, Any] = dict(zip(names, measures.T, strict=True))
    gaps = [None if number % 11 == 0 else float(v) for number, v in enumerate(measures[:, 0])]
    features["measure_00"] = gaps
    features["is_large"] = measures[:, 3] > 600
    sizes = ["small", "middle", "large", None]
    features["size"] = [sizes[min(3, int(value // 400))] for value in measures[:, 3]]
    types = dict.fromkeys(names, "double") | {"is_large": "boolean", "size": "varchar"}
    return example(
        "benign",
        "binary",
        features,
        data.target[order].astype(bool),
        types=types,
        label_type="boolean",
        pipelines=["logistic", "hist_gradient_boosting"],
    )


def multiclass_example() -> Example:
    """Wine, 178 rows of three growers."""
    data = datasets.load_wine()
    order = np.random.default_rng(1).permutation(len(data.target))
    names = [f"measure_{number:02d}" for number in range(data.data.shape[1])]
    return example(
        "grower",
        "multiclass",
        dict(zip(names, data.data[order].T, strict=True)),
        np.array(["barolo", "grignolino", "barbera"])[data.target[order]],
        types=dict.fromkeys(names, "double"),
        label_type="varchar",
        pipelines=["logistic"],
    )


def regression_example() -> Example:
    """Diabetes, 442 rows: progression after a year."""
    data = datasets.load_diabetes()
    names = [f"measure_{number:02d}" for number in range(data.data.shape[1])]
    return example(
        "progression",
        "regression",
        dict(zip(names, data.data.T, strict=True)),
        data.target,
        types=dict.fromkeys(names, "double"),
        label_type="double",
        pipelines=["ridge"],
    )
