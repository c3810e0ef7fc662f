"""The named candidates that a task may declare, and the few hyperparameters tried for each.

Every candidate takes Arrow rows (`FeatureEncoder` is its first step) and is deterministic: no early
stopping, a fixed seed. A new candidate is a function here and a name in `PIPELINES`.
"""

from collections.abc import Callable, Sequence
from typing import Any

from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from models_ml.encoding import FeatureEncoder

__all__ = ["PIPELINES", "build_pipeline", "hyperparameter_grid"]

PIPELINES: dict[str, tuple[str, ...]] = {
    "binary": ("logistic", "hist_gradient_boosting"),
    "multiclass": ("logistic", "hist_gradient_boosting"),
    "regression": ("ridge", "hist_gradient_boosting"),
}

Hyperparameters = dict[str, Any]


def hyperparameter_grid(name: str, kind: str) -> list[Hyperparameters]:
    """List the hyperparameters to try for a pipeline, the simplest first."""
    if name == "logistic":
        return [{"C": strength} for strength in (0.01, 0.1, 1.0)]
    if name == "ridge":
        return [{"alpha": strength} for strength in (100.0, 10.0, 1.0)]
    shapes = [(7, 0.1, 60), (15, 0.1, 60), (31, 0.05, 80)]
    tried = [("log_loss", *shape) for shape in shapes]
    if kind == "regression":  # judged by the absolute error, but its own loss is not always best
        tried = [("absolute_error", *shape) for shape in shapes[1:]]
        tried.append(("squared_error", *shapes[1]))
    return [
        {"loss": loss, "max_leaf_nodes": leaves, "learning_rate": rate, "max_iter": iterations}
        for loss, leaves, rate, iterations in tried
    ]


def build_pipeline(
    name: str,
    kind: str,
    *,
    columns: Sequence[str],
    column_kinds: Sequence[str],
    hyperparameters: Hyperparameters,
    seed: int,
) -> Pipeline:
    """Build an unfitted pipeline from Arrow rows to predictions.

    Parameters
    ----------
    name : str
        One of ``PIPELINES[kind]``.
    kind : {'binary', 'multiclass', 'regression'}
    columns, column_kinds : sequence of str
        The features and their kinds, in order.
    hyperparameters : dict
        One entry of ``hyperparameter_grid``.
    seed : int
    """
    return _BUILDERS[name](kind, list(columns), list(column_kinds), hyperparameters, seed)


def _linear(columns: list[str], kinds: list[str], estimator: Any) -> Pipeline:  # noqa: ANN401
    return Pipeline(
        [
            ("encode", FeatureEncoder(columns, kinds, one_hot=True)),
            # a feature can be all missing in the first periods: keep its column
            (
                "impute",
                SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True),
            ),
            ("scale", StandardScaler()),
            ("estimate", estimator),
        ]
    )


def _logistic(
    kind: str, columns: list[str], kinds: list[str], chosen: Hyperparameters, seed: int
) -> Pipeline:
    estimator = LogisticRegression(C=chosen["C"], max_iter=300, random_state=seed)
    return _linear(columns, kinds, estimator)


def _ridge(
    kind: str, columns: list[str], kinds: list[str], chosen: Hyperparameters, seed: int
) -> Pipeline:
    return _linear(columns, kinds, Ridge(alpha=chosen["alpha"], solver="cholesky"))


def _hist_gradient_boosting(
    kind: str, columns: list[str], kinds: list[str], chosen: Hyperparameters, seed: int
) -> Pipeline:
    shared: dict[str, Any] = {
        "max_leaf_nodes": chosen["max_leaf_nodes"],
        "learning_rate": chosen["learning_rate"],
        "max_iter": chosen["max_iter"],
        "categorical_features": None,
        "early_stopping": False,  # it would hold rows out at random over time
        "random_state": seed,
    }
    if kind == "regression":
        estimator = HistGradientBoostingRegressor(loss=chosen["loss"], **shared)
    else:
        estimator = HistGradientBoostingClassifier(loss=chosen["loss"], **shared)
    return Pipeline([("encode", FeatureEncoder(columns, kinds)), ("estimate", estimator)])


_BUILDERS: dict[str, Callable[..., Pipeline]] = {
    "logistic": _logistic,
    "ridge": _ridge,
    "hist_gradient_boosting": _hist_gradient_boosting,
}
