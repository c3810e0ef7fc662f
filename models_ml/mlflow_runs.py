"""What a training leaves in MLflow: a run with its children, and the logged pipeline.

MLflow itself is handed in by the registry, which alone imports it.
"""

from collections.abc import Mapping
from importlib import metadata
from math import isfinite
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType
from typing import Any

import pyarrow as pa

from models_ml.threads import fixed_threads
from models_ml.training import TrainedVersion
from models_ml.trusted_types import TRUSTED_TYPES

__all__ = ["log_pipeline", "log_run", "number"]

EXAMPLE_ROWS = 5
COLUMN_TYPES = {"numeric": "double", "boolean": "boolean", "categorical": "string"}


def log_run(mlflow: ModuleType, trained: TrainedVersion, experiment_id: str) -> None:
    """Log the winner and its pictures in the open run, and each candidate in a child run."""
    mlflow.log_params({"pipeline": trained.winner.pipeline, **trained.winner.hyperparameters})
    mlflow.log_params(
        {
            "seed": trained.seed,
            "thread_count": trained.thread_count,
            "fit_row_count": trained.fit_row_count,
            "holdout_row_count": trained.holdout.num_rows,
        }
    )
    mlflow.log_metrics(_flat(trained.model_metrics))
    mlflow.log_metrics(_flat(trained.baseline_metrics, "baseline_"))
    with TemporaryDirectory() as folder:
        for name, picture in trained.pictures.items():
            (Path(folder) / name).write_bytes(picture)
        mlflow.log_artifacts(folder, "pictures")
    for candidate in trained.candidates:
        with mlflow.start_run(
            experiment_id=experiment_id,
            run_name=candidate.pipeline,
            nested=True,
            tags={"is_winner": str(candidate is trained.winner).lower()},
        ):
            mlflow.log_params({"pipeline": candidate.pipeline, **candidate.hyperparameters})
            mlflow.log_metrics(_flat(candidate.metrics))


def log_pipeline(mlflow: ModuleType, trained: TrainedVersion) -> Any:  # noqa: ANN401
    """Log the fitted pipeline as a skops file, with its signature and a few rows as example."""
    columns = trained.task.feature_versions[trained.feature_version].features
    inputs = [
        mlflow.types.ColSpec(COLUMN_TYPES[column.kind], column.name, required=False)
        for column in columns
    ]
    output = "string" if trained.task.kind == "multiclass" else "double"
    signature = mlflow.models.ModelSignature(
        inputs=mlflow.types.Schema(inputs),
        outputs=mlflow.types.Schema([mlflow.types.ColSpec(output)]),
    )
    with fixed_threads():
        return mlflow.sklearn.log_model(
            trained.pipeline,
            name=trained.winner.pipeline,
            serialization_format="skops",
            skops_trusted_types=list(TRUSTED_TYPES),
            signature=signature,
            input_example=_example(trained.holdout).to_pandas(),
            pip_requirements=[
                f"{package}=={metadata.version(package)}"
                for package in ("scikit-learn", "skops", "numpy", "pyarrow")
            ],
        )


def number(
    mlflow: ModuleType,
    name: str,
    info: Any,  # noqa: ANN401
    run_id: str,
    tags: dict[str, str],
) -> int:
    """Give a logged pipeline the next version number of the registered model of its task."""
    client = mlflow.MlflowClient()
    if not client.search_registered_models(f"name = '{name}'"):
        client.create_registered_model(name)
    registered = client.create_model_version(
        name, info.model_uri, run_id, tags=tags, model_id=info.model_id
    )
    return int(registered.version)


def _example(rows: pa.Table) -> pa.Table:
    """Take a few rows in the types of the signature: every number a double."""
    rows = rows.slice(0, EXAMPLE_ROWS)
    for place, field in enumerate(rows.schema):
        if not (pa.types.is_string(field.type) or pa.types.is_boolean(field.type)):
            numbers = rows.column(place).cast(pa.float64(), safe=False)
            rows = rows.set_column(place, field.name, numbers)
    return rows


def _flat(metrics: Mapping[str, Mapping[str, float]], prefix: str = "") -> dict[str, float]:
    return {
        f"{prefix}{split}_{metric}": value
        for split, by_metric in metrics.items()
        for metric, value in by_metric.items()
        if isfinite(value)
    }
