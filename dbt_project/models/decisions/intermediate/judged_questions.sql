{{ config(materialized='view') }}

{%- set question = 'task, as_of_date, challenger_version' %}

with

-- What every question of its kind needs, whether or not somebody wrote the check.
required_checks as (
    {{ required_checks() }}
),

absent_checks as (
    select
        looks.task,
        looks.as_of_date,
        looks.challenger_version,
        count(*) as absent_count
    from {{ ref('decide_looks') }} as looks
    inner join required_checks using (task, comparison)
    where
        looks.is_look
        and not exists (
            select 1
            from {{ ref('decide_checks') }} as checks
            where
                checks.task = looks.task
                and checks.as_of_date = looks.as_of_date
                and checks.challenger_version = looks.challenger_version
                and checks.check_name = required_checks.check_name
                and {{ check_subject('checks') }} = required_checks.subject
                and checks.is_passed is not null
        )
    group by looks.task, looks.as_of_date, looks.challenger_version
),

check_totals as (
    select
        checks.task,
        checks.as_of_date,
        checks.challenger_version,
        count(*) filter (where coalesce(checks.is_required, true) and not coalesce(checks.is_passed, false))
            as unmet_count,
        count(*) filter (
            where
                coalesce(checks.is_required, true)
                and not coalesce(checks.is_passed, false)
                and checks.status is distinct from 'ok'
        ) as undecided_count,
        count(*) filter (
            where checks.is_passed and (
                checks.check_name = 'primary'
                or (checks.check_name = 'baseline' and checks.metric = declared_tasks.primary_metric)
            )
        ) as primary_count,
        count(*) filter (where checks.is_passed and checks.check_name in ('rollback_primary', 'rollback_guardrail'))
            as rollback_count
    from {{ ref('decide_checks') }} as checks
    inner join {{ ref('declared_tasks') }} as declared_tasks using (task)
    group by checks.task, checks.as_of_date, checks.challenger_version
),

-- Rollbacks that came as the last of so many within so few days freeze a task until an override.
rollbacks as (
    select
        task,
        as_of_date
    from {{ source('recorded', 'promotions') }}
    where act = 'rollback'
),

freezes as (
    select
        last_rollback.task,
        last_rollback.as_of_date
    from rollbacks as last_rollback
    inner join {{ ref('task_policy') }} as task_policy using (task)
    inner join rollbacks as earlier
        on
            last_rollback.task = earlier.task
            and earlier.as_of_date <= last_rollback.as_of_date
            and {{ days_between('earlier.as_of_date', 'last_rollback.as_of_date') }} <= task_policy.freeze_days
    group by last_rollback.task, last_rollback.as_of_date, task_policy.freeze_rollback_count
    having count(distinct earlier.as_of_date) >= task_policy.freeze_rollback_count
),

stops as (
    select
        looks.task,
        looks.as_of_date,
        looks.challenger_version,
        exists (
            select 1
            from freezes
            where
                freezes.task = looks.task
                and freezes.as_of_date < looks.as_of_date
                and not exists (
                    select 1
                    from {{ source('recorded', 'promotions') }} as overrides
                    where
                        overrides.task = freezes.task
                        and overrides.act = 'override'
                        and overrides.as_of_date >= freezes.as_of_date
                        and overrides.as_of_date < looks.as_of_date
                )
        ) as is_frozen,
        exists (
            select 1
            from {{ source('recorded', 'promotions') }} as promotions
            where
                promotions.task = looks.task
                and promotions.act = 'promote'
                and promotions.as_of_date < looks.as_of_date
                and {{ days_between('promotions.as_of_date', 'looks.as_of_date') }} < task_policy.cool_down_days
        ) as is_cooling_down
    from {{ ref('decide_looks') }} as looks
    inner join {{ ref('task_policy') }} as task_policy using (task)
),

judged as (
    select
        looks.*,
        stops.is_frozen,
        stops.is_cooling_down,
        absent_checks.absent_count,
        case
            when looks.comparison = 'none' then 'no_decision'
            when not looks.is_look and looks.look_number = 0 then 'no_decision'
            when not looks.is_look then 'hold'
            when check_totals.task is null or check_totals.undecided_count > 0 or absent_checks.absent_count > 0
                then 'no_decision'
            when looks.comparison = 'predecessor' and check_totals.unmet_count = 0 and check_totals.rollback_count > 0
                then 'rollback'
            when
                looks.comparison in ('challenger', 'first_version')
                and check_totals.unmet_count = 0
                and check_totals.primary_count = 1
                then 'promote'
            else 'hold'
        end as evidence_verdict
    from {{ ref('decide_looks') }} as looks
    inner join stops
        on
            looks.task = stops.task
            and looks.as_of_date = stops.as_of_date
            and looks.challenger_version is not distinct from stops.challenger_version
    left join check_totals
        on
            looks.task = check_totals.task
            and looks.as_of_date = check_totals.as_of_date
            and looks.challenger_version = check_totals.challenger_version
    left join absent_checks
        on
            looks.task = absent_checks.task
            and looks.as_of_date = absent_checks.as_of_date
            and looks.challenger_version = absent_checks.challenger_version
),

