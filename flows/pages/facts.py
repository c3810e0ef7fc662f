"""What a task's page shows, read from the warehouse by SQL.

Owns the queries. Every number comes from a SQL model or a recorded fact; nothing is computed here
but the ends of an interval and which rows are the newest. It must not know how anything is drawn.
"""

from __future__ import annotations

import math
from datetime import date
from decimal import Decimal
from typing import Any

import duckdb

__all__ = ["HEAT_BANDS", "NEWEST_CHALLENGERS", "NEWEST_WINDOWS", "read_facts"]

Rows = list[dict[str, Any]]

NEWEST_PERIODS = 8  # rows of the headline's table
NEWEST_WINDOWS = 60  # columns of the heat map
NEWEST_CHALLENGERS = 4  # comparisons that are drawn
NEWEST_CALIBRATIONS = 4  # windows of the calibration chart

# How far a distance lies from its floor, the least value that counts: the heat map's five shades.
HEAT_BANDS = (
    "less than half its floor",
    "below its floor",
    "1 to 2 floors",
    "2 to 4 floors",
    "more than 4 floors",
)

TASK = """
    select
        declared.*,
        (
            select max(as_of_date) from decisions.decide_champion where task = $task
        ) as judged_date,
        (
            select min(as_of_date) from recorded.scoring_runs where task = $task
        ) as first_scored_date,
        (
            select max(as_of_date) from recorded.scoring_runs where task = $task
        ) as last_scored_date
    from intermediate.declared_tasks as declared
    where declared.task = $task
"""

CHAMPION = """
    select
        roles.model_version,
        roles.valid_from_date,
        versions.* exclude (task, model_version),
        acts.act,
        acts.actor,
        acts.reason,
        acts.previous_version,
        acts.decision_id
    from decisions.model_roles as roles
    inner join recorded.model_versions as versions using (task, model_version)
    inner join recorded.promotions as acts
        on
            roles.task = acts.task
            and roles.model_version = acts.model_version
            and roles.valid_from_date = acts.effective_from_date
    where roles.task = $task and roles.role = 'champion' and roles.valid_to_date is null
    order by acts.act_number desc
    limit 1
"""

VERDICTS = """
    select *
    from decisions.decide_champion
    where
        task = $task
        and as_of_date = (select max(as_of_date) from decisions.decide_champion where task = $task)
    order by challenger_version
"""

RETRAIN = """
    select *
    from decisions.decide_retrain
    where task = $task
    order by as_of_date desc
    limit 1
"""

# What asks for a training or a rollback in the newest period, and what says that it does not know.
SIGNALS = """
    select signal, action, status, is_firing, sentence
    from decisions.decide_signals
    where
        task = $task
        and as_of_date = (select max(as_of_date) from decisions.decide_signals where task = $task)
    order by is_firing desc, status <> 'ok' desc, signal
"""

# When the next look is due: at how many mature windows, and on which date if no period is left out.
NEXT_LOOKS = """
    with
    questions as (
        select *
        from decisions.decide_champion
        where
            task = $task
            and comparison in ('challenger', 'predecessor')
            and as_of_date = (
                select max(as_of_date) from decisions.decide_champion where task = $task
            )
    ),
    taken as (
        select
            questions.challenger_version,
            coalesce(max(looks.look_number), 0) as look_count
        from questions
        left join decisions.decide_champion as looks
            on
                questions.task = looks.task
                and questions.challenger_version = looks.challenger_version
                and questions.champion_version = looks.champion_version
                and questions.comparison = looks.comparison
        group by questions.challenger_version
    ),
    scored as (
        select
            questions.challenger_version,
            min(runs.as_of_date) as first_window_date
        from questions
        inner join recorded.scoring_runs as runs
            on
                questions.task = runs.task
                and questions.challenger_version = runs.model_version
                and questions.comparison = runs.role
        inner join recorded.scoring_runs as champions
            on
                questions.task = champions.task
                and questions.champion_version = champions.model_version
                and runs.as_of_date = champions.as_of_date
                and champions.role = 'champion'
        group by questions.challenger_version
    ),
    needed as (
        select
            questions.comparison,
            questions.champion_version,
            questions.challenger_version,
            questions.window_count,
            questions.planned_looks,
            questions.as_of_date,
            taken.look_count,
            scored.first_window_date,
            policy.planned_looks = 0 as is_open_ended,
            case
                when policy.planned_looks = 0
                    then greatest(policy.first_look_windows, questions.window_count + 1)
                when taken.look_count < policy.planned_looks
                    then policy.first_look_windows + taken.look_count * policy.windows_per_look
            end as needed_window_count
        from questions
        inner join taken using (challenger_version)
        left join scored using (challenger_version)
        inner join intermediate.task_policy as policy using (task)
    )
    select
        needed.*,
        cast(
            needed.first_window_date
            + (needed.needed_window_count - 1) * declared.cadence_days + declared.horizon_days
            as date
        ) as expected_date
    from needed
    inner join intermediate.declared_tasks as declared on declared.task = $task
    order by needed.challenger_version
"""

