"""Great Expectations' context: where results are stored, and the Data Docs made of them.

One context per folder and process. Its configuration is code, so no second one lies in a file; its
analytics and progress bars are off.
"""

# ruff: noqa: PLC0415  (Great Expectations takes seconds to import: only what judges imports it)
# ruff: noqa: ANN401  (its objects are of types that only its import gives)

import os
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from warehouse.expectations.judgement import Judgement

__all__ = ["build_data_docs", "context", "great_expectations", "store"]

SITE = "data_docs"
NEWEST_PAGES = 40


def build_data_docs(folder: Path) -> str:
    """Build the pages of the newest results, and the index of all pages.

    A page takes a tenth of a second, so of a long replay only the last ones get one; all
    judgements are rows of recorded.validations.

    Returns
    -------
    str
        The address of the index page.
    """
    data_context = context(folder)
    results = data_context.validation_results_store
    pages = folder / SITE / "validations"
    built = {path.relative_to(pages).with_suffix("") for path in pages.rglob("*.html")}
    newest = sorted(results.list_keys(), key=lambda key: key.run_id.run_time)[-NEWEST_PAGES:]
    new = [key for key in newest if Path(*key.to_tuple()) not in built]
    index = folder / SITE / "index.html"
    if new or not index.exists():
        data_context.build_data_docs(site_names=[SITE], resource_identifiers=new)
    return index.absolute().as_uri()


@cache
def great_expectations() -> Any:
    """Return the package Great Expectations, imported at the first call."""
    os.environ["GX_ANALYTICS_ENABLED"] = "false"
    import great_expectations as package

    return package


@cache
def context(folder: Path) -> Any:
    """Return a context whose stores are files, but whose configuration is this function."""
    package = great_expectations()
    from great_expectations.data_context.types.base import DataContextConfig, ProgressBarsConfig

    def files(name: str) -> dict[str, Any]:
        return {
            "class_name": "TupleFilesystemStoreBackend",
            "base_directory": str((folder / name).absolute()),
        }

    stores = {
        "expectations": "ExpectationsStore",
        "validations": "ValidationResultsStore",
        "checkpoints": "CheckpointStore",
        "validation_definition_store": "ValidationDefinitionStore",
    }
    config = DataContextConfig(
        stores={
            name: {"class_name": kind, "store_backend": files(name)}
            for name, kind in stores.items()
        },
        expectations_store_name="expectations",
        validation_results_store_name="validations",
        checkpoint_store_name="checkpoints",
        data_docs_sites={
            SITE: {
                "class_name": "SiteBuilder",
                "show_how_to_buttons": False,
                "store_backend": files(SITE),
                "site_index_builder": {"class_name": "DefaultSiteIndexBuilder"},
            }
        },
        analytics_enabled=False,
        progress_bars=ProgressBarsConfig(globally=False),
    )
    return package.get_context(mode="ephemeral", project_config=config)


def store(results: Sequence[Any], judgement: Judgement, folder: Path) -> None:
    """Store the results of a judgement, for Data Docs."""
    from great_expectations.core import RunIdentifier
    from great_expectations.core.expectation_validation_result import (
        ExpectationSuiteValidationResult,
    )
    from great_expectations.data_context.types.resource_identifiers import (
        ExpectationSuiteIdentifier,
        ValidationResultIdentifier,
    )

    suite = f"{judgement.border}.{judgement.subject}"
    run_id = RunIdentifier(run_name=str(judgement.as_of_date), run_time=datetime.now(UTC))
    failed = sum(not result.success for result in results)
    stored = ExpectationSuiteValidationResult(
        suite_name=suite,
        success=judgement.success,
        results=list(results),
        statistics={
            "evaluated_expectations": len(results),
            "successful_expectations": len(results) - failed,
            "unsuccessful_expectations": failed,
            "success_percent": 100.0 * (len(results) - failed) / len(results),
        },
        meta={
            "great_expectations_version": great_expectations().__version__,
            "run_id": run_id,
            "active_batch_definition": {
                "datasource_name": "warehouse",
                "data_connector_name": judgement.border,
                "data_asset_name": judgement.subject,
                "batch_identifiers": {"as_of_date": str(judgement.as_of_date)},
            },
            "batch_markers": {},
            "batch_spec": {},
        },
        batch_id=str(judgement.as_of_date),
    )
    key = ValidationResultIdentifier(
        expectation_suite_identifier=ExpectationSuiteIdentifier(suite),
        run_id=run_id,
        batch_identifier=str(judgement.as_of_date),
    )
    context(folder).validation_results_store.set(key, stored)
