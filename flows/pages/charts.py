"""The charts of a task's page, as Vega-Lite specifications made with Altair.

Owns how facts are drawn. It must not read the warehouse, and it computes nothing: rows come ready
from `flows.pages.facts`. Colours are CSS variables of the page, so that one specification suits a
light screen, a dark one and paper.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import date
from typing import Any

import altair as alt

from flows.pages.monitored import HEAT_BANDS
from flows.pages.words import day, number, reasons

__all__ = [
    "calibration_chart",
    "comparison_chart",
    "drift_chart",
    "guardrail_chart",
    "quality_chart",
    "rollout_chart",
    "timeline_chart",
]

Rows = list[dict[str, Any]]
Spec = dict[str, Any]

CHAMPION, CHALLENGER, ESTIMATE = "var(--champion)", "var(--challenger)", "var(--estimate)"
INK, FAINT, BAD, GOOD = "var(--ink)", "var(--faint)", "var(--bad)", "var(--good)"
HEAT = [f"var(--heat-{band})" for band in range(len(HEAT_BANDS))]
ROLE_COLOURS = {
    "champion": CHAMPION,
    "challenger": CHALLENGER,
    "predecessor": FAINT,
}
WHO = {"model": "version", "baseline": "a guess without features, beside version"}
EDGE = alt.Scale(padding=10)  # pixels, so that the first mark stands clear of the axis
HEADROOM = alt.Scale(zero=False, padding=8)  # and the topmost line from the edge
LEAST_CELL, GREATEST_CELL, CELLS_WIDTH = 17, 30, 560  # pixels of the heat map


def _spec(chart: Any, description: str, **size: Any) -> Spec:  # noqa: ANN401  as Altair gives it
    drawn = chart.properties(background="transparent", description=description, **size)
    spec: Spec = drawn.to_dict()
    # The address of the schema is for editors; the page names no place outside itself.
    del spec["$schema"]
    return spec


def _with_rows(layers: list[alt.Chart]) -> list[alt.Chart]:
    # A layer without rows would stretch the scales to nothing.
    return [layer for layer in layers if layer.data["values"]]


def _data(rows: Iterable[dict[str, Any]]) -> dict[str, Any]:
    # A plain dict: Altair would check every row of its own data class against a schema.
    return {"values": [{k: _plain(v) for k, v in row.items()} for row in rows]}


def _plain(value: object) -> object:
    # Without a time zone JavaScript reads midnight of the reader's own day, whichever that is.
    return f"{value.isoformat()}T00:00:00" if isinstance(value, date) else value


def _dates(title: str | None = None) -> alt.Axis:
    return alt.Axis(
        title=title, format="%-d %b %Y", labelOverlap=True, tickCount=6, grid=False, labelFlush=40
    )


def _told(row: dict[str, Any], *parts: str) -> dict[str, Any]:
    return {**row, "told": "; ".join(part for part in parts if part)}


def _tooltip() -> alt.Tooltip:
    return alt.Tooltip("told:N", title="")


def quality_chart(
    quality: Rows, holdout: Rows, estimates: Rows, metric: str, description: str
) -> Spec:
    """Draw the primary metric by window: realised, estimated, and the holdout's lines."""
    realised = [
        _told(
            row,
            f"{day(row['as_of_date'])}: version {row['model_version']} as {row['role']}",
            f"{metric} {number(row['metric_value'])}",
            f"between {number(row['lower_bound'])} and {number(row['upper_bound'])}"
            if row["lower_bound"] is not None
            else "",
            f"{row['labelled_count']:,} of {row['row_count']:,} labels"
            + ("" if row["status"] == "ok" else f" ({row['status']})"),
        )
        for row in quality
        if row["metric_value"] is not None
    ]
    champions = [row for row in realised if row["role"] == "champion"]
    mature = [row for row in champions if row["status"] == "ok"]
    others = [row for row in realised if row["role"] != "champion" and row["status"] == "ok"]
    immature = [row for row in champions if row["status"] != "ok"]
    waiting = [
        _told(
            row,
            f"{day(row['as_of_date'])}: {row['row_count']:,} rows scored, waiting for labels",
        )
        for row in quality
        if row["metric_value"] is None and row["role"] == "champion"
    ]
    estimated = [
        _told(
            row,
            f"{day(row['as_of_date'])}: {metric} estimated without labels "
            f"({row['method'].upper()}) {number(row['estimated_value'])}",
            f"between {number(row['lower_bound'])} and {number(row['upper_bound'])}",
            f"on the reference {number(row['reference_value'])}",
            "alarm" if row["is_alarming"] else "",
        )
        for row in estimates
        if row["status"] == "ok"
    ]
    lines = [
        _told(
            row,
            f"{WHO[row['scorer']]} {row['model_version']} on its holdout: "
            f"{metric} {number(row['metric_value'])}",
        )
        for row in holdout
    ]
    x = alt.X("as_of_date:T", axis=_dates(), scale=EDGE)
    y = alt.Y("metric_value:Q", title=metric, scale=HEADROOM)
    bounds = {
        "y": alt.Y("lower_bound:Q", title=metric, scale=HEADROOM),
        "y2": alt.Y2("upper_bound:Q"),
    }
    layers = [
        alt.Chart(_data(lines))
        .mark_rule(clip=True)
        .encode(
            x=alt.X("first_date:T", axis=_dates(), scale=EDGE),
            x2="last_date:T",
            y=y,
            strokeDash=alt.StrokeDash(
                "scorer:N",
                scale=alt.Scale(domain=["model", "baseline"], range=[[6, 3], [1, 3]]),
                legend=None,
            ),
            color=alt.value(INK),
            opacity=alt.value(0.7),
            tooltip=_tooltip(),
        ),
        alt.Chart(_data(mature))
        .mark_area(color=CHAMPION, opacity=0.18)
        .encode(x=x, **bounds, detail="model_version:N"),
        alt.Chart(_data(others))
        .mark_line(color=CHALLENGER, strokeWidth=1.2, point={"color": CHALLENGER, "size": 14})
        .encode(x=x, y=y, detail="model_version:N", tooltip=_tooltip()),
        alt.Chart(_data(estimated))
        .mark_area(color=ESTIMATE, opacity=0.12)
        .encode(x=x, **bounds, detail="model_version:N"),
        alt.Chart(_data(estimated))
        .mark_line(color=ESTIMATE, strokeWidth=1.6, strokeDash=[4, 3])
        .encode(x=x, y=alt.Y("estimated_value:Q", title=metric), detail="model_version:N"),
        alt.Chart(_data(estimated))
        .mark_point(color=ESTIMATE, shape="diamond", size=26, filled=True, opacity=1)
        .encode(x=x, y=alt.Y("estimated_value:Q", title=metric), tooltip=_tooltip()),
        alt.Chart(_data(mature))
        .mark_line(color=CHAMPION, strokeWidth=2.2)
        .encode(x=x, y=y, detail="model_version:N"),
        alt.Chart(_data(mature))
        .mark_point(color=CHAMPION, filled=True, opacity=1, size=32)
        .encode(x=x, y=y, tooltip=_tooltip()),
        alt.Chart(_data(immature))
        .mark_point(color=CHAMPION, filled=False, opacity=1, size=36)
        .encode(x=x, y=y, tooltip=_tooltip()),
        alt.Chart(_data(waiting))
        .mark_tick(color=CHAMPION, orient="vertical", thickness=2, size=9)
        .encode(x=x, y=alt.value(286), tooltip=_tooltip()),
    ]
    return _spec(alt.layer(*_with_rows(layers)), description, width="container", height=290)