PERIODS = f"""
    with
    scored as (
        select
            as_of_date,
            max(row_count) filter (where role = 'champion') as row_count,
            string_agg(
                'v' || model_version || ' ' || role, ', '
                order by role = 'champion' desc, role, model_version
            ) as scored_by
        from monitoring.mon_scoring_runs
        where task = $task and is_current
        group by as_of_date
    ),
    drift as (
        select
            as_of_date,
            count(*) filter (where status = 'ok') as judged_count,
            count(*) filter (where severity = 'warn') as warn_count,
            count(*) filter (where severity = 'act') as act_count
        from monitoring.mon_feature_drift
        where task = $task and role = 'champion'
        group by as_of_date
    )
    select
        scored.*,
        drift.judged_count,
        drift.warn_count,
        drift.act_count
    from scored
    left join drift using (as_of_date)
    order by as_of_date desc
    limit {NEWEST_PERIODS}
"""

PERIOD_VERDICTS = """
    select as_of_date, challenger_version, verdict, reason_codes
    from decisions.decide_champion
    where task = $task
    order by as_of_date, challenger_version
"""

# A window that was scored and has no figure yet is shown as waiting, not left out.
QUALITY = """
    with
    judged as (
        select
            *,
            row_number() over (
                partition by model_version, as_of_date
                order by judged_as_of_date desc
            ) as judged_rank
        from monitoring.mon_quality
        where task = $task and slice = 'all' and metric = $primary_metric
    )
    select
        scored.model_version,
        scored.role,
        scored.as_of_date,
        coalesce(judged.status, 'waiting') as status,
        judged.metric_value,
        judged.metric_value - 1.96 * judged.standard_error as lower_bound,
        judged.metric_value + 1.96 * judged.standard_error as upper_bound,
        scored.row_count,
        coalesce(judged.labelled_count, 0) as labelled_count,
        judged.judged_as_of_date
    from monitoring.mon_scoring_runs as scored
    left join judged
        on
            scored.model_version = judged.model_version
            and scored.as_of_date = judged.as_of_date
            and judged.judged_rank = 1
    where scored.task = $task and scored.is_current
    order by scored.as_of_date, scored.model_version
"""

# The champion's own holdout figure and that of the baseline, over the days that it was champion.
HOLDOUT = """
    select
        roles.model_version,
        metrics.scorer,
        metrics.metric_value,
        roles.valid_from_date as first_date,
        least(
            coalesce(roles.valid_to_date, date '9999-12-31'),
            (select max(as_of_date) from recorded.scoring_runs where task = $task)
        ) as last_date
    from decisions.model_roles as roles
    inner join recorded.model_metrics as metrics using (task, model_version)
    where
        roles.task = $task
        and roles.role = 'champion'
        and metrics.split = 'holdout'
        and metrics.scorer in ('model', 'baseline')
        and metrics.metric = $primary_metric
        and roles.valid_from_date
        <= (select max(as_of_date) from recorded.scoring_runs where task = $task)
    order by roles.valid_from_date, metrics.scorer
"""

