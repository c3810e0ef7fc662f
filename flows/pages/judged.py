"""The queries of a page about comparisons, acts, checks and rollouts."""

from __future__ import annotations

# The lead that a look asks for: the half-width of its interval and, of a rollback, the margin too.
LOOKS = """
    select
        decisions.comparison,
        decisions.champion_version,
        decisions.challenger_version,
        decisions.as_of_date,
        decisions.look_number,
        decisions.planned_looks,
        decisions.primary_metric as metric,
        decisions.primary_delta as delta,
        decisions.primary_lower_bound as lower_bound,
        decisions.primary_upper_bound as upper_bound,
        checks.threshold + decisions.critical_value * decisions.primary_standard_error as boundary,
        decisions.row_count,
        decisions.verdict,
        decisions.reason_codes
    from decisions.decide_champion as decisions
    inner join decisions.decide_checks as checks
        on
            decisions.task = checks.task
            and decisions.as_of_date = checks.as_of_date
            and decisions.challenger_version = checks.challenger_version
            and checks.check_name in ('primary', 'rollback_primary')
    where
        decisions.task = $task
        and decisions.look_number is not null
        and decisions.primary_delta is not null
        and decisions.comparison in ('challenger', 'predecessor')
    order by
        decisions.challenger_version desc,
        decisions.champion_version desc,
        decisions.as_of_date
"""

GUARDRAILS = """
    select
        decisions.comparison,
        decisions.champion_version,
        checks.challenger_version,
        checks.as_of_date,
        decisions.look_number,
        checks.metric,
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
