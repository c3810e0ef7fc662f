{{ config(materialized='view', schema='intermediate') }}

with

-- Once another version is champion the control is no longer what would be served: the arms end there.
control_changes as (
    select
        rollouts.rollout_id,
        min(promotions.effective_from_date) as control_until_date
    from {{ source('recorded', 'rollouts') }} as rollouts
    inner join {{ source('recorded', 'rollout_acts') }} as starts
        on
            rollouts.rollout_id = starts.rollout_id
            and starts.act = 'start'
    inner join {{ source('recorded', 'promotions') }} as promotions
        on
            rollouts.task = promotions.task
            and rollouts.control_version <> promotions.model_version
            and promotions.effective_from_date >= starts.effective_from_date
    group by rollouts.rollout_id
),

acts as (
    select
        rollout_id,
        act_number,
        act,
        as_of_date,
        effective_from_date,
        coverage_share,
        lead(effective_from_date) over (
            partition by rollout_id
            order by act_number
        ) as next_effective_from_date,
        min(effective_from_date) over (partition by rollout_id) as rollout_from_date,
        min(case when act in ('complete', 'abort') then effective_from_date end) over (partition by rollout_id)
            as ended_from_date,
        min(case when act in ('complete', 'abort') then as_of_date end) over (partition by rollout_id) as ended_on_date
    from {{ source('recorded', 'rollout_acts') }}
)

select
    rollouts.rollout_id,
    rollouts.task,
    rollouts.purpose,
    rollouts.control_version,
    rollouts.treatment_version,
    rollouts.salt,
    rollouts.planned_standard_errors,
    acts.act_number as stage_number,
    acts.coverage_share,
    acts.effective_from_date as valid_from_date,
    acts.next_effective_from_date as valid_to_date,
    acts.rollout_from_date,
    -- least() would skip a null in one engine and return it in another
    case
        when acts.ended_from_date is null then control_changes.control_until_date
        when control_changes.control_until_date is null then acts.ended_from_date
        else least(acts.ended_from_date, control_changes.control_until_date)
    end as rollout_to_date,
    acts.ended_on_date,
    control_changes.control_until_date
from acts
inner join {{ source('recorded', 'rollouts') }} as rollouts using (rollout_id)
left join control_changes using (rollout_id)
where acts.act in ('start', 'advance')
