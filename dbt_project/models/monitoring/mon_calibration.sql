{{ config(materialized='incremental', incremental_strategy='append', on_schema_change='fail') }}

{%- set grain = ['task', 'model_version', 'as_of_date', 'judged_as_of_date'] %}
{%- set groups = grain | join(', ') %}

with

thresholds as (
    {{- drift_thresholds() }}
),

-- mon_quality says which windows are mature and judged when, and how many of their labels are known
judged_windows as (
    select
        quality.task,
        quality.model_version,
        quality.as_of_date,
        quality.judged_as_of_date,
        quality.status = 'immature' as is_immature,
        quality.labelled_count
    from {{ ref('mon_quality') }} as quality
    inner join {{ ref('declared_tasks') }} as declared_tasks
        on
            quality.task = declared_tasks.task
            and quality.metric = declared_tasks.primary_metric
    where
        quality.slice = 'all'
        {%- if is_incremental() %}
        and not exists (
            select 1
            from {{ this }} as calibration
            where
                calibration.task = quality.task
                and calibration.model_version = quality.model_version
                and calibration.as_of_date = quality.as_of_date
                and calibration.judged_as_of_date = quality.judged_as_of_date
        )
        {%- endif %}
),

outcomes as (
    select
        judged_windows.task,
        judged_windows.model_version,
        judged_windows.as_of_date,
        judged_windows.judged_as_of_date,
        outcomes.score,
        -- a class that was predicted is right or wrong
        case when outcomes.kind = 'multiclass' then 1e0 - outcomes.error_rate else outcomes.label_value end
            as label_value
    from {{ ref('outcomes') }} as outcomes
    inner join judged_windows using (task, model_version, as_of_date)
    where outcomes.label_known_at <= judged_windows.judged_as_of_date
),

reliability as (
    {{- reliability_table('outcomes', grain) }}
)

select
    task,
    model_version,
    as_of_date,
    judged_as_of_date,
    reliability.bin,
    reliability.row_count,
    reliability.least_score,
    reliability.greatest_score,
    {{ round_significant('reliability.mean_score') }} as mean_score,
    {{ round_significant('reliability.mean_label') }} as mean_label,
    {{ round_significant('reliability.standard_error') }} as standard_error,
    case
        when judged_windows.is_immature then 'immature'
        when coalesce(judged_windows.labelled_count >= thresholds.minimum_labelled_rows, false)
            then 'ok'
        else 'insufficient'
    end as status
from reliability
inner join judged_windows using ({{ groups }})
cross join thresholds
