"""The queries of a page's head: who serves, what was decided last, what comes next."""

from __future__ import annotations

NEWEST_PERIODS = 8  # rows of the headline's table

TASK = """
    select
        declared.*,
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