ESTIMATES = """
    select
        model_version,
        as_of_date,
        method,
        estimated_value,
        lower_bound,
        upper_bound,
        reference_value,
        is_alarming,
        alarming_window_count,
        status,
        realised_value
    from monitoring.mon_estimated_quality
    where task = $task and role = 'champion' and metric = $primary_metric
    order by as_of_date
"""

DRIFT = f"""
    with
    windows as (
        select distinct as_of_date
        from recorded.scoring_runs
        where task = $task and role = 'champion'
        order by as_of_date desc
        limit {NEWEST_WINDOWS}
    ),
    floors as (
        select
            max(threshold_value) filter (where name = 'psi_warn') as psi_warn,
            max(threshold_value) filter (where name = 'domain_auc') as domain_auc
        from policy.drift_thresholds
    ),
    importances as (
        select feature, importance
        from recorded.feature_importances
        where
            task = $task
            and model_version = (
                select max(model_version) from monitoring.mon_feature_drift
                where
                    task = $task
                    and role = 'champion'
                    and as_of_date = (select max(as_of_date) from windows)
            )
    ),
    subjects as (
        select
            0 as family,
            'the score itself' as subject,
            cast(null as double) as importance,
            model_version,
            as_of_date,
            status,
            severity,
            reason_code,
            alarming_window_count,
            'PSI' as measure,
            psi as distance,
            greatest(psi_null_quantile, floors.psi_warn) as least_distance,
            window_row_count
        from monitoring.mon_score_drift
        cross join floors
        where task = $task and role = 'champion'

        union all

        select
            1 as family,
            'all features together' as subject,
            cast(null as double) as importance,
            model_version,
            as_of_date,
            status,
            severity,
            reason_code,
            alarming_window_count,
            'AUC above 0.5' as measure,
            greatest(roc_auc - 0.5, 0) as distance,
            floors.domain_auc - 0.5 as least_distance,
            window_row_count
        from monitoring.mon_domain_drift
        cross join floors
        where task = $task and role = 'champion'

        union all

        select
            2 as family,
            drift.feature as subject,
            importances.importance,
            drift.model_version,
            drift.as_of_date,
            drift.status,
            drift.severity,
            drift.reason_code,
            drift.alarming_window_count,
            'PSI' as measure,
            drift.psi as distance,
            greatest(drift.psi_null_quantile, floors.psi_warn) as least_distance,
            drift.window_row_count
        from monitoring.mon_feature_drift as drift
        cross join floors
        left join importances using (feature)
        where drift.task = $task and drift.role = 'champion'
    )
    select
        subjects.*,
        subjects.reason_code = 'excepted' as is_excepted,
        case
            when subjects.status <> 'ok' then null
            when not coalesce(isfinite(subjects.distance), false) then null
            when subjects.distance < 0.5 * subjects.least_distance then 0
            when subjects.distance < subjects.least_distance then 1
            when subjects.distance < 2 * subjects.least_distance then 2
            when subjects.distance < 4 * subjects.least_distance then 3
            else 4
        end as heat
    from subjects
    inner join windows using (as_of_date)
    order by
        subjects.family,
        subjects.importance desc nulls last,
        subjects.subject,
        subjects.as_of_date
"""

LOOKS = """
    select
        comparison,
        champion_version,
        challenger_version,
        as_of_date,
        look_number,
        planned_looks,
        primary_metric as metric,
        champion_value,
        challenger_value,
        primary_delta as delta,
        primary_lower_bound as lower_bound,
        primary_upper_bound as upper_bound,
        critical_value * primary_standard_error as boundary,
        alpha,
        row_count,
        verdict,
        reason_codes
    from decisions.decide_champion
    where
        task = $task
        and look_number is not null
        and primary_delta is not null
        and comparison in ('challenger', 'predecessor')
    order by challenger_version desc, champion_version desc, as_of_date
"""

GUARDRAILS = """
    select
        decisions.comparison,
        decisions.champion_version,
        checks.challenger_version,
        checks.as_of_date,
        decisions.look_number,
        checks.metric,
        checks.champion_value,
        checks.challenger_value,
        checks.delta,
        checks.lower_bound,
        checks.upper_bound,
        checks.threshold,
        checks.is_passed
    from decisions.decide_checks as checks
    inner join decisions.decide_champion as decisions using (task, as_of_date, challenger_version)
    where
        checks.task = $task
        and checks.check_name in ('guardrail', 'rollback_guardrail')
        and checks.delta is not null
    order by checks.challenger_version desc, checks.metric, checks.as_of_date
"""

