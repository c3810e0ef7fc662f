"""Trained versions that tests share, and one MLflow database that they copy."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from task_examples import CUT_OFF, binary_example, multiclass_example, regression_example

from models_ml.registry import Registry
from models_ml.training import train

# Folders have a conftest each, and collecting doctests would import them under one name.
collect_ignore = ["conftest.py"]


@pytest.fixture(scope="session")
def binary():
    return binary_example()


@pytest.fixture(scope="session")
def multiclass():
    return multiclass_example()


@pytest.fixture(scope="session")
def regression():
    return regression_example()


@pytest.fixture(scope="session")
def trained_binary(binary):
    return train(binary.task, binary.rows, 1, CUT_OFF)


@pytest.fixture(scope="session")
def trained_multiclass(multiclass):
    return train(multiclass.task, multiclass.rows, 1, CUT_OFF)


@pytest.fixture(scope="session")
def trained_regression(regression):
    return train(regression.task, regression.rows, 1, CUT_OFF)


@pytest.fixture(scope="session")
def mlflow_template(tmp_path_factory) -> Path:
    """An empty MLflow database; making one costs seconds, so tests copy it."""
    folder = tmp_path_factory.mktemp("template") / "mlflow"
    Registry(folder).mirror_roles("nobody", {})
    return folder


@pytest.fixture
def registry(mlflow_template, tmp_path):
    shutil.copytree(mlflow_template, tmp_path / "mlflow")
    return Registry(tmp_path / "mlflow")
