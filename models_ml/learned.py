"""The identity of what an estimator learned: a hash over its arrays, the same for the same bits.

Artifacts cannot be compared as files (they hold times and memory addresses); a rebuild is by this.
"""

import hashlib
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.ensemble._hist_gradient_boosting.predictor import TreePredictor

__all__ = ["arrays_sha256"]

# Attributes that say how an estimator was fitted, not what it learned.
NOT_LEARNED = frozenset({"_loss", "_feature_subsample_rng", "_sklearn_version"})


def arrays_sha256(estimator: BaseEstimator) -> str:
    """Hash the parameters and everything learned by a fitted estimator.

    Parameters
    ----------
    estimator : BaseEstimator
        Fitted; pipelines are walked step by step.

    Returns
    -------
    str
        64 hexadecimal digits.

    Raises
    ------
    TypeError
        It holds an object of a type that is not known here, which could hide what was learned.
    """
    digest = hashlib.sha256()
    _walk(digest, "", estimator)
    return digest.hexdigest()


def _walk(digest: Any, path: str, value: Any) -> None:  # noqa: ANN401
    if (
        isinstance(value, np.ndarray) and value.dtype.names
    ):  # structured: field by field, no padding
        for name in value.dtype.names:
            _walk(digest, f"{path}.{name}", value[name])
    elif isinstance(value, np.ndarray) and value.dtype != object:
        digest.update(f"{path}:{value.dtype.str}:{value.shape}".encode())
        digest.update(np.ascontiguousarray(value).tobytes())
    elif isinstance(value, BaseEstimator | TreePredictor):
        for name in sorted(vars(value)):
            if name not in NOT_LEARNED:
                _walk(digest, f"{path}.{name}", vars(value)[name])
    elif isinstance(value, dict):
        for name in sorted(value):
            _walk(digest, f"{path}[{name!r}]", value[name])
    elif isinstance(value, list | tuple | np.ndarray):
        digest.update(f"{path}:{len(value)}".encode())
        for place, item in enumerate(value):
            _walk(digest, f"{path}[{place}]", item)
    elif value is None or isinstance(
        value, bool | int | float | str | np.generic | type | np.dtype
    ):
        digest.update(f"{path}={value!r};".encode())
    else:
        raise TypeError(
            f"{path} holds a {type(value).__qualname__}, which models_ml/learned.py cannot hash; "
            "add how to walk it, or name it in NOT_LEARNED"
        )