ROLES = """
    select
        model_version,
        role,
        valid_from_date as first_date,
        least(
            coalesce(valid_to_date, date '9999-12-31'),
            (select max(as_of_date) from recorded.scoring_runs where task = $task)
        ) as last_date,
        valid_to_date is null as is_open
    from decisions.model_roles
    where
        task = $task
        and valid_from_date
        <= (select max(as_of_date) from recorded.scoring_runs where task = $task)
    order by model_version, valid_from_date
"""

ACTS = """
    select
        cut_off_date as acted_on_date,
        model_version,
        'training' as act,
        trigger_reason as reason,
        'policy' as actor
    from recorded.model_versions
    where task = $task

    union all

    select effective_from_date, model_version, act, reason, actor
    from recorded.promotions
    where task = $task

    union all

    select
        acts.effective_from_date,
        rollouts.treatment_version,
        'rollout ' || acts.act,
        'coverage ' || round(100 * acts.coverage_share) || ' %: ' || acts.reason,
        acts.actor
    from recorded.rollout_acts as acts
    inner join recorded.rollouts as rollouts using (rollout_id)
    where rollouts.task = $task
    order by acted_on_date, model_version, act
"""

# The newest decision for which checks were made; most periods lie between two looks.
CHECKED = """
    select decisions.*
    from decisions.decide_champion as decisions
    where
        decisions.task = $task
        and exists (
            select 1
            from decisions.decide_checks as checks
            where
                checks.task = decisions.task
                and checks.as_of_date = decisions.as_of_date
                and checks.challenger_version = decisions.challenger_version
        )
    order by decisions.as_of_date desc, decisions.challenger_version
    limit 1
"""

CHECKS = """
    select
        check_name,
        metric,
        slice,
        is_required,
        is_passed,
        status,
        sentence,
        check_name = 'slice' and not is_required as is_small_slice
    from decisions.decide_checks
    where task = $task and as_of_date = $as_of_date and challenger_version = $challenger_version
    order by
        list_position(
            [
                'primary', 'rollback_primary', 'baseline', 'guardrail', 'rollback_guardrail',
                'deterioration', 'slice', 'calibration'
            ],
            check_name
        ) nulls last,
        check_name,
        metric,
        slice
"""

CALIBRATION = f"""
    with
    judged as (
        select
            calibration.*,
            dense_rank() over (order by calibration.as_of_date desc) as window_rank,
            dense_rank() over (
                partition by calibration.as_of_date
                order by calibration.judged_as_of_date desc
            ) as judged_rank
        from monitoring.mon_calibration as calibration
        inner join monitoring.mon_scoring_runs as scored
            on
                calibration.task = scored.task
                and calibration.model_version = scored.model_version
                and calibration.as_of_date = scored.as_of_date
                and scored.role = 'champion'
                and scored.is_current
        where calibration.task = $task and calibration.status = 'ok'
    )
    select
        model_version,
        as_of_date,
        bin,
        row_count,
        mean_score,
        mean_label,
        mean_label - 1.96 * standard_error as lower_bound,
        mean_label + 1.96 * standard_error as upper_bound,
        window_rank
    from judged
    where window_rank <= {NEWEST_CALIBRATIONS} and judged_rank = 1
    order by as_of_date, bin
"""

# The newest rollout, its last act, and its newest judgement.
ROLLOUT = """
    select
        rollouts.rollout_id,
        rollouts.purpose,
        rollouts.control_version,
        rollouts.treatment_version,
        acts.act,
        acts.effective_from_date,
        acts.coverage_share,
        acts.actor,
        acts.reason,
        judged.as_of_date,
        judged.verdict,
        judged.reason_codes
    from recorded.rollouts as rollouts
    inner join recorded.rollout_acts as acts using (rollout_id)
    left join decisions.decide_rollout as judged using (rollout_id)
    where rollouts.task = $task
    order by
        rollouts.as_of_date desc,
        rollouts.rollout_id desc,
        acts.act_number desc,
        judged.as_of_date desc
    limit 1
"""