ranked as (
    select
        judged.*,
        count(*) filter (where judged.evidence_verdict = 'rollback') over (
            partition by judged.task, judged.as_of_date
        ) as rollback_count,
        -- The best proven challenger: the one whose gain is largest for its error, then the newest.
        row_number() over (
            partition by judged.task, judged.as_of_date, judged.evidence_verdict
            order by
                coalesce(primary_checks.delta / nullif(primary_checks.standard_error, 0E0), 0E0) desc,
                judged.challenger_version desc
        ) as promise_rank
    from judged
    left join {{ ref('decide_checks') }} as primary_checks
        on
            judged.task = primary_checks.task
            and judged.as_of_date = primary_checks.as_of_date
            and judged.challenger_version = primary_checks.challenger_version
            and primary_checks.check_name = 'primary'
),

decided as (
    select
        ranked.*,
        case
            when ranked.evidence_verdict = 'promote' and (
                ranked.is_frozen
                or ranked.is_cooling_down
                or ranked.rollback_count > 0
                or ranked.promise_rank > 1
            ) then 'hold'
            else ranked.evidence_verdict
        end as verdict
    from ranked
),

reasons as (
    select
        {{ question }},
        case
            when comparison = 'none' then 'no_challenger'
            when not is_look and look_number = 0 then 'too_few_windows'
            when not is_look then 'between_looks'
            when verdict = 'promote' and comparison = 'first_version' then 'first_version'
            when verdict = 'promote' then 'challenger_better'
            when comparison <> 'first_version' and coalesce(boundary_z, planned_standard_error) is null then 'no_boundary'
        end as reason_code
    from decided

    union all

    select
        {{ question }},
        case when is_frozen then 'frozen' end as reason_code
    from decided
    where evidence_verdict = 'promote'

    union all

    select
        {{ question }},
        case when is_cooling_down then 'cool_down' end as reason_code
    from decided
    where evidence_verdict = 'promote'

    union all

    select
        {{ question }},
        case when rollback_count > 0 then 'rollback_first' end as reason_code
    from decided
    where evidence_verdict = 'promote'

    union all

    select
        {{ question }},
        case when promise_rank > 1 then 'other_challenger_better' end as reason_code
    from decided
    where evidence_verdict = 'promote'

    union all

    select
        {{ question }},
        'check_missing' as reason_code
    from decided
    where absent_count > 0

    union all

    select
        {{ question }},
        'looks_used_up' as reason_code
    from decided
    where
        comparison = 'challenger'
        and planned_looks > 0
        and look_number = planned_looks
        and verdict <> 'promote'

    union all

    -- A rollback is given the checks that prove it; every other verdict those that stand in its way.
    select
        decided.task,
        decided.as_of_date,
        decided.challenger_version,
        checks.reason_code
    from decided
    inner join {{ ref('decide_checks') }} as checks
        on
            decided.task = checks.task
            and decided.as_of_date = checks.as_of_date
            and decided.challenger_version = checks.challenger_version
    where decided.verdict <> 'rollback' or checks.is_passed
),

reason_lists as (
    select
        {{ question }},
        {{ sorted_set('reason_code') }} as reason_codes
    from reasons
    group by {{ question }}
)

select
    decided.task,
    decided.as_of_date,
    decided.comparison,
    decided.champion_version,
    decided.challenger_version,
    decided.window_count,
    decided.first_window_date,
    decided.last_window_date,
    decided.look_number,
    decided.is_look,
    decided.challenger_count,
    decided.planned_looks,
    decided.sequential_method,
    decided.information_share,
    decided.alpha,
    decided.boundary_z,
    decided.planned_standard_error,
    decided.verdict,
    reason_lists.reason_codes
from decided
inner join reason_lists
    on
        decided.task = reason_lists.task
        and decided.as_of_date = reason_lists.as_of_date
        and decided.challenger_version is not distinct from reason_lists.challenger_version
