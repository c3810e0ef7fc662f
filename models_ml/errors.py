"""The errors of this package, each a fact with its value, its place and a remedy.

They are told apart by class because the flows treat them differently: a refused training leaves the
champion as it is, a refused artifact stops scoring. Their names say what happened, not "Error".
"""

__all__ = [
    "ArtifactChanged",
    "ArtifactTypeRefused",
    "FeatureRefused",
    "RegistryNotReachable",
    "ScoringRefused",
    "TaskDeclarationError",
    "TrainingRefused",
    "UnknownTask",
]


class TaskDeclarationError(ValueError):
    """A task's declaration is wrong; nothing may run on it."""


class UnknownTask(TaskDeclarationError):
    """No SQL model declares a task of this name."""


class FeatureRefused(ValueError):
    """A feature column is missing, of another type, or holds NaN or infinity."""


class TrainingRefused(ValueError):
    """The rows cannot give a model version that is worth a judgement."""


class ScoringRefused(ValueError):
    """The rows are not what the model version was trained on, or a score came out non-finite."""


class ArtifactChanged(ValueError):
    """The file of a model version is missing, or not the one that was registered."""


class ArtifactTypeRefused(ValueError):
    """The file of a model version holds a type that is not on the allow-list."""


class RegistryNotReachable(RuntimeError):
    """MLflow's database cannot be opened."""
