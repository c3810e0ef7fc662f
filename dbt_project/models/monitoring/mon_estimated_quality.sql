with

estimates as (
    select * from {{ ref('estimated_quality') }}
),

realised as (
    select *
    from (
        select
            *,
            max(judged_as_of_date) over (partition by task, model_version, as_of_date, metric)
                as last_judged_as_of_date
        from {{ ref('mon_quality') }}
        where
            slice = 'all'
            and status = 'ok'
    ) as judgements
    where judged_as_of_date = last_judged_as_of_date
)

select
    estimates.task,
    estimates.model_version,
    estimates.role,
    estimates.as_of_date,
    estimates.metric,
    estimates.method,
    estimates.row_count,
    estimates.estimated_value,
    estimates.standard_error,
    estimates.lower_bound,
    estimates.upper_bound,
    estimates.reference_value,
    estimates.is_alarming,
    estimates.alarming_window_count,
    estimates.status,
    estimates.reason_code,
    realised.metric_value as realised_value,
    realised.standard_error as realised_standard_error,
    realised.judged_as_of_date
from estimates
left join realised using (task, model_version, as_of_date, metric)
