"""From training rows to a fitted, measured and described model version, in memory.

Everything here is a function of the rows, the task and the seed: no clock, no MLflow, no warehouse.
The same rows, seed and thread count give the same learned arrays, bit for bit.
"""

from dataclasses import dataclass
from datetime import date
from math import nan
from typing import Any

import numpy as np
import pyarrow as pa
from sklearn.pipeline import Pipeline

from models_ml.calibration import (
    KNOTS,
    calibrated_out_of_fold,
    calibration_knots,
    expected_metrics,
)
from models_ml.errors import TrainingRefused
from models_ml.estimates import ReferenceEstimates, date_folds, reference_estimates
from models_ml.labels import Labels, read_labels
from models_ml.learned import arrays_sha256
from models_ml.metrics import is_better, measure
from models_ml.nanny import ScoredRows, choose_shape, fit_nanny
from models_ml.pipelines import build_pipeline, hyperparameter_grid
from models_ml.profile import reference_bins, reference_sample, reference_values
from models_ml.rows import check_rows
from models_ml.scoring import class_names, predict
from models_ml.splitting import DateSplit, split_dates
from models_ml.tasks import Task
from models_ml.threads import THREAD_COUNT, fixed_threads

__all__ = ["Candidate", "TrainedVersion", "train"]

SEED = 20_171
SEARCH_ROWS = 20_000
IMPORTANCE_ROWS = 4_000
IMPORTANCE_REPEATS = 3

Metrics = dict[str, dict[str, float]]  # split -> metric -> value


@dataclass(frozen=True)
class Candidate:
    """A pipeline with hyperparameters that was tried, and its metrics on fit and tune."""

    pipeline: str
    hyperparameters: dict[str, Any]
    metrics: Metrics


@dataclass(frozen=True, eq=False)
class TrainedVersion:
    """A fitted pipeline and all that is to be recorded about it."""

    task: Task
    feature_version: int
    cut_off_date: date
    pipeline: Pipeline
    winner: Candidate
    candidates: tuple[Candidate, ...]
    split: DateSplit
    classes: list[str] | None
    training_row_count: int
    fit_row_count: int
    model_metrics: Metrics  # fit and tune: of the winning candidate; holdout: of the artifact
    baseline_metrics: Metrics
    importances: dict[str, float]
    reference_bins: pa.Table
    reference_values: pa.Table
    calibration_knots: pa.Table  # empty for regression
    nanny: Pipeline | None  # regression only
    estimates: ReferenceEstimates  # of the holdout's metrics without labels
    holdout: pa.Table  # the holdout's features
    arrays_sha256: str
    seed: int
    thread_count: int
    pictures: dict[str, bytes]  # PNG by file name


