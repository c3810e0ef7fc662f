"""How often a window without drift raises an alarm, and how often planted shifts are found.

Rows are drawn, described by the project's own reference profile, counted as the project counts
them, and judged by the real SQL model `mon_feature_drift`. The same rows go to Evidently and
NannyML, when they are asked for.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.judgement.scratch import Scratch
from models_ml.profile import reference_bins, reference_values

TASK = "household_churn"
FIRST_DAY = date(2017, 1, 1)
REFERENCE_ROWS = 9_000
PEER_WINDOWS, PEER_ROWS = 100, 1_000_000  # what the peers get of each case: they are slow
SAMPLE_ROWS = 20_000
KINDS = {
    "normal": "numeric",
    "heavy_tailed": "numeric",
    "few_values": "numeric",
    "zero_inflated": "numeric",
    "two_humps": "numeric",
    "partly_missing": "numeric",
    "boolean": "boolean",
    "four_categories": "categorical",
    "forty_categories": "categorical",
    "rarely_missing_category": "categorical",
}

Change = Callable[[dict[str, Any], np.random.Generator], None]


def peer_windows(window_rows: int, count: int) -> int:
    """Return how many of `count` windows the peers judge: so many, or so many rows, at most."""
    return min(count, PEER_WINDOWS, PEER_ROWS // window_rows)


def draw(rows: int, rng: np.random.Generator) -> dict[str, Any]:
    """Draw rows of every feature, independent of each other; None is missing."""
    labels = np.array([f"c{number:02d}" for number in range(40)])
    weights = 1 / np.arange(1, 41)
    humps = np.where(rng.random(rows) < 0.3, rng.normal(6, 1, rows), rng.normal(0, 1, rows))
    partly = _three_digits(rng.normal(100, 15, rows)).astype(object)
    partly[rng.random(rows) < 0.1] = None
    rarely = rng.choice(["a", "b", "c"], rows, p=[0.5, 0.3, 0.2]).astype(object)
    rarely[rng.random(rows) < 0.02] = None
    return {
        "normal": _three_digits(rng.normal(size=rows)),
        "heavy_tailed": _three_digits(np.exp(1.5 * rng.normal(size=rows))),
        "few_values": rng.poisson(2, rows).astype(float),
        "zero_inflated": _three_digits(
            np.where(rng.random(rows) < 0.6, 0.0, rng.exponential(10, rows))
        ),
        "two_humps": _three_digits(humps),
        "partly_missing": partly,
        "boolean": rng.random(rows) < 0.2,
        "four_categories": rng.choice(list("wxyz"), rows, p=[0.4, 0.3, 0.2, 0.1]).astype(object),
        "forty_categories": rng.choice(labels, rows, p=weights / weights.sum()).astype(object),
        "rarely_missing_category": rarely,
    }


def _three_digits(values: np.ndarray) -> np.ndarray:
    return np.round(values, 3)


def _moved(columns: dict[str, Any], rng: np.random.Generator) -> None:
    columns["normal"] = _three_digits(columns["normal"] + 0.5)


def _widened(columns: dict[str, Any], rng: np.random.Generator) -> None:
    columns["normal"] = _three_digits(columns["normal"] * 1.6)


def _scaled(columns: dict[str, Any], rng: np.random.Generator) -> None:
    columns["heavy_tailed"] = _three_digits(columns["heavy_tailed"] * 2)


def _lost(columns: dict[str, Any], rng: np.random.Generator) -> None:
    chosen = rng.random(len(columns["partly_missing"])) < 0.1
    columns["partly_missing"] = np.where(chosen, None, columns["partly_missing"])


def _mixed(columns: dict[str, Any], rng: np.random.Generator) -> None:
    rows = len(columns["four_categories"])
    columns["four_categories"] = rng.choice(list("wxyz"), rows, p=[0.2, 0.3, 0.2, 0.3]).astype(
        object
    )


def _new(columns: dict[str, Any], rng: np.random.Generator) -> None:
    chosen = rng.random(len(columns["four_categories"])) < 0.03
    columns["four_categories"] = np.where(chosen, "new", columns["four_categories"])


SHIFTS: dict[str, tuple[Change, str]] = {
    "mean moved by 0.5 sd": (_moved, "normal"),
    "spread times 1.6": (_widened, "normal"),
    "heavy-tailed values doubled": (_scaled, "heavy_tailed"),
    "10 % more missing": (_lost, "partly_missing"),
    "category shares moved by 0.2": (_mixed, "four_categories"),
    "3 % in a new category": (_new, "four_categories"),
}


def table(columns: dict[str, Any]) -> pa.Table:
    """Return drawn columns as the Arrow table that the profile takes."""
    types = {"numeric": pa.float64(), "boolean": pa.bool_(), "categorical": pa.string()}
    return pa.table({name: pa.array(columns[name], types[kind]) for name, kind in KINDS.items()})


class Windows:
    """Plants references and windows, and lets the real SQL model judge them.

    Parameters
    ----------
    scratch : Scratch
    peers : Path or None
        Folder in which the same rows are left for Evidently and NannyML.
    """

    def __init__(self, scratch: Scratch, peers: Path | None) -> None:
        self.scratch, self.peers = scratch, peers

    def judge(
        self, name: str, kinds: dict[str, str], reference: pa.Table, windows: list[pa.Table]
    ) -> list[dict[str, Any]]:
        """Return the rows of `mon_feature_drift` for windows of one size."""
        scratch = self.scratch
        scratch.clear()
        scratch.dbt("seed", "drift_thresholds", "drift_exceptions")
        version = {"task": TASK, "model_version": 1}
        bins = reference_bins(reference, kinds, reference.slice(0, 0))
        scratch.insert("recorded.reference_bins", bins, **version)
        if set(kinds.values()) != {"categorical"}:
            sample = reference_values(reference.slice(0, SAMPLE_ROWS), kinds)
            scratch.insert("recorded.reference_values", sample, **version)
        scratch.execute(f"create schema if not exists intermediate; {VALUES}")
        days = [FIRST_DAY + timedelta(days=number) for number in range(len(windows))]
        for day, rows in zip(days, windows, strict=True):
            scratch.insert(
                f"intermediate.values_{TASK}",
                _counts(rows, kinds),
                **version,
                as_of_date=day,
                scoring_epoch=1,
            )
        scratch.insert(
            "recorded.scoring_runs",
            {"as_of_date": days, "scoring_run_id": [str(day) for day in days]},
            **version,
            role="champion",
            epoch=1,
            row_count=windows[0].num_rows,
            input_fingerprint="planted",
            engine="python",
            model_sha256="planted",
            scoring_seconds=1.0,
            rows_per_second=1.0,
            peak_memory_bytes=1,
        )
        scratch.dbt("run", "mon_feature_drift")
        if self.peers is not None:
            self.peers.mkdir(parents=True, exist_ok=True)
            judged = peer_windows(windows[0].num_rows, len(windows))
            pq.write_table(reference, self.peers / f"{name}.reference.parquet")
            numbered = [
                rows.append_column("window", pa.array([number] * rows.num_rows))
                for number, rows in enumerate(windows[:judged])
            ]
            pq.write_table(pa.concat_tables(numbered), self.peers / f"{name}.windows.parquet")
        return scratch.dicts(
            "select * from monitoring.mon_feature_drift order by as_of_date, feature"
        )


def rates(
    windows: Windows,
    window_rows: int,
    count: int,
    seed: int,
    *,
    reference_rows: int,
    shift: str | None,
) -> dict[str, Any]:
    """Judge `count` windows of `window_rows` rows, with one planted shift or none.

    Returns
    -------
    dict
        Ours: the share of features, and of windows with any feature, that alarmed; the share of
        windows (from the fifth on) with a feature at `act`; with a shift, the share of windows in
        which the shifted feature alarmed. `case`: the name under which peers find the same rows.
    """
    planted = (shift or "none").replace(" ", "-").replace("%", "percent")
    name = f"{reference_rows}-{window_rows}-{planted}"
    rng = np.random.default_rng([seed, window_rows, *name.encode()])
    reference = table(draw(reference_rows, rng))
    drawn = []
    for _ in range(count):
        columns = draw(window_rows, rng)
        if shift is not None:
            SHIFTS[shift][0](columns, rng)
        drawn.append(table(columns))
    rows = windows.judge(name, KINDS, reference, drawn)
    if len(rows) != count * len(KINDS):
        raise RuntimeError(
            f"{name}: {len(rows)} verdicts on {count} windows of {len(KINDS)} features"
        )
    alarms: dict[date, dict[str, bool]] = {}
    acts: dict[date, bool] = {}
    for row in rows:
        alarms.setdefault(row["as_of_date"], {})[row["feature"]] = bool(row["is_alarming"])
        acts[row["as_of_date"]] = acts.get(row["as_of_date"], False) or row["severity"] == "act"
    found = {
        "case": name,
        "reference_rows": reference_rows,
        "window_rows": window_rows,
        "windows": count,
        "shift": shift,
        **_shares(list(alarms.values()), SHIFTS[shift][1] if shift else None),
        "act_share": sum([acts[day] for day in sorted(acts)][4:]) / max(1, count - 4),
    }
    found["monte_carlo_standard_error"] = (0.05 * 0.95 / count) ** 0.5
    return found


def _shares(alarms: list[dict[str, bool]], shifted: str | None) -> dict[str, float]:
    """Alarm shares of a list of windows, each a verdict by feature."""
    count = len(alarms)
    shares = {
        "feature_alarm_share": sum(sum(one.values()) for one in alarms) / count / len(alarms[0]),
        "window_alarm_share": sum(any(one.values()) for one in alarms) / count,
    }
    if shifted is not None:
        shares["detected_share"] = sum(one[shifted] for one in alarms) / count
        others = [value for one in alarms for name, value in one.items() if name != shifted]
        shares["feature_alarm_share"] = sum(others) / len(others)
        del shares["window_alarm_share"]
    return shares


def agreement(windows: Windows, seed: int) -> list[dict[str, Any]]:
    """Judge columns that hold bins as categories, so that every package has the same bins.

    Returns
    -------
    list of dict
        One per window and column: our PSI, distances and largest difference.
    """
    rng = np.random.default_rng([seed, 1])
    kinds = {"deciles": "categorical", "few": "categorical"}

    def rows(count: int, moved: float) -> pa.Table:
        deciles = np.clip(np.floor(10 * (rng.random(count) ** (1 + moved))), 0, 9).astype(int)
        few = rng.choice(list("abcd"), count, p=[0.4, 0.3 + moved / 10, 0.2, 0.1 - moved / 10])
        return pa.table({"deciles": [f"bin {one}" for one in deciles], "few": few.astype(object)})

    reference = rows(REFERENCE_ROWS, 0.0)
    judged = windows.judge("bins", kinds, reference, [rows(2_000, 0.05 * n) for n in range(8)])
    wanted = (
        "feature",
        "psi",
        "jensen_shannon_distance",
        "hellinger_distance",
        "largest_difference",
    )
    return [{name: row[name] for name in wanted} for row in judged]


def largest_differences(
    ours: list[dict[str, Any]], judged: list[dict[str, Any]] | None
) -> dict[str, float]:
    """Return by how much our statistics differ at most from the peers' on the same bins.

    Evidently's PSI is left out: it fills empty bins where ours adds half a row to each. NannyML's
    Jensen-Shannon distance has base 2, ours is in nats.
    """
    base_2 = math.sqrt(math.log(2))
    pairs = {
        "Jensen-Shannon, Evidently": ("jensen_shannon_distance", "evidently", "jensenshannon", 1),
        "Jensen-Shannon, NannyML": ("jensen_shannon_distance", "nannyml", "jensen_shannon", base_2),
        "Hellinger, NannyML": ("hellinger_distance", "nannyml", "hellinger", 1),
        "largest difference, NannyML": ("largest_difference", "nannyml", "l_infinity", 1),
    }
    if judged is None:
        return {}
    theirs = [(name, window) for window in judged for name in sorted(window["evidently"])]
    return {
        pair: max(
            abs(row[column] - window[peer][row["feature"]][statistic] * unit)
            for row, (_, window) in zip(ours, theirs, strict=True)
        )
        for pair, (column, peer, statistic, unit) in pairs.items()
    }


def ask_peers(folder: Path, environment: Path, requirements: Path) -> dict[str, Any]:
    """Make an environment with Evidently and NannyML, and let them judge what lies in `folder`."""
    uv = str(Path(sys.executable).with_name("uv"))
    python = str(environment / "bin" / "python")
    for command in (
        [uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(environment)],
        [uv, "pip", "install", "--quiet", "--python", python, "--requirement", str(requirements)],
        [python, str(Path(__file__).with_name("peers.py")), str(folder)],
    ):
        subprocess.run(command, check=True, env=os.environ | {"NML_DISABLE_USAGE_LOGGING": "1"})
    return json.loads((folder / "peers.json").read_text())


def peer_shares(judged: list[dict[str, Any]], shift: str | None) -> dict[str, dict[str, float]]:
    """Return each peer's alarm shares on the windows of a case."""
    changed = SHIFTS[shift][1] if shift else None
    return {
        peer: _shares([window[peer] for window in judged], changed)
        for peer in ("evidently", "nannyml")
    }


