"""The label column: read, checked, and held in the form that fitting and measuring need."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from sklearn.pipeline import Pipeline

from models_ml.errors import TrainingRefused
from models_ml.tasks import Task

__all__ = ["Labels", "read_labels"]


@dataclass(frozen=True)
class Labels:
    """The labels of all training rows.

    ``values`` is 0 or 1 (binary), the position in ``classes`` (multiclass), or the number itself.
    """

    task: Task
    values: np.ndarray
    classes: np.ndarray | None

    def take(self, chosen: np.ndarray) -> np.ndarray:
        """Return the labels of the chosen rows."""
        return self.values[chosen]

    def to_fit(self, chosen: np.ndarray) -> np.ndarray:
        """Return what an estimator learns: class names for multiclass, numbers otherwise."""
        return self.values[chosen] if self.classes is None else self.classes[self.values[chosen]]

    def spread(self, predictions: np.ndarray, pipeline: Pipeline) -> np.ndarray:
        """Give every class a column; one that the pipeline never saw has probability 0."""
        if self.classes is None:
            return predictions
        wide = np.zeros((len(predictions), len(self.classes)))
        wide[:, np.searchsorted(self.classes, pipeline.classes_)] = predictions
        return wide

    def happened(self, chosen: np.ndarray, pipeline: Pipeline) -> tuple[list[str], np.ndarray]:
        """Name the classes that have a score of their own, and tell which is each row's label.

        Returns
        -------
        list of str
            `1` for a binary task, the pipeline's classes for multiclass.
        bool array of shape (n_rows, n_classes)
        """
        known = self.values[chosen]
        if self.classes is None:
            return ["1"], (known == 1)[:, np.newaxis]
        names = np.asarray(pipeline.classes_)
        return [str(name) for name in names], self.classes[known][:, np.newaxis] == names

    def baseline(self, learned_on: np.ndarray, row_count: int) -> np.ndarray:
        """Predict base rate, class shares or median of some rows, for `row_count` rows."""
        known = self.values[learned_on]
        if self.classes is not None:
            shares = np.bincount(known, minlength=len(self.classes)) / len(known)
            return np.tile(shares, (row_count, 1))
        middle = known.mean() if self.task.kind == "binary" else np.median(known)
        return np.full(row_count, float(middle))

    def refuse_one_class(self, chosen: np.ndarray, place: str) -> None:
        """Raise when the chosen rows leave nothing to learn."""
        known = self.values[chosen]
        if known.min() < known.max():
            return
        value = known[0] if self.classes is None else self.classes[known[0]]
        raise TrainingRefused(
            f"label {self.task.label.column!r} of {self.task.name} has the single value {value} in "
            f"{place} ({len(known)} rows); a later cut-off or another label is needed"
        )


def read_labels(task: Task, rows: pa.Table) -> Labels:
    """Read the label column of a task.

    Raises
    ------
    TrainingRefused
        A label is null, NaN, infinite, not 0 or 1 for a binary task, or of a wrong type.
    """
    name = task.label.column
    column = rows.column(name)
    if column.null_count:
        raise _refusal(task, f"is null in {column.null_count} of {len(column)} rows")
    if task.kind == "multiclass":
        texts = np.asarray(pc.cast(column, pa.string()).to_pylist(), dtype=np.str_)
        classes, values = np.unique(texts, return_inverse=True)
        return Labels(task, values, classes)
    is_number = not (pa.types.is_string(column.type) or pa.types.is_temporal(column.type))
    if not is_number:
        raise _refusal(task, f"has type {column.type}, not number or boolean")
    if pa.types.is_boolean(column.type):
        column = column.cast(pa.uint8())
    values = column.cast(pa.float64(), safe=False).to_numpy()
    if not np.isfinite(values).all():
        raise _refusal(task, f"is NaN or infinite in {np.sum(~np.isfinite(values))} rows")
    if task.kind == "regression":
        return Labels(task, values, None)
    odd = np.unique(values[(values != 0) & (values != 1)])
    if len(odd):
        raise _refusal(task, f"of a binary task holds {odd[0]}")
    return Labels(task, values.astype(np.int64), None)


def _refusal(task: Task, fact: str) -> TrainingRefused:
    return TrainingRefused(
        f"label {task.label.column!r} of train_{task.name} {fact}; correct {task.label.table}, "
        "which must hold matured labels only"
    )
