"""The project's own allow-list of types that the file of a model version may hold.

skops itself trusts plain NumPy, SciPy and scikit-learn types. MLflow would take the rest of the
list from the artifact, and so trust whoever wrote it; ours stands here, in the code.
"""

__all__ = ["TRUSTED_TYPES"]

TRUSTED_TYPES = (
    "models_ml.encoding.FeatureEncoder",
    "numpy.dtype",
    "sklearn._loss.link.Interval",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
)
