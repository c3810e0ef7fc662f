"""Who may import whom, and what only one module may touch: read from the code's own imports."""

import ast
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
PACKAGES = ("flows", "models_ml", "warehouse")


def imported_by(file: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
    return names


def files_of(package: str) -> list[Path]:
    return sorted((PROJECT / package).rglob("*.py"))


def importers(library: str) -> set[str]:
    return {
        str(file.relative_to(PROJECT))
        for package in PACKAGES
        for file in files_of(package)
        if any(name == library or name.startswith(f"{library}.") for name in imported_by(file))
    }


@pytest.mark.parametrize(
    ("package", "forbidden"),
    [
        ("models_ml", {"warehouse", "flows", "prefect", "dbt", "duckdb"}),
        ("warehouse", {"models_ml", "flows", "prefect", "dbt", "mlflow", "sklearn"}),
        ("flows", {"mlflow", "sklearn", "great_expectations"}),
    ],
)
def test_a_package_imports_only_what_lies_below_it(package: str, forbidden: set[str]) -> None:
    for file in files_of(package):
        roots = {name.split(".")[0] for name in imported_by(file)}
        assert not roots & forbidden, f"{file.relative_to(PROJECT)} imports {roots & forbidden}"


def test_only_the_registry_imports_mlflow() -> None:
    assert importers("mlflow") == {"models_ml/registry.py"}


def test_only_dbt_runs_calls_dbt() -> None:
    assert importers("dbt") == {"flows/dbt_runs.py"}


def test_great_expectations_stays_in_its_room() -> None:
    assert {str(Path(name).parent) for name in importers("great_expectations")} == {
        "warehouse/expectations"
    }


def test_only_the_connection_module_opens_a_database_file() -> None:
    openers = {
        str(file.relative_to(PROJECT))
        for package in PACKAGES
        for file in files_of(package)
        if "duckdb.connect(" in file.read_text()
    }
    assert openers == {"warehouse/connection.py"}


def test_nothing_is_pickled() -> None:
    assert not importers("pickle") | importers("joblib") | importers("cloudpickle")
