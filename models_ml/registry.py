"""The registry of model versions: the only module that knows MLflow.

MLflow holds runs, pictures and version numbers; what decides is recorded in the warehouse, and the
aliases here only mirror it. MLflow is imported when a version is registered or an alias moves, not
when one is loaded: the import costs seconds.
"""

import os
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import unquote, urlparse

import skops.io
from sklearn.pipeline import Pipeline

from models_ml.artifacts import file_sha256, load_artifact
from models_ml.errors import RegistryNotReachable
from models_ml.facts import Facts, version_facts
from models_ml.mlflow_database import check_database, follow_folder
from models_ml.mlflow_runs import log_pipeline, log_run, number
from models_ml.provenance import Provenance
from models_ml.scoring import parity
from models_ml.training import TrainedVersion

__all__ = ["RegisteredVersion", "Registry"]

ROLES = ("champion", "challenger", "predecessor")


@dataclass(frozen=True)
class RegisteredVersion:
    """The number of a registered version, and the rows to record about it."""

    model_version: int
    facts: Facts


class Registry:
    """MLflow over a sqlite file in a folder; the folder is made when it is first needed.

    Parameters
    ----------
    folder : Path
        The state folder's ``mlflow/``. Artifact paths are recorded relative to its parent.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()

    @property
    def tracking_uri(self) -> str:
        """Address of MLflow's database."""
        return f"sqlite:///{self.folder / 'mlflow.db'}"

    def load(self, version: Mapping[str, Any]) -> Pipeline:
        """Load a recorded version after checking its file's hash and types.

        Parameters
        ----------
        version : mapping
            A row of ``recorded.model_versions``.

        Raises
        ------
        ArtifactChanged, ArtifactTypeRefused
            The file is not the registered one, or holds a type that is not allowed.
        """
        path = self.folder.parent / str(version["artifact_path"])
        return load_artifact(path, str(version["artifact_sha256"]), _name(version))

    def load_nanny(self, version: Mapping[str, Any]) -> Pipeline | None:
        """Load the nanny of a recorded version under the same checks; None when it has none.

        Parameters
        ----------
        version : mapping
            A row of ``recorded.model_versions``.

        Raises
        ------
        ArtifactChanged, ArtifactTypeRefused
            As for ``load``.
        """
        if version["nanny_artifact_path"] is None:
            return None
        path = self.folder.parent / str(version["nanny_artifact_path"])
        return load_artifact(path, str(version["nanny_sha256"]), f"the nanny of {_name(version)}")

    def register(
        self,
        trained: TrainedVersion,
        provenance: Provenance,
        *,
        training_content_hash: str,
        trigger_reason: str,
    ) -> RegisteredVersion:
        """Log a trained version with its candidates, and give it the task's next number.

        The version gets its number last, after its file was loaded again through the checks and
        scored the holdout rows.

        Raises
        ------
        ArtifactTypeRefused
            The fitted pipeline holds a type that is not on the allow-list.
        RegistryNotReachable
            MLflow's database cannot be opened.
        """
        task = trained.task
        identity = {
            "task": task.name,
            "cut_off_date": str(trained.cut_off_date),
            "feature_table": task.features.table,
            "feature_version": str(trained.feature_version),
            "training_content_hash": training_content_hash,
            "code_commit": provenance.code_commit,
            "lock_sha256": provenance.lock_sha256,
            "arrays_sha256": trained.arrays_sha256,
            "trigger_reason": trigger_reason,
        }
        with self._mlflow() as mlflow:
            experiment_id = self._experiment(mlflow, task.name)
            with mlflow.start_run(
                experiment_id=experiment_id,
                run_name=f"{task.name} {trained.cut_off_date}",
                tags=identity,
            ) as run:
                log_run(mlflow, trained, experiment_id)
                info = log_pipeline(mlflow, trained)
            logged = mlflow.MlflowClient().get_logged_model(info.model_id)
            path = _local_path(logged.artifact_location) / "model.skops"
            sha256 = file_sha256(path)
            loaded = load_artifact(path, sha256, f"the new version of {task.name}")
            nanny = self._save_nanny(trained, path.with_name("nanny.skops"))
            certificate = parity(trained.pipeline, loaded, task, trained.holdout)
            model_version = number(mlflow, task.name, info, run.info.run_id, identity)
        facts = version_facts(
            trained,
            provenance,
            model_version=model_version,
            training_content_hash=training_content_hash,
            trigger_reason=trigger_reason,
            artifact_sha256=sha256,
            artifact_path=str(path.relative_to(self.folder.parent)),
            mlflow_run_id=run.info.run_id,
            nanny=nanny,
            parity=certificate,
        )
        return RegisteredVersion(model_version, facts)

    def mirror_roles(self, task: str, aliases: Mapping[str, int]) -> None:
        """Make the aliases of a task equal to the roles that the warehouse derives.

        Parameters
        ----------
        task : str
            Name of the task.
        aliases : mapping of str to int
            Version by role; the alias of a role that is not given is deleted.

        Raises
        ------
        RegistryNotReachable
            MLflow's database cannot be opened, or does not know the version.
        """
        with self._mlflow() as mlflow:
            client = mlflow.MlflowClient()
            try:
                present = client.get_registered_model(task).aliases
            except mlflow.exceptions.MlflowException as error:
                if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                    raise
                present = {}
            for role in ROLES:
                wanted = aliases.get(role)
                if wanted is None and role in present:
                    client.delete_registered_model_alias(task, role)
                elif wanted is not None and str(present.get(role)) != str(wanted):
                    client.set_registered_model_alias(task, role, str(wanted))

    @contextmanager
    def _mlflow(self) -> Iterator[ModuleType]:
        """Import MLflow, point it at the folder, and name the place when it fails."""
        os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
        os.environ["DO_NOT_TRACK"] = "true"
        import mlflow  # noqa: PLC0415
        import mlflow.sklearn  # noqa: PLC0415
        from sqlalchemy.exc import SQLAlchemyError  # noqa: PLC0415

        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            database = self.folder / "mlflow.db"
            if database.exists():
                check_database(database)
            mlflow.set_tracking_uri(self.tracking_uri)
            mlflow.set_registry_uri(self.tracking_uri)
            yield mlflow
        except (
            mlflow.exceptions.MlflowException,
            SQLAlchemyError,
            sqlite3.Error,
            OSError,
        ) as error:
            raise RegistryNotReachable(
                f"MLflow's registry at {self.folder / 'mlflow.db'} refused: "
                f"{str(error).splitlines()[0]}; nothing was recorded. Restore the folder from a "
                "backup, or move it away: versions and roles are recorded in the warehouse"
            ) from error

    def _save_nanny(self, trained: TrainedVersion, path: Path) -> dict[str, str]:
        """Write the nanny's file and load it again through the checks; return what to record."""
        if trained.nanny is None:
            return {}
        skops.io.dump(trained.nanny, path)
        sha256 = file_sha256(path)
        load_artifact(path, sha256, f"the nanny of the new version of {trained.task.name}")
        place = str(path.relative_to(self.folder.parent))
        return {"nanny_sha256": sha256, "nanny_artifact_path": place}

    def _experiment(self, mlflow: ModuleType, name: str) -> str:
        location = (self.folder / "artifacts").as_uri()
        experiment = mlflow.get_experiment_by_name(name)
        if experiment is None:
            return str(mlflow.create_experiment(name, artifact_location=location))
        follow_folder(self.folder / "mlflow.db", location)
        return str(experiment.experiment_id)


def _name(version: Mapping[str, Any]) -> str:
    return f"{version['task']} version {version['model_version']}"


def _local_path(uri: str) -> Path:
    return Path(unquote(urlparse(uri).path)) if uri.startswith("file:") else Path(uri)
