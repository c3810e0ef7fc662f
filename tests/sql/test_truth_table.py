"""The whole policy as a truth table: each check in each state, through the real decision SQL.

Every cell is a task of its own, planted where the policy reads: the look, the paired comparisons,
the samples and the facts of a version. All cells are judged in one pass. Only the cell in which
every check holds may promote or roll back.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from math import nan
from typing import Any

import pytest

DAY = date(2013, 5, 17)
NAN, NULL = nan, None
PRIMARY, GUARDRAIL = "absolute_error", "squared_error"
SLICE = "origin=EWR"

# What the tables hold when everything holds. The champion's errors are 20 and 900.
COMPARISON = {
    "champion_value": 20.0,
    "challenger_value": 19.0,
    "delta": 1.0,
    "row_count": 910,
    "valid_row_count": 910,
    "positive_count": 0,
    "negative_count": 0,
    "cluster_count": 110,
    "cluster_standard_error": 0.01,
    "date_count": 7,
    "date_standard_error": 0.01,
    "cell_count": 840,
    "cell_standard_error": 0.01,
}
SAMPLE = {
    "row_count": 910,
    "labelled_count": 910,
    "cluster_count": 110,
    "champion_bias": 0.5,
    "challenger_bias": 0.5,
    "label_standard_deviation": 30.0,
    "manifest_row_count": 910,
    "unequal_window_count": 0,
    "certified_window_count": 7,
    "uncertified_window_count": 0,
    "scored_window_count": 7,
    "rows_fingerprint": "1",
}
LOOK = {
    "first_window_date": date(2013, 5, 9),
    "last_window_date": date(2013, 5, 15),
    "window_count": 7,
    "look_number": 1,
    "is_look": True,
    "challenger_count": 1,
    "alpha": 0.05,
}
METHODS = {
    "group_sequential": {"planned_looks": 4, "information_share": 0.25, "boundary_z": 3.75},
    "always_valid": {"planned_looks": 0, "planned_standard_error": 0.05},
}
ROW = (PRIMARY, "all")
Broken = Mapping[str, Any]


@dataclass(frozen=True)
class Cell:
    """One question: what differs from the case in which all holds, and what must come out."""

    name: str
    comparison: str
    verdicts: tuple[str, ...]
    reason: str | None = None
    method: str = "group_sequential"
    look: Broken = field(default_factory=dict)
    rows: Mapping[tuple[str, str], Broken | None] = field(default_factory=dict)  # None: no row
    sample: Broken | None = field(default_factory=dict)
    checks: str | None = None  # SQL that changes decide_checks between its build and the verdict
    metrics: Mapping[tuple[str, str], float | None] = field(default_factory=dict)
    certificate: bool | None = True


UNDECIDED = ("no_decision",)
HELD = ("hold",)


def challenger_cells(method: str) -> Iterator[Cell]:
    """Each check of a challenger, in each state that its numbers can be in."""

    def cell(name: str, verdicts: tuple[str, ...], reason: str | None, **broken: Any) -> Cell:
        return Cell(f"{method}: {name}", "challenger", verdicts, reason, method, **broken)

    def rows(key: tuple[str, str], **values: Any) -> dict[str, Any]:
        return {"rows": {key: values}}

    yield cell("all hold", ("promote",), "challenger_better")
    guardrail, in_slice = (GUARDRAIL, "all"), (PRIMARY, SLICE)
    unclear = {"cluster_standard_error": 20.0, "date_standard_error": 20.0}
    yield cell("primary fails", HELD, "not_proven_better", **rows(ROW, delta=0.0))
    yield cell(
        "guardrail fails", HELD, "guardrail_not_proven", **rows(guardrail, delta=-1.0, **unclear)
    )
    yield cell("deterioration fails", HELD, "metric_worse", **rows(guardrail, delta=-1.0))
    yield cell("slice fails", HELD, "slice_worse", **rows(in_slice, delta=-5.0, **unclear))
    for name, key in [("primary", ROW), ("guardrail", guardrail), ("slice", in_slice)]:
        absent = "slice_missing" if name == "slice" else "metric_missing"
        for value in (NAN, NULL, float("inf")):
            yield cell(f"{name} {value}", UNDECIDED, absent, **rows(key, delta=value))
            error = rows(key, date_standard_error=value)
            yield cell(f"{name} error {value}", UNDECIDED, "no_standard_error", **error)
        few = rows(key, cluster_count=1, cluster_standard_error=NULL)
        yield cell(f"{name} insufficient", UNDECIDED, "no_standard_error", **few)
        broken = rows(key, valid_row_count=909)
        yield cell(f"{name} with a broken row", UNDECIDED, absent, **broken)
        reason = "slice_missing" if name == "slice" else "check_missing"
        yield cell(f"{name} missing", UNDECIDED, reason, rows={key: None})
    small = rows(in_slice, row_count=99, valid_row_count=99)
    yield cell("slice with too few rows", UNDECIDED, "slice_missing", **small)
    no_proof = {"boundary_z": NULL, "planned_standard_error": NULL}
    yield cell("no boundary", UNDECIDED, "no_boundary", look=no_proof)
    for value in (NAN, float("inf")):
        sized = {key: value for key in METHODS[method] if key in no_proof}
        yield cell(f"boundary {value}", UNDECIDED, "no_standard_error", look=sized)
    for name, reason, values in [
        ("row_count fails", "too_few_rows", {"labelled_count": 499, "row_count": 499}),
        ("row_count NULL", "too_few_rows", {"labelled_count": NULL}),
        ("cluster_count fails", "too_few_clusters", {"cluster_count": 99}),
        ("cluster_count NULL", "too_few_clusters", {"cluster_count": NULL}),
        ("coverage fails", "low_coverage", {"labelled_count": 800}),
        ("coverage NULL", "low_coverage", {"row_count": NULL}),
        ("coverage of nothing", "low_coverage", {"row_count": 0}),
        ("scoring fails", "scoring_incomplete", {"manifest_row_count": 911}),
        ("scoring unequal", "scoring_incomplete", {"unequal_window_count": 1}),
        ("scoring of fewer windows", "scoring_incomplete", {"scored_window_count": 6}),
        ("scoring NULL", "scoring_incomplete", {"manifest_row_count": NULL}),
        ("calibration NaN", "metric_missing", {"challenger_bias": NAN}),
        ("calibration NULL", "metric_missing", {"challenger_bias": NULL}),
        ("calibration without a base", "metric_missing", {"champion_bias": NAN}),
        ("calibration without a scale", "metric_missing", {"label_standard_deviation": NULL}),
        (
            "parity missing",
            "parity_not_proven",
            {"certified_window_count": 6, "uncertified_window_count": 1},
        ),
        (
            "parity NULL",
            "parity_not_proven",
            {"uncertified_window_count": 7} | dict.fromkeys(["certified_window_count"]),
        ),
    ]:
        yield cell(name, UNDECIDED, reason, sample=values)
    biased = {"challenger_bias": -3.6}
    yield cell("calibration fails", HELD, "miscalibrated", sample=biased)
    refuted = {"certified_window_count": 6}
    yield cell("parity fails", HELD, "parity_not_proven", sample=refuted)
    yield cell("sample missing", UNDECIDED, "check_missing", sample=None)
    for name in (
        *("primary", "guardrail", "deterioration", "slice", "row_count", "cluster_count"),
        *("coverage", "scoring", "calibration", "parity_certificate"),
    ):
        these = f"check_name = '{name}'"
        for state, sql in {
            "not written": f"delete from decisions.decide_checks where {these}",
            "is_passed NULL": f"update decisions.decide_checks set is_passed = null where {these}",
            "refused": f"update decisions.decide_checks set is_passed = false where {these}",
            "refused, without saying that it counts": "update decisions.decide_checks set is_passed"
            f" = false, is_required = null, status = null where {these}",
        }.items():
            held = state == "refused"
            yield cell(f"{name} {state}", HELD if held else UNDECIDED, None, checks=sql)


def predecessor_cells(method: str) -> Iterator[Cell]:
    """The predecessor is the one compared: better beyond the margin means a rollback."""

    def cell(name: str, verdicts: tuple[str, ...], reason: str | None, **broken: Any) -> Cell:
        return Cell(f"{method}: back, {name}", "predecessor", verdicts, reason, method, **broken)

    guardrail = (GUARDRAIL, "all")
    even = {"delta": 0.0}
    yield cell("both proven", ("rollback",), "primary_worse")
    yield cell("primary proven", ("rollback",), "primary_worse", rows={guardrail: even})
    yield cell("guardrail proven", ("rollback",), "guardrail_breached", rows={ROW: even})
    neither = {ROW: even, guardrail: even}
    yield cell("neither proven", HELD, "predecessor_not_better", rows=neither)
    worse = {ROW: {"delta": -1.0}}
    yield cell("predecessor worse in the primary", HELD, "metric_worse", rows=worse)
    within = {ROW: {"delta": 0.15}, guardrail: even}
    yield cell("a loss within the margin", HELD, "predecessor_not_better", rows=within)
    for value in (NAN, NULL, float("inf")):
        for key in (ROW, guardrail):
            broken = {key: {"delta": value}}
            yield cell(f"{key[0]} {value}", UNDECIDED, "metric_missing", rows=broken)
    yield cell("primary missing", UNDECIDED, "check_missing", rows={ROW: None})
    for name, reason, values in [
        ("row_count fails", "too_few_rows", {"labelled_count": 499, "row_count": 499}),
        ("cluster_count fails", "too_few_clusters", {"cluster_count": 99}),
        ("coverage NULL", "low_coverage", {"row_count": NULL}),
        ("scoring fails", "scoring_incomplete", {"manifest_row_count": 911}),
    ]:
        yield cell(name, UNDECIDED, reason, sample=values)
    yield cell("sample missing", UNDECIDED, "check_missing", sample=None)
    no_proof = {"boundary_z": NULL, "planned_standard_error": NULL, "alpha": NULL}
    yield cell("no boundary", HELD, "no_boundary", look=no_proof)


def first_version_cells() -> Iterator[Cell]:
    """A first version against the baseline that ignores the features."""

    def cell(name: str, verdicts: tuple[str, ...], reason: str, **broken: Any) -> Cell:
        return Cell(f"first: {name}", "first_version", verdicts, reason, **broken)

    yield cell("all hold", ("promote",), "first_version")
    for metric in (PRIMARY, GUARDRAIL):
        equal = {("model", metric): 1000.0, ("baseline", metric): 1000.0}
        yield cell(f"{metric} fails", HELD, "worse_than_baseline", metrics=equal)
        for scorer in ("model", "baseline"):
            name = f"{scorer} {metric}"
            for value in (NAN, NULL, float("inf")):
                broken = {(scorer, metric): value}
                yield cell(f"{name} {value}", UNDECIDED, "metric_missing", metrics=broken)
    yield cell("parity fails", HELD, "parity_not_proven", certificate=False)
    yield cell("parity missing", UNDECIDED, "parity_not_proven", certificate=None)
    for name in ("baseline", "parity_certificate"):
        sql = f"delete from decisions.decide_checks where check_name = '{name}'"
        yield cell(f"{name} not written", UNDECIDED, "check_missing", checks=sql)


CELLS = {
    cell.name: cell
    for cells in (
        challenger_cells("group_sequential"),
        challenger_cells("always_valid"),
        predecessor_cells("group_sequential"),
        predecessor_cells("always_valid"),
        first_version_cells(),
    )
    for cell in cells
}


def plant_declarations(warehouse: Any) -> None:
    """Declare a regression task for each cell, with the policy of flight_delay."""
    names = list(CELLS)
    warehouse.execute(
        f"""
        create temp table cells as select name from planted;
        insert into intermediate.declared_tasks
            select name, 'regression', 1, 2, 1, '{PRIMARY}', 'feat_flight' from cells;
        insert into intermediate.declared_metrics
            select name, metric, metric = '{PRIMARY}' from cells
            cross join unnest(['{PRIMARY}', '{GUARDRAIL}']) as metrics (metric);
        insert into intermediate.declared_guardrails select name, '{GUARDRAIL}', 10 from cells;
        insert into intermediate.declared_slices select name, 'origin' from cells;
        insert into intermediate.task_policy
            select policy.* replace (cells.name as task) from cells
            cross join intermediate.task_policy as policy where policy.task = 'flight_delay';
        """,
        planted={"name": names},
    )


def plant_versions(warehouse: Any, tasks: list[str]) -> None:
    """Register version 2 of some tasks; every column without a default is filled with its like."""
    described = warehouse.execute("describe recorded.model_versions")
    fillers = {"VARCHAR": "x", "DATE": DAY, "TIMESTAMP": DAY}
    facts = {
        name: fillers.get(column_type, 2)
        for name, column_type, null, *_ in described
        if null == "NO"
    }
    warehouse.insert("recorded.model_versions", [facts | {"task": task} for task in tasks])


def plant(warehouse: Any) -> None:
    """Plant what the policy reads about every cell."""
    looks, rows, samples, metrics, certificates, versions = [], [], [], [], [], []
    for name, cell in CELLS.items():
        key = {"task": name, "as_of_date": DAY, "challenger_version": 2}
        if cell.comparison == "first_version":
            looks.append(
                key
                | {"comparison": cell.comparison, "is_look": True, "look_number": 0}
                | {"window_count": 0, "challenger_count": 1, "planned_looks": 4}
                | {"sequential_method": cell.method}
            )
            versions.append(name)
            values = {
                ("model", PRIMARY): 19.0,
                ("model", GUARDRAIL): 890.0,
                ("baseline", PRIMARY): 20.0,
                ("baseline", GUARDRAIL): 900.0,
            } | dict(cell.metrics)
            if cell.certificate is not None:
                certificates.append({"task": name, "is_equal": cell.certificate})
        else:
            planned = LOOK | METHODS[cell.method] | dict(cell.look)
            kind = {"comparison": cell.comparison, "champion_version": 1}
            looks.append(key | kind | {"sequential_method": cell.method} | planned)
            values = {("champion", PRIMARY): 20.0, ("champion", GUARDRAIL): 900.0}
            if cell.method == "always_valid" and "no boundary" in name:
                values = {}
            for metric, part in [ROW, (GUARDRAIL, "all"), (PRIMARY, SLICE)]:
                broken = cell.rows.get((metric, part), {})
                scale = {"delta": 30.0} if metric == GUARDRAIL else {}
                if broken is not None:
                    about = {"metric": metric, "slice": part}
                    rows.append(key | about | COMPARISON | scale | dict(broken))
            if cell.sample is not None:
                samples.append(key | SAMPLE | dict(cell.sample))
        for (scorer, metric), value in values.items():
            if value is not None:
                about = {"task": name, "split": "holdout", "metric": metric, "metric_value": value}
                version = 1 if scorer == "champion" else 2
                kind = "model" if scorer == "champion" else scorer
                metrics.append(about | {"scorer": kind, "model_version": version})
    every_column = dict.fromkeys(name for look in looks for name in look)
    warehouse.insert("intermediate.decide_looks", [every_column | look for look in looks])
    warehouse.insert("intermediate.paired_comparisons", rows)
    warehouse.insert("intermediate.judged_samples", samples)
    warehouse.insert("recorded.model_metrics", metrics)
    plant_versions(warehouse, versions)
    of_engine = {"model_version": 2, "engine": "python", "compared_row_count": 100}
    measured = {"mismatch_count": 0, "max_absolute_difference": 0.0, "max_ulps": 0}
    warehouse.insert(
        "recorded.parity_certificates", [row | of_engine | measured for row in certificates]
    )


@pytest.fixture(scope="module")
def judged(warehouse_file: Any) -> dict[str, dict[str, Any]]:
    """The decision of every cell, all judged in one pass."""
    warehouse = warehouse_file
    warehouse.clear()
    warehouse.dbt("seed", "--select", "policy", "sequential_boundaries")
    losses = "log_loss double, brier_score double, absolute_error double, squared_error double"
    warehouse.execute(
        f"""
        create schema intermediate;
        create table intermediate.outcomes (
            task varchar, unit_id varchar, cluster_id varchar, as_of_date date,
            matured_on_date date, model_version integer, role varchar, kind varchar,
            score double, label_value double, label_class varchar, label_known_at date,
            {losses}, error_rate double, slices varchar[]
        );
        """
    )
    warehouse.dbt("run", "--select", "+decide_champion,path:models/decisions")
    plant_declarations(warehouse)
    plant(warehouse)
    warehouse.dbt("run", "--select", "decide_checks")
    for name, cell in CELLS.items():
        if cell.checks is not None:
            warehouse.execute(f"{cell.checks} and task = '{name}'")
    warehouse.dbt("run", "--select", "decide_champion")
    rows = warehouse.dicts("select * from decisions.decide_champion")
    return {row["task"]: row for row in rows}


@pytest.mark.parametrize("name", CELLS)
def test_only_when_every_check_holds_something_is_done(
    judged: dict[str, dict[str, Any]], name: str
) -> None:
    cell, row = CELLS[name], judged[name]
    assert row["verdict"] in cell.verdicts, row
    if cell.reason is not None:
        assert cell.reason in row["reason_codes"]


def test_every_cell_is_judged_and_only_the_whole_ones_act(
    judged: dict[str, dict[str, Any]],
) -> None:
    assert set(judged) == set(CELLS)
    acting = {name for name, row in judged.items() if row["verdict"] in ("promote", "rollback")}
    assert acting == {
        name for name, cell in CELLS.items() if set(cell.verdicts) <= {"promote", "rollback"}
    }