def _counts(rows: pa.Table, kinds: dict[str, str]) -> pa.Table:
    """Count the distinct values of every column: the rows of `values_<task>`."""
    parts = []
    for name, kind in kinds.items():
        counted = rows.column(name).combine_chunks().value_counts()
        values, counts = counted.field("values"), counted.field("counts")
        is_text = kind == "categorical"
        empty = pa.nulls(len(values))
        parts.append(
            pa.table(
                {
                    "column_name": pa.array([name] * len(values)),
                    "column_kind": pa.array(
                        ["categorical" if is_text else "numeric"] * len(values)
                    ),
                    "value_number": empty.cast(pa.float64())
                    if is_text
                    else values.cast(pa.int8() if kind == "boolean" else pa.float64()).cast(
                        pa.float64()
                    ),
                    "value_category": values.cast(pa.string())
                    if is_text
                    else empty.cast(pa.string()),
                    "row_count": counts,
                }
            )
        )
    return pa.concat_tables(parts)


VALUES = "; ".join(
    f"""
    create table intermediate.values_{task} (
        task varchar, model_version integer, as_of_date date, scoring_epoch bigint,
        column_name varchar, column_kind varchar, value_number double, value_category varchar,
        row_count bigint
    )
    """
    for task in ("household_churn", "flight_delay")
)
