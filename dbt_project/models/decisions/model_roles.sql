{{ config(materialized='view') }}

with

-- Of several acts that take effect on one day the last one counts.
acts as (
    select
        promotions.*,
        row_number() over (
            partition by promotions.task, promotions.effective_from_date
            order by promotions.act_number desc
        ) as act_rank
    from {{ source('recorded', 'promotions') }} as promotions
),

reigns as (
    select
        acts.task,
        acts.model_version,
        acts.previous_version,
        acts.act,
        acts.as_of_date as decided_on_date,
        acts.effective_from_date as valid_from_date,
        lead(acts.effective_from_date) over (
            partition by acts.task
            order by acts.effective_from_date
        ) as valid_to_date
    from acts
    where acts.act_rank = 1
),

-- A challenger follows the first champion, and stops for good when it becomes champion itself.
candidates as (
    select
        versions.task,
        versions.model_version,
        versions.cut_off_date,
        {{ add_days('versions.cut_off_date', '1') }} as valid_from_date,
        min(reigns.valid_from_date) as promoted_from_date
    from {{ source('recorded', 'model_versions') }} as versions
    inner join (
        select
            task,
            min(valid_from_date) as valid_from_date
        from reigns
        group by task
    ) as first_reigns
        on
            versions.task = first_reigns.task
            and versions.cut_off_date >= first_reigns.valid_from_date
    left join reigns
        on
            versions.task = reigns.task
            and versions.model_version = reigns.model_version
    group by versions.task, versions.model_version, versions.cut_off_date
),

scored as (
    select distinct
        task,
        model_version,
        role,
        as_of_date
    from {{ source('recorded', 'scoring_runs') }}
),

paired_windows as (
    select
        challengers.task,
        challengers.model_version,
        challengers.as_of_date,
        row_number() over (
            partition by challengers.task, challengers.model_version
            order by challengers.as_of_date
        ) as window_number
    from scored as challengers
    inner join scored as champions
        on
            challengers.task = champions.task
            and challengers.as_of_date = champions.as_of_date
    where
        challengers.role = 'challenger'
        and champions.role = 'champion'
),

-- The first live period that can judge the last planned window. Until it has come, the role stays.
last_looks as (
    select
        paired_windows.task,
        paired_windows.model_version,
        min(periods.as_of_date) as last_look_date
    from paired_windows
    inner join {{ ref('declared_tasks') }} as declared_tasks using (task)
    inner join {{ ref('task_policy') }} as task_policy using (task)
    inner join ({{ live_periods() }}) as periods
        on
            paired_windows.task = periods.task
            and periods.as_of_date
            >= {{ add_days('paired_windows.as_of_date', 'declared_tasks.horizon_days') }}
    where
        task_policy.planned_looks > 0
        and paired_windows.window_number
        = task_policy.first_look_windows
        + (task_policy.planned_looks - 1) * task_policy.windows_per_look
    group by paired_windows.task, paired_windows.model_version
),

-- 9999-12-31: it runs.
rollouts as (
    select
        rollouts.task,
        rollouts.treatment_version,
        max(coalesce(ends.effective_from_date, cast('9999-12-31' as date))) as ended_from_date
    from {{ source('recorded', 'rollouts') }} as rollouts
    left join {{ source('recorded', 'rollout_acts') }} as ends
        on
            rollouts.rollout_id = ends.rollout_id
            and ends.act in ('complete', 'abort')
    where rollouts.purpose = 'promotion'
    group by rollouts.task, rollouts.treatment_version
),

roles as (
    select
        reigns.task,
        reigns.model_version,
        'champion' as role,
        reigns.valid_from_date,
        reigns.valid_to_date,
        reigns.decided_on_date
    from reigns

    union all

    select
        reigns.task,
        reigns.previous_version as model_version,
        'predecessor' as role,
        reigns.valid_from_date,
        least(
            coalesce(reigns.valid_to_date, cast('9999-12-31' as date)),
            {{ add_days('reigns.valid_from_date', 'task_policy.predecessor_days') }}
        ) as valid_to_date,
        reigns.decided_on_date
    from reigns
    inner join {{ ref('task_policy') }} as task_policy using (task)
    where
        reigns.act = 'promote'
        and reigns.previous_version <> reigns.model_version

    union all

    select
        candidates.task,
        candidates.model_version,
        'challenger' as role,
        candidates.valid_from_date,
        nullif(
            least(
                coalesce(candidates.promoted_from_date, cast('9999-12-31' as date)),
                -- A version in a rollout keeps its role until the rollout has ended, and not longer.
                coalesce(rollouts.ended_from_date, least(
                    coalesce({{ add_days('last_looks.last_look_date', '1') }}, cast('9999-12-31' as date)),
                    -- Looks of unknown number end some time all the same: no challenger may hold up training for ever.
                    case
                        when task_policy.planned_looks = 0
                            then {{ add_days('candidates.valid_from_date', 'task_policy.trial_days') }}
                        else cast('9999-12-31' as date)
                    end
                ))
            ),
            cast('9999-12-31' as date)
        ) as valid_to_date,
        candidates.cut_off_date as decided_on_date
    from candidates
    inner join {{ ref('task_policy') }} as task_policy on candidates.task = task_policy.task
    left join last_looks
        on
            candidates.task = last_looks.task
            and candidates.model_version = last_looks.model_version
    left join rollouts
        on
            candidates.task = rollouts.task
            and candidates.model_version = rollouts.treatment_version
)

select
    roles.task,
    roles.model_version,
    cast(roles.role as varchar) as role,
    cast(roles.valid_from_date as date) as valid_from_date,
    cast(roles.valid_to_date as date) as valid_to_date,
    roles.decided_on_date
from roles
where roles.valid_to_date is null or roles.valid_from_date < roles.valid_to_date
