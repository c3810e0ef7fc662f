"""One page per task that a person would rather look at than read: static HTML, no network.

`write_page` reads the warehouse by SQL (`facts`), draws (`charts`), says it in words (`words`) and
fills `page.html.jinja`. Nothing is decided or computed here, and nothing reads what is written.
"""

from __future__ import annotations

import os
from functools import cache
from importlib.metadata import version
from itertools import groupby
from pathlib import Path
from typing import Any

import duckdb
import vl_convert
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from flows.pages import charts, words
from flows.pages.facts import read_facts
from flows.pages.monitored import HEAT_BANDS, NEWEST_WINDOWS
from warehouse.home import cache_folder, docs_folder

__all__ = ["page_address", "page_path", "write_page"]

Facts = dict[str, Any]

NEWEST_CHALLENGERS = 4  # comparisons that are drawn


def page_path(task: str) -> Path:
    """Return where the page of a task lies, written or not."""
    return docs_folder() / f"{task}.html"


def page_address(task: str) -> str:
    """Return where a browser finds the page: at the docs server of `make up`, or as a file."""
    served = os.environ.get("WEIGHHOUSE_DOCS_URL")
    return f"{served}{task}.html" if served else page_path(task).as_uri()


def write_page(connection: duckdb.DuckDBPyConnection, task: str) -> Path:
    """Write the page of a task, whatever the task has lived through.

    Parameters
    ----------
    connection : duckdb.DuckDBPyConnection
        The warehouse, with every SQL model built.
    task : str
        A declared task.

    Returns
    -------
    pathlib.Path
        `<task>.html` in the docs folder; an older page is replaced whole.
    """
    facts = read_facts(connection, task)
    page = _template().render(
        **facts,
        **_drawn(facts),
        heat_bands=HEAT_BANDS,
        newest_windows=NEWEST_WINDOWS,
        javascript=_javascript(),
    )
    target = page_path(task)
    _replace(target, page)
    return target


def _drawn(facts: Facts) -> dict[str, Any]:
    task, metric = facts["task"]["task"], facts["task"]["primary_metric"]
    comparisons = [
        _comparison(list(looks), facts["guardrails"], metric)
        for _, looks in groupby(facts["looks"], key=_pair)
    ]
    return {
        "quality_chart": charts.quality_chart(
            facts["quality"],
            facts["holdout"],
            facts["estimates"],
            metric,
            f"{metric} of {task} by window, realised and estimated, with intervals",
        )
        if facts["quality"]
        else None,
        "drift_chart": charts.drift_chart(
            facts["drift"],
            f"Drift of the score and of every feature of {task}, by window",
        )
        if facts["drift"]
        else None,
        "excepted_count": len({row["subject"] for row in facts["drift"] if row["is_excepted"]}),
        "has_domain": any(row["family"] == 1 for row in facts["drift"]),
        "comparisons": comparisons[:NEWEST_CHALLENGERS],
        "left_out_count": max(0, len(comparisons) - NEWEST_CHALLENGERS),
        "timeline_chart": charts.timeline_chart(
            facts["roles"],
            facts["acts"],
            f"Roles of the versions of {task}, trainings, promotions, rollbacks and rollouts",
        )
        if facts["acts"]
        else None,
        "rollout_chart": charts.rollout_chart(
            facts["rollout_history"],
            f"By how much the treatment is better in the outcome, period by period, of {task}",
        )
        if facts["rollout_history"]
        else None,
        "calibration_chart": charts.calibration_chart(
            facts["calibration"],
            facts["task"]["kind"],
            f"What happened against what was predicted, in bins, for the newest windows of {task}",
        )
        if facts["calibration"]
        else None,
    }


def _pair(row: dict[str, Any]) -> tuple[str, int, int]:
    return row["comparison"], row["champion_version"], row["challenger_version"]


def _comparison(looks: list[dict[str, Any]], guardrails: Any, metric: str) -> dict[str, Any]:  # noqa: ANN401
    first = looks[0]
    pair = f"version {first['challenger_version']} against version {first['champion_version']}"
    of_pair = [row for row in guardrails if _pair(row) == _pair(first)]
    return {
        "title": pair,
        "newest": looks[-1],
        "chart": charts.comparison_chart(
            looks, metric, f"By how much {pair} is better in {metric}, look by look"
        ),
        "guardrails": [
            {
                "metric": name,
                "chart": charts.guardrail_chart(
                    list(rows), f"By how much {pair} is better in the guardrail {name}"
                ),
            }
            for name, rows in groupby(of_pair, key=lambda row: row["metric"])
        ],
    }


def _javascript() -> Markup:
    """Return Vega's JavaScript for a script element. Bundling takes 1.5 s, so it is kept."""
    kept = cache_folder() / f"vega-{version('vl-convert-python')}.js"
    if not kept.exists():
        bundle = vl_convert.javascript_bundle()  # type: ignore[call-arg]  # the stub is too strict
        _replace(kept, bundle.replace("</script", "<\\/script"))
    return Markup(kept.read_text(encoding="utf-8"))  # noqa: S704  Vega's own code


def _replace(target: Path, text: str) -> None:
    aside = target.with_name(f"{target.name}.{os.getpid()}.aside")
    aside.write_text(text, encoding="utf-8")
    os.replace(aside, target)


@cache
def _template() -> Any:  # noqa: ANN401  as jinja2 gives it
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        check=words.check,
        day=words.day,
        finding=words.finding,
        number=words.number,
        reasons=words.reasons,
        verdict=words.verdict,
    )
    return environment.get_template("page.html.jinja")
