"""What was measured, as claims that hold or not, and as the README's table.

A claim is a measured figure with a limit: `at most` for errors, `at least` for what must be found.
"""

from __future__ import annotations

from typing import Any

from benchmarks.judgement.drift import peer_windows


def claims(found: dict[str, Any]) -> list[dict[str, Any]]:
    """Return every rate that has a limit, with its limit and whether it holds."""
    limits: list[tuple[str, float, float]] = []
    floors: list[tuple[str, float, float]] = []
    for name, rates in {"clustered by unit and day": found["a_a"], **found["a_a_others"]}.items():
        limit = rates["alpha"] + 3 * rates["monte_carlo_standard_error"]
        limits.append((f"A/A, {name}: falsely promoted", rates["false_promotion_share"], limit))
        limits.append((f"A/A, {name}: falsely proven", rates["primary_proven_share"], limit))
    alpha = found["a_a"]["alpha"]
    for row in found["power"]:
        if row["verdict"] == "promote" and row["gain"] < 0:
            limit = alpha + 3 * (alpha * (1 - alpha) / row["histories"]) ** 0.5
            limits.append((f"worse by {-row['gain']:.0%}: promoted", row["share"], limit))
        elif abs(row["gain"]) == max(abs(other["gain"]) for other in found["power"]):
            floors.append((f"{row['gain']:+.0%}: {row['verdict']}", row["share"], 0.8))
    for row in found["drift"]["rates"]:
        if row["shift"] is None:
            limit = 0.05 + 3 * row["monte_carlo_standard_error"]
            name = f"no drift, {row['window_rows']:,} of {row['reference_rows']:,} rows: alarms"
            limits.append((name, row["window_alarm_share"], limit))
        else:
            floors.append((f"{row['shift']}: found", row["detected_share"], 0.8))
    for name, difference in found["drift"]["agreement"].items():
        limits.append((f"same bins: {name}", difference, 1e-9))
    for row in found["estimates"]["concept_drift"]:
        name = f"{row['task']}, {row['metric']}, planted concept drift: the estimate moves by"
        limits.append((name, row["estimate_moved_at_most"], 1e-12))
        name = f"{row['task']}, {row['metric']}, planted concept drift: more windows alarm"
        limits.append((name, row["alarm_share_after"] - row["alarm_share_before"], 0.0))
    return [
        {"claim": name, "measured": measured, "at_most": limit, "holds": measured <= limit}
        for name, measured, limit in limits
    ] + [
        {"claim": name, "measured": measured, "at_least": floor, "holds": measured >= floor}
        for name, measured, floor in floors
    ]


def table(found: dict[str, Any]) -> str:
    """Return the README's tables as Markdown."""
    lines = [
        f"Seed {found['seed']}, commit `{found['code_commit'][:12]}`, size {found['size']}, "
        f"{found['seconds'] / 60:.0f} minutes. ± is the Monte Carlo error of a share that is truly "
        "alpha (5 %): small sizes scatter by three of them.",
        "",
        "| Equal versions, a look each period | histories | looks | falsely promoted | point "
        "comparison | repeated 5 % test | rows taken as independent |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, rates in {"clustered by unit and day": found["a_a"], **found["a_a_others"]}.items():
        error = rates["monte_carlo_standard_error"]
        shares = " | ".join(
            f"{rates[share]:.1%}"
            for share in ("point_comparison_share", "naive_repeated_share", "row_independent_share")
        )
        lines.append(
            f"| {name} | {rates['histories']:,} | {rates['looks']} | "
            f"**{rates['false_promotion_share']:.1%}** (± {error:.1%}) | {shares} |"
        )
    lines += [
        "",
        "| Planted difference | verdict | share of histories | windows it took (quartiles) |",
        "|---|---|---|---|",
    ]
    for row in found["power"]:
        taken = ", ".join(map(str, row["windows_quartiles"])) if row["windows_quartiles"] else "-"
        whose = "champion" if row["verdict"] == "rollback" else "challenger"
        lines.append(
            f"| {whose} {row['gain']:+.0%} | {row['verdict']} | {row['share']:.1%} | {taken} |"
        )
    lines += _drift_table(found["drift"]["rates"])
    return "\n".join(lines + _estimates_table(found["estimates"])) + "\n"


def _drift_table(rates: list[dict[str, Any]]) -> list[str]:
    lines = [
        "",
        "| Window, reference rows | planted | Weighhouse (of) | Evidently | NannyML | (of) |",
        "|---|---|---|---|---|---|",
    ]
    for row in rates:
        share = "detected_share" if row["shift"] else "window_alarm_share"
        peers = [
            f"{row['peers'][peer][share]:.1%}" if "peers" in row else "not run"
            for peer in ("evidently", "nannyml")
        ]
        what = row["shift"] or "nothing: windows with any of 10 features alarming"
        judged = peer_windows(row["window_rows"], row["windows"])
        lines.append(
            f"| {row['window_rows']:,}, {row['reference_rows']:,} | {what} | "
            f"**{row[share]:.1%}** ({row['windows']}) | {' | '.join(peers)} | {judged} |"
        )
    return lines


def _estimates_table(found: dict[str, Any]) -> list[str]:
    lines = [
        "",
        "| Estimated without labels | metric | windows | estimate off by | holdout off by | easy "
        "units gone: realised, estimate move | outcomes changed: realised, estimate move |",
        "|---|---|---|---|---|---|---|",
    ]
    planted = {
        name: {(row["task"], row["metric"]): row for row in found[name]}
        for name in ("covariate_shift", "concept_drift")
    }
    for row in found["replayed"]:
        moves = [
            f"{rows[row['task'], row['metric']]['realised_moved_by']:.3g}, "
            f"{rows[row['task'], row['metric']]['estimate_moved_by']:.3g}"
            for rows in planted.values()
        ]
        lines.append(
            f"| {row['task']} | {row['metric']} | {row['windows']} | {row['estimate_error']:.3g} | "
            f"{row['reference_error']:.3g} | {' | '.join(moves)} |"
        )
    return lines