def drift_chart(drift: Rows, description: str) -> Spec:
    """Draw the heat map: a row per subject, a column per window, shaded by distance."""
    subjects = list(dict.fromkeys(row["subject"] for row in drift))
    excepted = {row["subject"] for row in drift if row["is_excepted"]}
    labels = {name: f"{name} °" if name in excepted else name for name in subjects}
    overall = sorted({row["subject"] for row in drift if row["family"] < 2})
    dates = sorted({row["as_of_date"] for row in drift})
    cells = [
        {
            **_told(
                row,
                f"{row['subject']}, {day(row['as_of_date'])}, version {row['model_version']}",
                f"{row['measure']} {number(row['distance'])}, "
                f"floor {number(row['least_distance'])}",
                row["reason_code"].replace("_", " "),
                f"{row['alarming_window_count']} of the last 5 windows alarmed"
                if row["alarming_window_count"]
                else "",
                f"{row['window_row_count']:,} rows" if row["window_row_count"] is not None else "",
            ),
            "label": labels[row["subject"]],
            "column": row["as_of_date"].isoformat(),
            "shade": "not judged" if row["heat"] is None else HEAT_BANDS[row["heat"]],
        }
        for row in drift
    ]
    kept = ("label", "column", "shade", "severity", "is_excepted", "told")
    data = _data({key: cell[key] for key in kept} for cell in cells)
    x = alt.X(
        "column:O",
        title=None,
        scale=alt.Scale(domain=[value.isoformat() for value in dates], padding=0),
        axis=alt.Axis(orient="top", labelAngle=-90, labelOverlap=True, domain=False, ticks=False),
    )
    y = alt.Y(
        "label:N",
        title=None,
        sort=[labels[name] for name in subjects],
        axis=alt.Axis(
            orient="right",  # beside the newest windows, which a narrow screen shows first
            labelLimit=alt.ExprRef("windowSize()[0] < 600 ? 170 : 340"),
            domain=False,
            ticks=False,
            labelFontWeight=alt.condition(
                f"indexof({json.dumps(overall)}, datum.value) >= 0",
                alt.value("bold"),
                alt.value("normal"),
            ),
        ),
    )
    base = alt.Chart(data).encode(x=x, y=y, tooltip=_tooltip())
    squares = base.mark_rect(stroke="var(--paper)", strokeWidth=1.5).encode(
        color=alt.Color(
            "shade:N",
            scale=alt.Scale(domain=[*HEAT_BANDS, "not judged"], range=[*HEAT, "var(--paper)"]),
            legend=None,
        ),
        opacity=alt.condition("datum.is_excepted", alt.value(0.25), alt.value(1)),
    )
    acts = base.transform_filter("datum.severity === 'act'").mark_point(
        shape="circle", fill=INK, stroke="var(--paper)", strokeWidth=1, size=44, opacity=1
    )
    warns = base.transform_filter("datum.severity === 'warn'").mark_point(
        shape="circle", fill="var(--paper)", stroke=INK, strokeWidth=1.5, size=34, opacity=1
    )
    return _spec(
        alt.layer(squares, acts, warns),
        description,
        width=alt.Step(min(GREATEST_CELL, max(LEAST_CELL, CELLS_WIDTH // len(dates)))),
        height=alt.Step(LEAST_CELL),
    )


def _look(row: dict[str, Any]) -> str:
    # Two lines of the axis; without the year, so that they stand side by side on a phone.
    return f"look {row['look_number']}, {row['as_of_date'].day} {row['as_of_date']:%b}"


def _lead_scale(looks: Rows) -> alt.Scale:
    """Return a scale in which the narrowest interval is readable, whatever the first looks are.

    With two independent blocks of dates an interval is thousands of times as wide as with three.
    """
    bounded = [row for row in looks if row["lower_bound"] is not None]
    if not bounded:
        return alt.Scale()
    narrowest = min((row["upper_bound"] - row["lower_bound"]) / 2 for row in bounded)
    reach = max(6 * narrowest, *(2 * abs(row["delta"]) for row in bounded))
    return alt.Scale(
        domain=[
            max(-reach, min(0.0, *(row["lower_bound"] for row in bounded))),
            min(reach, max(0.0, *(row["upper_bound"] for row in bounded))),
        ],
        nice=True,
    )


def comparison_chart(looks: Rows, metric: str, description: str) -> Spec:
    """Draw one challenger's lead by look, in its sequential interval, with what it had to reach."""
    rows = [
        {
            **_told(
                row,
                f"look {row['look_number']}, {day(row['as_of_date'])}: "
                f"better by {number(row['delta'])}",
                f"between {number(row['lower_bound'])} and {number(row['upper_bound'])}"
                if row["lower_bound"] is not None
                else "no interval",
                f"needed {number(row['boundary'])}" if row["boundary"] is not None else "",
                f"{row['row_count']:,} rows" if row["row_count"] is not None else "",
                f"{row['verdict'].replace('_', ' ')}: {reasons(row['reason_codes'])}",
            ),
            "look": _look(row),
        }
        for row in looks
    ]
    kept = ("look", "delta", "lower_bound", "upper_bound", "boundary", "verdict", "told")
    data = _data({key: row[key] for key in kept} for row in rows)
    x = alt.X(
        "look:O",
        title=None,
        sort=None,
        axis=alt.Axis(labelAngle=0, labelOverlap=True, labelExpr="split(datum.label, ', ')"),
        scale=alt.Scale(type="point", padding=0.6),
    )
    base = alt.Chart(data).encode(x=x)
    y: dict[str, Any] = {"title": f"better by ({metric})", "scale": _lead_scale(looks)}
    layers = [
        base.mark_area(color=CHALLENGER, opacity=0.14, clip=True).encode(
            y=alt.Y("lower_bound:Q", **y), y2="upper_bound:Q"
        ),
        base.mark_rule(color=CHALLENGER, strokeWidth=2, clip=True).encode(
            y=alt.Y("lower_bound:Q", **y), y2="upper_bound:Q", tooltip=_tooltip()
        ),
        base.mark_line(color=INK, strokeDash=[4, 3], strokeWidth=1.4, clip=True).encode(
            y=alt.Y("boundary:Q", **y)
        ),
        base.mark_line(color=CHALLENGER, strokeWidth=1.4).encode(y=alt.Y("delta:Q", **y)),
        base.mark_point(filled=True, size=70, opacity=1).encode(
            y=alt.Y("delta:Q", **y),
            color=alt.condition(
                "datum.verdict === 'promote' || datum.verdict === 'rollback'",
                alt.value(GOOD),
                alt.value(CHALLENGER),
            ),
            tooltip=_tooltip(),
        ),
        alt.Chart().mark_rule(color=INK, strokeWidth=1.2).encode(y=alt.datum(0)),
    ]
    return _spec(alt.layer(*layers, data=data), description, width="container", height=250)


def guardrail_chart(guardrails: Rows, description: str) -> Spec:
    """Draw one guardrail by look: the interval must stay above the dashed margin."""
    data = _data(
        {
            "look": _look(row),
            "delta": row["delta"],
            "lower_bound": row["lower_bound"],
            "upper_bound": row["upper_bound"],
            "threshold": row["threshold"],
            "is_passed": row["is_passed"],
            "told": f"look {row['look_number']}, {day(row['as_of_date'])}: "
            f"better by {number(row['delta'])}; between "
            f"{number(row['lower_bound'])} and {number(row['upper_bound'])}; margin "
            f"{number(row['threshold'])}; {'holds' if row['is_passed'] else 'does not hold'}",
        }
        for row in guardrails
    )
    x = alt.X(
        "look:O",
        title=None,
        sort=None,
        axis=alt.Axis(labelAngle=0, labelOverlap=True, labelExpr="split(datum.label, ', ')"),
        scale=alt.Scale(type="point", padding=0.6),
    )
    colour = alt.condition("datum.is_passed", alt.value(CHALLENGER), alt.value(BAD))
    base = alt.Chart(data).encode(x=x)
    title = "better by"
    layers = [
        base.mark_rule(strokeWidth=2).encode(
            y=alt.Y("lower_bound:Q", title=title),
            y2="upper_bound:Q",
            color=colour,
            tooltip=_tooltip(),
        ),
        base.mark_point(filled=True, size=50, opacity=1).encode(
            y=alt.Y("delta:Q", title=title), color=colour, tooltip=_tooltip()
        ),
        base.mark_rule(color=BAD, strokeDash=[4, 3]).encode(
            y=alt.Y("mean(threshold):Q", title=title), x=alt.value(0), x2=alt.value("width")
        ),
        alt.Chart().mark_rule(color=INK, strokeWidth=1).encode(y=alt.datum(0)),
    ]
    return _spec(alt.layer(*layers, data=data), description, width="container", height=150)


def timeline_chart(roles: Rows, acts: Rows, description: str) -> Spec:
    """Draw the versions' roles as bars and every act as a mark, on one time axis."""
    versions = sorted({row["model_version"] for row in (*roles, *acts)})
    spans = [
        {
            **_told(
                row,
                f"version {row['model_version']}: {row['role']} from {day(row['first_date'])}",
                "still" if row["is_open"] else f"to {day(row['last_date'])}",
            ),
            "version": f"v{row['model_version']}",
        }
        for row in roles
    ]
    marks = [
        {
            **_told(
                row,
                f"{day(row['acted_on_date'])}: {row['act']} of version {row['model_version']}",
                f"by {row['actor']}",
                reasons(row["reason"].split(", ")),
            ),
            "version": f"v{row['model_version']}",
            "kind": row["act"].split()[0],
        }
        for row in acts
    ]
    y = alt.Y(
        "version:N",
        title=None,
        sort=[f"v{version}" for version in versions],
        axis=alt.Axis(domain=False, ticks=False),
    )
    bars = (
        alt.Chart(_data(spans))
        .mark_bar(height=11, opacity=0.75, cornerRadius=2)
        .encode(
            x=alt.X("first_date:T", axis=_dates(), scale=EDGE),
            x2="last_date:T",
            y=y,
            color=alt.Color(
                "role:N",
                scale=alt.Scale(domain=list(ROLE_COLOURS), range=list(ROLE_COLOURS.values())),
                legend=None,
            ),
            tooltip=_tooltip(),
        )
    )
    points = (
        alt.Chart(_data(marks))
        .mark_point(filled=True, size=95, opacity=1, stroke="var(--paper)", strokeWidth=1)
        .encode(
            x=alt.X("acted_on_date:T", axis=_dates(), scale=EDGE),
            y=y,
            shape=alt.Shape(
                "kind:N",
                scale=alt.Scale(
                    domain=["training", "promote", "rollback", "override", "rollout"],
                    range=["circle", "triangle-up", "triangle-down", "diamond", "square"],
                ),
                legend=None,
            ),
            color=alt.value(INK),
            tooltip=_tooltip(),
        )
    )
    layers = _with_rows([bars, points])
    return _spec(alt.layer(*layers), description, width="container", height=34 * len(versions))


def calibration_chart(calibration: Rows, kind: str, description: str) -> Spec:
    """Draw what happened against what was predicted, by bin; the newest window stands out."""
    rows = [
        {
            **_told(
                row,
                f"{day(row['as_of_date'])}, bin {row['bin']}",
                f"predicted {number(row['mean_score'])}",
                f"happened {number(row['mean_label'])}",
                f"{row['row_count']:,} rows",
            ),
            "is_newest": row["window_rank"] == 1,
        }
        for row in calibration
    ]
    kept = (
        *("as_of_date", "mean_score", "mean_label", "lower_bound", "upper_bound"),
        *("is_newest", "told"),
    )
    data = _data({key: row[key] for key in kept} for row in rows)
    ends = [
        value
        for row in calibration
        for value in (row["mean_score"], row["mean_label"])
        if value is not None
    ]
    low, high = min(ends), max(ends)
    happened = "mean label" if kind == "regression" else "share that happened"
    x = alt.X(
        "mean_score:Q",
        title="mean score of the bin",
        scale=alt.Scale(zero=False),
        axis=alt.Axis(tickCount=6),
    )
    y = alt.Y("mean_label:Q", title=happened, scale=alt.Scale(zero=False))
    strength = alt.condition("datum.is_newest", alt.value(1), alt.value(0.3))
    base = alt.Chart(data).encode(x=x, opacity=strength)
    layers = [
        alt.Chart(_data([{"p": low}, {"p": high}]))
        .mark_line(color=INK, strokeDash=[4, 3], strokeWidth=1)
        .encode(x=alt.X("p:Q"), y=alt.Y("p:Q")),
        base.mark_rule(color=CHAMPION, clip=True).encode(
            y=alt.Y("lower_bound:Q", title=happened), y2="upper_bound:Q"
        ),
        base.mark_line(color=CHAMPION, strokeWidth=1.4).encode(y=y, detail="as_of_date:T"),
        base.mark_point(color=CHAMPION, filled=True, size=40).encode(y=y, tooltip=_tooltip()),
    ]
    return _spec(alt.layer(*layers), description, width="container", height=300)


def rollout_chart(history: Rows, description: str) -> Spec:
    """Draw by how much the treatment is better in the outcome, in its always-valid interval."""
    metric = history[0]["metric"]
    data = _data(
        {
            "as_of_date": row["as_of_date"],
            "lower_bound": row["lower_bound"],
            "upper_bound": row["upper_bound"],
            "told": f"{day(row['as_of_date'])}, coverage {row['coverage_share']:.0%}: "
            f"{metric} differs by {number(row['difference'])}; better by between "
            f"{number(row['lower_bound'])} and {number(row['upper_bound'])}; "
            f"{row['control_unit_count']:,} and {row['treatment_unit_count']:,} units; "
            f"{row['verdict'].replace('_', ' ')}: {reasons(row['reason_codes'])}",
        }
        for row in history
    )
    title = f"better by ({metric})"
    x = alt.X("as_of_date:T", axis=_dates(), scale=EDGE)
    base = alt.Chart(data).encode(x=x)
    ends = {"y": alt.Y("lower_bound:Q", title=title), "y2": alt.Y2("upper_bound:Q")}
    layers = [
        base.mark_area(color=CHALLENGER, opacity=0.14).encode(**ends),
        base.mark_rule(color=CHALLENGER, strokeWidth=2).encode(**ends, tooltip=_tooltip()),
        alt.Chart().mark_rule(color=INK, strokeWidth=1.2).encode(y=alt.datum(0)),
    ]
    return _spec(alt.layer(*layers, data=data), description, width="container", height=200)
