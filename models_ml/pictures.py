"""Pictures of a version at registration: calibration or residuals, scores, importance."""

from io import BytesIO

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from models_ml.tasks import Task

__all__ = ["draw"]

INK, ACCENT = "#333333", "#2a6f97"


def draw(
    task: Task, labels: np.ndarray, predictions: np.ndarray, importances: dict[str, float]
) -> dict[str, bytes]:
    """Draw the holdout rows of a version.

    Parameters
    ----------
    task : Task
    labels, predictions : array
        As ``models_ml.metrics.measure`` takes them.
    importances : dict of str to float
        Loss added by shuffling each feature.

    Returns
    -------
    dict of str to bytes
        PNG by file name.
    """
    pictures = {"importance.png": _importance(task, importances)}
    if task.kind == "regression":
        pictures["residuals.png"] = _residuals(labels, predictions)
        return pictures
    if task.kind == "binary":
        scores, hits = predictions, labels
    else:
        scores, hits = predictions.max(axis=1), predictions.argmax(axis=1) == labels
    pictures["calibration.png"] = _calibration(scores, hits)
    pictures["scores.png"] = _scores(scores)
    return pictures


def _calibration(scores: np.ndarray, hits: np.ndarray) -> bytes:
    figure = _figure("Calibration on the holdout", "mean score of the bin", "observed share")
    axes = figure.axes[0]
    bins = np.array_split(np.argsort(scores, kind="stable"), min(10, len(scores)))
    axes.plot([0, 1], [0, 1], color=INK, linewidth=0.8, linestyle="--", label="perfect")
    means, shares = ([float(values[rows].mean()) for rows in bins] for values in (scores, hits))
    axes.plot(means, shares, color=ACCENT, marker="o", label="tenths of the rows")
    axes.legend(frameon=False)
    return _png(figure)


def _scores(scores: np.ndarray) -> bytes:
    figure = _figure("Scores on the holdout", "score", "rows")
    figure.axes[0].hist(scores, bins=30, color=ACCENT)
    return _png(figure)


def _residuals(labels: np.ndarray, predictions: np.ndarray) -> bytes:
    figure = _figure("Residuals on the holdout", "prediction", "label minus prediction")
    shown = np.linspace(0, len(labels) - 1, min(len(labels), 3000)).astype(int)
    axes = figure.axes[0]
    axes.scatter(predictions[shown], (labels - predictions)[shown], s=4, alpha=0.4, color=ACCENT)
    axes.axhline(0.0, color=INK, linewidth=0.8)
    return _png(figure)


def _importance(task: Task, importances: dict[str, float]) -> bytes:
    figure = _figure("Permutation importance", f"{task.primary_metric} added by shuffling", "")
    ranked = sorted(importances.items(), key=lambda item: item[1])[-25:]
    figure.axes[0].barh([name for name, _ in ranked], [value for _, value in ranked], color=ACCENT)
    return _png(figure)


def _figure(title: str, x_label: str, y_label: str) -> Figure:
    figure = Figure(figsize=(6.4, 4.8), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.set(title=title, xlabel=x_label, ylabel=y_label)
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def _png(figure: Figure) -> bytes:
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=100)
    return buffer.getvalue()
