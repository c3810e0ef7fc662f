"""The file of a model version: its hash, and the only way to load it.

Never pickle. A file is loaded when its sha256 is the recorded one and every type in it is on the
project's allow-list; MLflow is not needed for it.
"""

import hashlib
from pathlib import Path

import skops.io
from sklearn.pipeline import Pipeline

from models_ml.errors import ArtifactChanged, ArtifactTypeRefused
from models_ml.trusted_types import TRUSTED_TYPES

__all__ = ["file_sha256", "load_artifact"]


def file_sha256(path: Path) -> str:
    """Return the sha256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def load_artifact(path: Path, sha256: str, name: str) -> Pipeline:
    """Load a fitted pipeline from its skops file.

    Parameters
    ----------
    path : Path
        The file.
    sha256 : str
        The recorded hash of the file.
    name : str
        What the version is called in errors.

    Raises
    ------
    ArtifactChanged
        The file is missing, or its hash is another.
    ArtifactTypeRefused
        It holds a type that is not in ``models_ml/trusted_types.py``.
    """
    if not path.is_file():
        raise ArtifactChanged(
            f"the file of {name} is missing at {path}; restore it from a backup, train a "
            "new version, or override the champion with another version"
        )
    found = file_sha256(path)
    if found != sha256:
        raise ArtifactChanged(
            f"the file of {name} at {path} has sha256 {found}, but {sha256} was registered; it was "
            "changed after registration: restore it from a backup or train a new version"
        )
    untrusted = skops.io.get_untrusted_types(file=path)
    refused = sorted(set(untrusted) - set(TRUSTED_TYPES))
    if refused:
        raise ArtifactTypeRefused(
            f"the file of {name} at {path} holds {', '.join(refused)}, not on the allow-list; "
            "if the type is safe and needed, review it and add it to models_ml/trusted_types.py"
        )
    return skops.io.load(path, trusted=untrusted)
