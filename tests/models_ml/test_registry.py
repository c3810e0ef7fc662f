from __future__ import annotations

import shutil
import zipfile
from datetime import datetime
from pathlib import Path

import duckdb
import mlflow
import numpy as np
import pyarrow as pa
import pytest
import skops.io
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer

from models_ml.artifacts import file_sha256, load_artifact
from models_ml.errors import ArtifactChanged, ArtifactTypeRefused, RegistryNotReachable
from models_ml.learned import arrays_sha256
from models_ml.provenance import Provenance
from models_ml.registry import Registry
from models_ml.scoring import predict

RECORDED = Path(__file__).resolve().parents[2] / "warehouse" / "recorded.sql"
pytestmark = pytest.mark.slow  # registering starts MLflow

WHENCE = Provenance(code_commit="c0ffee", lock_sha256="10c4")


def register(registry, trained):
    return registry.register(
        trained, WHENCE, training_content_hash="da7a", trigger_reason="first_version"
    )


@pytest.fixture(scope="module")
def registered(
    mlflow_template, trained_binary, trained_multiclass, trained_regression, tmp_path_factory
):
    """One registry with two versions of a binary task, one of multiclass, one of regression."""
    folder = tmp_path_factory.mktemp("state") / "mlflow"
    shutil.copytree(mlflow_template, folder)
    registry = Registry(folder)
    return {
        "registry": registry,
        "first": register(registry, trained_binary),
        "second": register(registry, trained_binary),
        "multiclass": register(registry, trained_multiclass),
        "regression": register(registry, trained_regression),
    }


def client_of(registry):
    mlflow.set_tracking_uri(registry.tracking_uri)
    mlflow.set_registry_uri(registry.tracking_uri)
    return mlflow.MlflowClient()


def test_versions_are_numbered_by_task(registered):
    assert registered["first"].model_version == 1
    assert registered["second"].model_version == 2
    assert registered["multiclass"].model_version == 1


def test_the_facts_fit_the_recorded_tables(registered):
    with duckdb.connect() as connection:
        connection.execute(RECORDED.read_text())
        for name in ("first", "second", "multiclass", "regression"):
            for table, rows in registered[name].facts.items():
                arriving = rows if isinstance(rows, pa.Table) else pa.Table.from_pylist(rows)
                if table in ("model_versions", "parity_certificates"):
                    now = pa.scalar(datetime(2017, 1, 1), pa.timestamp("us"))
                    arriving = arriving.append_column("recorded_at", pa.repeat(now, len(arriving)))
                columns = ", ".join(arriving.column_names)
                connection.execute(
                    f"insert into recorded.{table} ({columns}) select {columns} from arriving"
                )
        found = connection.execute(
            "select task, model_version, engine, is_equal from recorded.parity_certificates "
            "order by all"
        ).fetchall()
    assert found == [
        ("benign", 1, "python", True),
        ("benign", 2, "python", True),
        ("grower", 1, "python", True),
        ("progression", 1, "python", True),
    ]


def test_the_version_row_says_where_it_comes_from(registered, trained_binary):
    row = registered["first"].facts["model_versions"][0]
    assert row["training_content_hash"] == "da7a"
    assert row["code_commit"] == "c0ffee"
    assert row["trigger_reason"] == "first_version"
    assert row["arrays_sha256"] == trained_binary.arrays_sha256
    assert row["classes"] == ["false", "true"]
    assert row["fit_last_date"] < row["holdout_first_date"]
    path = registered["registry"].folder.parent / row["artifact_path"]
    assert not Path(row["artifact_path"]).is_absolute()
    assert file_sha256(path) == row["artifact_sha256"]


def test_a_loaded_version_scores_as_the_trained_one(registered, trained_binary):
    loaded = registered["registry"].load(registered["first"].facts["model_versions"][0])
    np.testing.assert_array_equal(
        predict(loaded, "binary", trained_binary.holdout),
        predict(trained_binary.pipeline, "binary", trained_binary.holdout),
    )


def test_a_nanny_is_a_file_of_its_own_that_is_loaded_under_the_same_checks(
    registered, trained_regression
):
    registry = registered["registry"]
    row = registered["regression"].facts["model_versions"][0]
    path = registry.folder.parent / row["nanny_artifact_path"]
    assert path.parent == (registry.folder.parent / row["artifact_path"]).parent
    assert file_sha256(path) == row["nanny_sha256"] != row["artifact_sha256"]
    nanny = registry.load_nanny(row)
    assert arrays_sha256(nanny) == arrays_sha256(trained_regression.nanny)
    with pytest.raises(ArtifactChanged, match="the nanny of progression version 1"):
        registry.load_nanny(row | {"nanny_sha256": "0" * 64})
    without = {"nanny_artifact_path": None, "nanny_sha256": None}
    assert registry.load_nanny(row | without) is None


def test_the_facts_hold_knots_and_the_reference_of_later_estimates(registered, trained_binary):
    facts = registered["first"].facts
    knots = facts["calibration_knots"]
    assert knots.num_rows == trained_binary.calibration_knots.num_rows > 1
    estimates = {
        row["metric"]: row["metric_value"]
        for row in facts["model_metrics"]
        if row["scorer"] == "estimate" and row["split"] == "holdout"
    }
    assert estimates == trained_binary.estimates.values
    errors = [row for row in facts["model_metrics"] if row["scorer"] == "estimate_error"]
    assert {row["metric"] for row in errors} == set(estimates)
    assert registered["regression"].facts["calibration_knots"].num_rows == 0