def train(
    task: Task, rows: pa.Table, feature_version: int, cut_off_date: date, seed: int = SEED
) -> TrainedVersion:
    """Train every candidate, choose on the tune split, learn again, judge on the holdout.

    Parameters
    ----------
    task : Task
        The declaration.
    rows : pyarrow Table
        The training set as known at the cut-off: the columns of ``task.training_columns``.
    feature_version : int
        Version of the features in `rows`.
    cut_off_date : date
        Labels and features known up to this date are in `rows`.
    seed : int
        Seed of everything random.

    Returns
    -------
    TrainedVersion

    Raises
    ------
    TrainingRefused
        No rows, too few as_of_dates, a label that is null, not finite or of one class, a feature
        that is constant or all null, other columns than documented, no candidate with a finite
        metric.
    FeatureRefused
        A feature has another type than declared, or holds NaN or infinity.
    """
    from models_ml.pictures import draw  # noqa: PLC0415 - scoring needs no matplotlib

    features = task.feature_versions[feature_version].features
    check_rows(task, rows, feature_version, cut_off_date)
    labels = read_labels(task, rows)
    dates = rows.column("as_of_date").cast(pa.date32()).to_numpy().astype("datetime64[D]")
    split = split_dates(task, [day.item() for day in np.unique(dates)], cut_off_date)
    parts = {
        name: np.flatnonzero(np.isin(dates, np.array(days, dtype="datetime64[D]")))
        for name, days in vars(split).items()
    }
    for name in ("fit", "refit"):
        labels.refuse_one_class(parts[name], f"the {name} rows at {cut_off_date}")
    table = rows.select([column.name for column in features])
    table = pa.table({name: table.column(name).combine_chunks() for name in table.column_names})
    trainer = _Trainer(task, table, labels, dates, seed, [column.kind for column in features])

    with fixed_threads():
        candidates = trainer.search(parts["fit"], parts["tune"])
        winner = trainer.select(candidates)
        pipeline = trainer.fit(winner.pipeline, winner.hyperparameters, parts["refit"])
        holdout, of_holdout = table.take(parts["holdout"]), labels.take(parts["holdout"])
        predictions = labels.spread(predict(pipeline, task.kind, holdout), pipeline)
        importances = trainer.importances(pipeline, parts["holdout"])
    baseline = {
        "fit": trainer.baseline(parts["fit"], parts["fit"]),
        "tune": trainer.baseline(parts["fit"], parts["tune"]),
        "holdout": trainer.baseline(parts["refit"], parts["holdout"]),
    }
    kinds = {column.name: column.kind for column in features} | {"score": "numeric"}
    scores = predictions.max(axis=1) if task.kind == "multiclass" else predictions
    profiled = holdout.append_column("score", pa.array(scores))
    key = ["as_of_date", *task.entity_key]
    sample = reference_sample(rows.select(key).take(parts["holdout"]), key)
    with fixed_threads():
        if task.kind == "regression":
            knots = KNOTS.empty_table()
            nanny, estimates = trainer.nanny(pipeline, parts["holdout"][sample])
        else:
            nanny = None
            knots, estimates = trainer.calibration(pipeline, parts["holdout"])
    return TrainedVersion(
        task=task,
        feature_version=feature_version,
        cut_off_date=cut_off_date,
        pipeline=pipeline,
        winner=winner,
        candidates=tuple(candidates),
        split=split,
        classes=class_names(pipeline, task.kind),
        training_row_count=rows.num_rows,
        fit_row_count=len(parts["refit"]),
        model_metrics=winner.metrics | {"holdout": measure(task.kind, of_holdout, predictions)},
        baseline_metrics=baseline,
        importances=importances,
        reference_bins=reference_bins(profiled, kinds, table.take(parts["refit"])),
        reference_values=reference_values(profiled.take(sample), kinds),
        calibration_knots=knots,
        nanny=nanny,
        estimates=estimates,
        holdout=holdout,
        arrays_sha256=arrays_sha256(pipeline),
        seed=seed,
        thread_count=THREAD_COUNT,
        pictures=draw(task, of_holdout, predictions, importances),
    )