# What the outcome says, period by period.
ROLLOUT_HISTORY = """
    select
        as_of_date,
        coverage_share,
        metric,
        cuped_difference as difference,
        lower_bound,
        upper_bound,
        control_unit_count,
        treatment_unit_count,
        verdict,
        reason_codes
    from decisions.decide_rollout
    where rollout_id = $rollout_id and lower_bound is not null
    order by as_of_date
"""

ROLLOUT_CHECKS = """
    select is_passed, status, sentence
    from decisions.decide_rollout_checks
    where rollout_id = $rollout_id and as_of_date = $as_of_date
    order by sentence
"""


def _rows(connection: duckdb.DuckDBPyConnection, sql: str, **parameters: object) -> Rows:
    used = {name: value for name, value in parameters.items() if f"${name}" in sql}
    result = connection.execute(sql, used)
    names = [column[0] for column in result.description]
    return [
        {name: _shown(value) for name, value in zip(names, row, strict=True)}
        for row in result.fetchall()
    ]


def _shown(value: object) -> object:
    # JSON knows no decimals, no NaN and no infinity; what is not a number is shown as not known.
    if isinstance(value, Decimal):
        value = float(value)
    return None if isinstance(value, float) and not math.isfinite(value) else value


def read_facts(connection: duckdb.DuckDBPyConnection, task: str) -> dict[str, Any]:
    """Read all that the page of a task shows.

    Parameters
    ----------
    connection : duckdb.DuckDBPyConnection
        The warehouse, with every SQL model built (its tables may be empty).
    task : str
        A declared task.

    Returns
    -------
    dict of str to object
        `task`: the declared row and the dates reached; `champion`, `retrain`, `checked`, `rollout`:
        one row or None; the others: lists of rows, each a dict by column.

    Raises
    ------
    LookupError
        The warehouse knows no such task.
    """
    found = _rows(connection, TASK, task=task)
    if not found:
        raise LookupError(
            f"intermediate.declared_tasks has no task {task!r}; name it in the list `tasks` of "
            "dbt_project/dbt_project.yml"
        )
    declared = found[0]
    bound: dict[str, Any] = {"task": task, "primary_metric": declared["primary_metric"]}

    def rows(sql: str, **more: object) -> Rows:
        return _rows(connection, sql, **bound, **more)

    def first(sql: str) -> dict[str, Any] | None:
        return next(iter(rows(sql)), None)

    checked, rollout = first(CHECKED), first(ROLLOUT)
    verdicts_by_date: dict[date, Rows] = {}
    for verdict in rows(PERIOD_VERDICTS):
        verdicts_by_date.setdefault(verdict["as_of_date"], []).append(verdict)
    return {
        "task": declared,
        "champion": first(CHAMPION),
        "verdicts": rows(VERDICTS),
        "next_looks": rows(NEXT_LOOKS),
        "retrain": first(RETRAIN),
        "signals": rows(SIGNALS),
        "periods": [
            {**period, "verdicts": verdicts_by_date.get(period["as_of_date"], [])}
            for period in rows(PERIODS)
        ],
        "quality": rows(QUALITY),
        "holdout": rows(HOLDOUT),
        "estimates": rows(ESTIMATES),
        "drift": rows(DRIFT),
        "looks": rows(LOOKS),
        "guardrails": rows(GUARDRAILS),
        "roles": rows(ROLES),
        "acts": rows(ACTS),
        "checked": checked,
        "checks": rows(
            CHECKS,
            as_of_date=checked["as_of_date"],
            challenger_version=checked["challenger_version"],
        )
        if checked
        else [],
        "calibration": rows(CALIBRATION),
        "rollout": rollout,
        "rollout_history": rows(ROLLOUT_HISTORY, rollout_id=rollout["rollout_id"])
        if rollout
        else [],
        "rollout_checks": rows(
            ROLLOUT_CHECKS, rollout_id=rollout["rollout_id"], as_of_date=rollout["as_of_date"]
        )
        if rollout
        else [],
    }
