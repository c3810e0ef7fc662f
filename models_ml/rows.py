"""Training rows that cannot be learned from, refused before anything is fitted."""

from datetime import date

import pyarrow as pa
import pyarrow.compute as pc

from models_ml.encoding import numbers
from models_ml.errors import FeatureRefused, TrainingRefused
from models_ml.tasks import Column, Task

__all__ = ["check_rows"]


def check_rows(task: Task, rows: pa.Table, feature_version: int, cut_off_date: date) -> None:
    """Check columns, types, finiteness and variety of a task's training rows.

    Raises
    ------
    TrainingRefused
        Missing or extra columns, no rows, constant or all-null features (all are named).
    FeatureRefused
        A feature of another type than declared, or with NaN or infinity.
    """
    relation = task.training_relation(feature_version)
    wanted = task.training_columns(feature_version)
    missing = [name for name in wanted if name not in rows.column_names]
    extra = [name for name in rows.column_names if name not in wanted]
    if missing or extra:
        raise TrainingRefused(
            f"the rows of {relation} lack {', '.join(missing) or 'nothing'} and have "
            f"{', '.join(extra) or 'nothing'} too much; its documented columns are "
            f"{', '.join(wanted)}: build the SQL model again, or correct its YAML"
        )
    if rows.num_rows == 0:
        raise TrainingRefused(
            f"{relation} has no rows with mature labels at {cut_off_date}; labels take "
            f"{task.horizon_days} days after {task.history_from}: take a later cut-off"
        )
    features = task.feature_versions[feature_version].features
    without_variety = [
        fact for column in features if (fact := _without_variety(column, rows)) is not None
    ]
    if without_variety:
        raise TrainingRefused(
            f"{relation} at {cut_off_date} has features that tell nothing: "
            f"{', '.join(without_variety)} in all {rows.num_rows} rows; correct their SQL, or add "
            f"them to features.exclude in {task.declared_in}"
        )


def _without_variety(column: Column, rows: pa.Table) -> str | None:
    values = rows.column(column.name)
    if values.null_count == len(values):
        return f"{column.name} is null"
    if column.kind == "categorical":
        if not (pa.types.is_string(values.type) or pa.types.is_large_string(values.type)):
            raise FeatureRefused(
                f"feature {column.name!r} has type {values.type}, but is declared "
                f"{column.data_type}; build the SQL model again, or correct its YAML"
            )
    else:
        numbers(column.name, values)  # refuses other types, NaN and infinity
    extremes = pc.min_max(values).as_py()
    if values.null_count == 0 and extremes["min"] == extremes["max"]:
        return f"{column.name} is {extremes['min']}"
    return None
