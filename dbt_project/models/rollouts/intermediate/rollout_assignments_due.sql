{{ config(materialized='view') }}

select
    stages.rollout_id,
    units.task,
    units.as_of_date,
    units.unit_id,
    case
        when {{ hash_share("stages.salt || ':arm:' || units.unit_id") }} < 0.5E0 then 'treatment'
        else 'control'
    end as arm
from {{ ref('rollout_units') }} as units
inner join {{ ref('rollout_stages') }} as stages
    on
        units.task = stages.task
        and units.as_of_date >= stages.valid_from_date
        and (stages.valid_to_date is null or units.as_of_date < stages.valid_to_date)
        and (stages.rollout_to_date is null or units.as_of_date < stages.rollout_to_date)
left join {{ source('recorded', 'assignments') }} as assignments
    on
        stages.rollout_id = assignments.rollout_id
        and units.unit_id = assignments.unit_id
where
    {{ hash_share("stages.salt || ':coverage:' || units.unit_id") }} < stages.coverage_share
    and assignments.unit_id is null