@dataclass(frozen=True)
class _Trainer:
    """The steps of one training, over one table of features."""

    task: Task
    table: pa.Table
    labels: Labels
    dates: np.ndarray
    seed: int
    column_kinds: list[str]

    def fit(self, name: str, hyperparameters: dict[str, Any], chosen: np.ndarray) -> Pipeline:
        """Fit a pipeline on the chosen rows."""
        pipeline = build_pipeline(
            name,
            self.task.kind,
            columns=self.table.column_names,
            column_kinds=self.column_kinds,
            hyperparameters=hyperparameters,
            seed=self.seed,
        )
        return pipeline.fit(self.table.take(chosen), self.labels.to_fit(chosen))

    def search(self, fit: np.ndarray, tune: np.ndarray) -> list[Candidate]:
        """Fit every candidate; of very many rows, on a seeded choice of 20,000."""
        if len(fit) > SEARCH_ROWS:
            rng = np.random.default_rng(self.seed)
            fit = np.sort(rng.choice(fit, SEARCH_ROWS, replace=False))
        found = []
        for name in self.task.pipelines:
            for hyperparameters in hyperparameter_grid(name, self.task.kind):
                pipeline = self.fit(name, hyperparameters, fit)
                metrics = {"fit": self.metrics(pipeline, fit), "tune": self.metrics(pipeline, tune)}
                found.append(Candidate(name, hyperparameters, metrics))
        return found

    def select(self, candidates: list[Candidate]) -> Candidate:
        """Return the candidate with the smallest finite loss on tune; the first one of equals."""
        metric, best, winner = self.task.primary_metric, nan, None
        for candidate in candidates:
            loss = candidate.metrics["tune"][metric]
            if is_better(loss, best):
                best, winner = loss, candidate
        if winner is None:
            raise TrainingRefused(
                f"no candidate of {self.task.name} has a finite {metric} on the tune rows "
                f"({len(candidates)} were tried); look for extreme values in the features"
            )
        return winner

    def metrics(self, pipeline: Pipeline, chosen: np.ndarray) -> dict[str, float]:
        """Measure a fitted pipeline on the chosen rows."""
        predictions = predict(pipeline, self.task.kind, self.table.take(chosen))
        predictions = self.labels.spread(predictions, pipeline)
        return measure(self.task.kind, self.labels.take(chosen), predictions)

    def baseline(self, learned_on: np.ndarray, chosen: np.ndarray) -> dict[str, float]:
        """Measure what ignores the features: base rate, class shares, or median."""
        predictions = self.labels.baseline(learned_on, len(chosen))
        return measure(self.task.kind, self.labels.take(chosen), predictions)

    def nanny(self, pipeline: Pipeline, chosen: np.ndarray) -> tuple[Pipeline, ReferenceEstimates]:
        """Fit a regression's nanny on the reference sample."""
        features, labels = self.table.take(chosen), self.labels.take(chosen)
        scores = predict(pipeline, "regression", features)
        rows = ScoredRows(features, self.column_kinds, scores, labels)
        shape, expected = choose_shape(rows, self.seed, date_folds(self.dates[chosen]))
        if expected is None:
            estimates = ReferenceEstimates({}, {})
        else:
            estimates = reference_estimates(
                self.dates[chosen],
                lambda some: {"absolute_error": float(expected[some].mean())},
                lambda some: measure("regression", labels[some], scores[some]),
            )
        return fit_nanny(rows, shape, self.seed), estimates

    def calibration(
        self, pipeline: Pipeline, chosen: np.ndarray
    ) -> tuple[pa.Table, ReferenceEstimates]:
        """Learn a classifier's calibration on the holdout."""
        kind, labels = self.task.kind, self.labels.take(chosen)
        names, happened = self.labels.happened(chosen, pipeline)
        predictions = predict(pipeline, kind, self.table.take(chosen))
        by_class = predictions.reshape(len(chosen), -1)
        predictions = self.labels.spread(predictions, pipeline)
        folds = date_folds(self.dates[chosen])
        if not folds:
            estimates = ReferenceEstimates({}, {})
        else:
            chances = calibrated_out_of_fold(happened, by_class, folds)
            estimates = reference_estimates(
                self.dates[chosen],
                lambda some: expected_metrics(by_class[some], chances[some]),
                lambda some: measure(kind, labels[some], predictions[some]),
            )
        return calibration_knots(happened, by_class, names), estimates

    def importances(self, pipeline: Pipeline, holdout: np.ndarray) -> dict[str, float]:
        """Return the loss added when a feature is shuffled, on at most 4,000 holdout rows."""
        rng = np.random.default_rng(self.seed)
        if len(holdout) > IMPORTANCE_ROWS:
            holdout = np.sort(rng.choice(holdout, IMPORTANCE_ROWS, replace=False))
        labels = self.labels.take(holdout)
        encoder, rest = pipeline[0], pipeline[1:]
        matrix = encoder.transform(self.table.take(holdout))

        def loss(encoded: np.ndarray) -> float:
            predictions = self.labels.spread(predict(rest, self.task.kind, encoded), pipeline)
            return measure(self.task.kind, labels, predictions)[self.task.primary_metric]

        unshuffled = loss(matrix)
        added = {}
        for name, (first, last) in encoder.groups_.items():
            losses = []
            for _ in range(IMPORTANCE_REPEATS):
                shuffled = matrix.copy()
                shuffled[:, first:last] = matrix[rng.permutation(len(matrix)), first:last]
                losses.append(loss(shuffled))
            added[name] = float(np.mean(losses) - unshuffled)
        return added
