"""How often equal versions are promoted (A/A), and how soon better and worse ones are told apart.

Verdicts and checks are counted as the decision SQL left them. Beside them stands what simpler rules
would have done at the same looks with the same rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from benchmarks.judgement.histories import Histories, Plan
from benchmarks.judgement.scratch import Scratch

CHUNK = 100  # histories judged by one run of dbt
PLANNED = {"planned_looks": 8, "windows_per_look": 1}  # a look each period
UNPLANNED = {"planned_looks": 0}  # looks of unknown number: the always-valid interval

Progress = Callable[[str, int, int], None]

# At every look of a history: our verdict, and what three simpler rules say.
A_A = """
with differences as (
    select
        champion.task,
        champion.as_of_date,
        count(*) as n,
        sum(champion.{loss} - challenger.{loss}) as total,
        sum(pow(champion.{loss} - challenger.{loss}, 2)) as squares
    from intermediate.outcomes as champion
    inner join intermediate.outcomes as challenger using (task, as_of_date, unit_id)
    where champion.model_version = 1 and challenger.model_version = 2
    group by all
),
rows_as_if_independent as (
    select
        looks.task,
        looks.as_of_date,
        sum(total) / sum(n) as delta,
        sqrt((sum(squares) - pow(sum(total), 2) / sum(n)) / (sum(n) - 1) / sum(n)) as standard_error
    from intermediate.decide_looks as looks
    inner join differences
        on
            looks.task = differences.task
            and differences.as_of_date between looks.first_window_date and looks.last_window_date
    where looks.is_look and looks.comparison = 'challenger'
    group by looks.task, looks.as_of_date
),
looks as (
    select
        checks.task,
        checks.as_of_date,
        checks.is_passed,
        checks.delta,
        checks.delta > 1.6448536 * checks.standard_error as is_naively_proven,
        plain.delta > {half_width} as is_proven_by_rows
    from decisions.decide_checks as checks
    inner join intermediate.decide_looks as looks using (task, as_of_date, challenger_version)
    inner join rows_as_if_independent as plain using (task, as_of_date)
    where checks.check_name = 'primary'
)
select
    looks.task,
    count(*) as looks,
    bool_or(decided.verdict = 'promote') as is_promoted,
    bool_or(looks.is_passed) as is_proven,
    arg_min(looks.delta, looks.as_of_date) > 0 as is_ahead_at_first_look,
    bool_or(looks.is_naively_proven) as is_naively_proven,
    bool_or(looks.is_proven_by_rows) as is_proven_by_rows
from looks
inner join decisions.decide_champion as decided using (task, as_of_date)
group by looks.task
"""
SHARES = {
    "false_promotion_share": "is_promoted",
    "primary_proven_share": "is_proven",
    "point_comparison_share": "is_ahead_at_first_look",
    "naive_repeated_share": "is_naively_proven",
    "row_independent_share": "is_proven_by_rows",
}

FIRST_VERDICTS = """
select
    histories.task,
    min(decided.window_count) filter (where decided.verdict = '{verdict}') as windows
from (select distinct task from recorded.periods) as histories
inner join decisions.decide_champion as decided using (task)
where decided.comparison in ('challenger', 'predecessor')
group by histories.task
"""


def a_a(
    histories: Histories, plan: Plan, count: int, seed: int, progress: Progress
) -> dict[str, Any]:
    """Judge `count` histories of equal versions.

    Returns
    -------
    dict
        histories, looks (each), alpha, the shares of `SHARES` in [0, 1], and the Monte Carlo
        standard error of a share that is alpha.
    """
    rows = []
    for chunk in _chunks(histories, plan, count, seed, progress, name="A/A"):
        loss = "log_loss" if plan.like == "household_churn" else "absolute_error"
        rows += chunk.dicts(A_A.format(loss=loss, half_width=_half_width(histories, plan)))
        ((alpha,),) = chunk.execute("select distinct alpha from intermediate.task_policy")
    if len(rows) != count:
        raise RuntimeError(f"{count} histories were planted and {len(rows)} were judged")
    shares = {name: sum(row[column] for row in rows) / count for name, column in SHARES.items()}
    return {
        "histories": count,
        "looks": max(row["looks"] for row in rows),
        "alpha": alpha,
        **shares,
        "monte_carlo_standard_error": (alpha * (1 - alpha) / count) ** 0.5,
    }


def power(
    histories: Histories, plan: Plan, count: int, seed: int, progress: Progress
) -> dict[str, Any]:
    """Judge `count` histories in which version 2 is better or worse by `plan.gain`.

    Returns
    -------
    dict
        gain, histories, verdict (promote or rollback), share that reached it, and the quartiles of
        the windows it took (None when none did).
    """
    verdict = "rollback" if plan.is_promoted else "promote"
    name = f"{'champion' if plan.is_promoted else 'challenger'} {plan.gain:+.0%}"
    rows = []
    for chunk in _chunks(histories, plan, count, seed, progress, name=name):
        rows += chunk.dicts(FIRST_VERDICTS.format(verdict=verdict))
    if len(rows) != count:
        raise RuntimeError(f"{count} histories were planted and {len(rows)} were judged")
    taken = sorted(row["windows"] for row in rows if row["windows"] is not None)
    share = len(taken) / count
    return {
        "gain": plan.gain,
        "histories": count,
        "verdict": verdict,
        "share": share,
        "monte_carlo_standard_error": (share * (1 - share) / count) ** 0.5,
        "windows_quartiles": [taken[len(taken) * part // 4] for part in (1, 2, 3)]
        if taken
        else None,
    }


def _chunks(
    histories: Histories, plan: Plan, count: int, seed: int, progress: Progress, *, name: str
) -> Iterator[Scratch]:
    for first in range(0, count, CHUNK):
        progress(name, first, count)
        histories.judge(plan, first, min(CHUNK, count - first), seed)
        yield histories.scratch
    progress(name, count, count)


def _half_width(histories: Histories, plan: Plan) -> str:
    """Return the look's half-width with the standard error of independent rows, as SQL."""
    if plan.rules.get("planned_looks") != 0:
        return "looks.boundary_z * plain.standard_error"
    return histories.scratch.compiled(
        "{{ always_valid_half_width('plain.standard_error', 'looks.planned_standard_error',"
        " two_sided_level('looks.alpha')) }}"
    )