def test_mlflow_has_a_parent_run_and_a_child_for_each_candidate(registered, trained_binary):
    client = client_of(registered["registry"])
    row = registered["first"].facts["model_versions"][0]
    parent = client.get_run(row["mlflow_run_id"])
    children = client.search_runs(
        [parent.info.experiment_id], f"tags.mlflow.parentRunId = '{parent.info.run_id}'"
    )
    assert len(children) == len(trained_binary.candidates) == 6
    assert all("tune_log_loss" in child.data.metrics for child in children)
    assert sum(child.data.tags["is_winner"] == "true" for child in children) == 1
    assert parent.data.tags["training_content_hash"] == "da7a"
    assert parent.data.tags["feature_version"] == "1"
    assert "holdout_log_loss" in parent.data.metrics
    assert "baseline_holdout_log_loss" in parent.data.metrics
    pictures = {file.path for file in client.list_artifacts(row["mlflow_run_id"], "pictures")}
    assert pictures == {f"pictures/{name}" for name in trained_binary.pictures}


def test_mlflow_holds_signature_and_example_and_no_pickle(registered):
    row = registered["first"].facts["model_versions"][0]
    folder = (registered["registry"].folder.parent / row["artifact_path"]).parent
    files = {file.name for file in folder.iterdir()}
    assert {"model.skops", "MLmodel", "input_example.json"} <= files
    assert not any(name.endswith(".pkl") for name in files)
    assert "measure_05" in (folder / "MLmodel").read_text()


def test_aliases_mirror_the_roles_and_repairing_twice_changes_nothing(registered):
    registry = registered["registry"]
    client = client_of(registry)
    for _ in range(2):
        registry.mirror_roles("benign", {"champion": 1, "challenger": 2})
        assert client.get_registered_model("benign").aliases == {"champion": 1, "challenger": 2}
    registry.mirror_roles("benign", {"champion": 2, "predecessor": 1})
    assert client.get_registered_model("benign").aliases == {"champion": 2, "predecessor": 1}
    registry.mirror_roles("benign", {})
    assert client.get_registered_model("benign").aliases == {}


def test_an_alias_for_a_version_that_mlflow_lacks_is_refused(registered):
    with pytest.raises(RegistryNotReachable, match="not found"):
        registered["registry"].mirror_roles("benign", {"champion": 99})
    assert client_of(registered["registry"]).get_registered_model("benign").aliases == {}


def test_a_copied_state_folder_registers_into_itself(registered, trained_multiclass, tmp_path):
    original = registered["registry"].folder
    before = sorted(original.rglob("*.skops"))
    shutil.copytree(original, tmp_path / "copy" / "mlflow")
    copied = Registry(tmp_path / "copy" / "mlflow")
    row = register(copied, trained_multiclass).facts["model_versions"][0]
    assert row["model_version"] == 2
    assert copied.load(row)
    assert copied.load(registered["multiclass"].facts["model_versions"][0])
    assert sorted(original.rglob("*.skops")) == before
    client = client_of(copied)
    earlier = registered["multiclass"].facts["model_versions"][0]["mlflow_run_id"]
    assert str(copied.folder) in client.get_run(earlier).info.artifact_uri


@pytest.fixture
def artifact(registered, tmp_path):
    """Return a copy of an artifact, and its recorded hash."""
    row = registered["first"].facts["model_versions"][0]
    path = tmp_path / "model.skops"
    shutil.copy(registered["registry"].folder.parent / row["artifact_path"], path)
    return path, row["artifact_sha256"]


def test_a_tampered_artifact_is_not_loaded(artifact):
    path, sha256 = artifact
    with zipfile.ZipFile(path, "a") as file:
        file.writestr("note.txt", "harmless?")
    with pytest.raises(ArtifactChanged, match="changed after registration") as caught:
        load_artifact(path, sha256, "benign version 1")
    assert sha256 in str(caught.value)
    assert "benign version 1" in str(caught.value)


def test_a_missing_artifact_is_named(artifact):
    path, sha256 = artifact
    path.unlink()
    with pytest.raises(ArtifactChanged, match="is missing at"):
        load_artifact(path, sha256, "benign version 1")


def test_a_type_outside_the_allow_list_is_refused_even_with_the_right_hash(tmp_path):
    path = tmp_path / "model.skops"
    skops.io.dump(Pipeline([("call", FunctionTransformer(func=shutil.rmtree))]), path)
    with pytest.raises(ArtifactTypeRefused, match=r"holds shutil\.rmtree, not on the allow-list"):
        load_artifact(path, file_sha256(path), "benign version 1")


def test_a_corrupt_database_is_named_at_once_and_left_as_it_is(registry, trained_binary):
    database = registry.folder / "mlflow.db"
    database.write_bytes(b"this is no database" * 100)
    before = sorted(registry.folder.rglob("*"))
    with pytest.raises(RegistryNotReachable, match="file is not a database"):
        register(registry, trained_binary)
    with pytest.raises(RegistryNotReachable, match="Restore the folder"):
        registry.mirror_roles("benign", {"champion": 1})
    assert database.read_bytes() == b"this is no database" * 100
    assert sorted(registry.folder.rglob("*")) == before
