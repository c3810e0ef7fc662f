{{ config(materialized='view') }}

with

thresholds as (
    {{- drift_thresholds() }}
),

aucs as (
    {{- counted_auc(
        source('recorded', 'domain_scores'), ['task', 'model_version', 'as_of_date']
    ) }}
),

-- a champion's window that was never compared must not look like one without drift
windows as (
    select
        runs.task,
        runs.model_version,
        runs.as_of_date,
        runs.role,
        runs.row_count,
        coalesce(aucs.reference_row_count, 0) as reference_row_count,
        coalesce(aucs.window_row_count, 0) as window_row_count,
        {{ round_significant('aucs.roc_auc') }} as roc_auc,
        {{ round_significant('aucs.standard_error') }} as standard_error
    from ({{ current_scoring_runs() }}) as runs
    left join aucs using (task, model_version, as_of_date)
    where
        runs.role = 'champion'
        or aucs.task is not null
),

-- 99 %: learning the scores scatters the AUC more than its standard error knows, most in small windows
bounded as (
    select
        windows.*,
        {{ round_significant(
            'greatest(0e0, windows.roc_auc - ' ~ normal_quantile('0.99e0') ~ ' * windows.standard_error)'
        ) }} as lower_bound,
        {{ round_significant(
            'least(1e0, windows.roc_auc + ' ~ normal_quantile('0.99e0') ~ ' * windows.standard_error)'
        ) }} as upper_bound
    from windows
    where {{ is_number('windows.roc_auc') }} and {{ is_number('windows.standard_error') }}
),

findings as (
    select
        windows.*,
        bounded.lower_bound,
        bounded.upper_bound,
        thresholds.domain_auc,
        thresholds.alarming_windows_to_act,
        case
            when windows.row_count < thresholds.minimum_window_rows then 'too_few_rows'
            when windows.window_row_count = 0 then 'not_compared'
            when windows.reference_row_count < thresholds.minimum_reference_rows then 'no_reference'
            when bounded.task is null then 'not_computable'
        end as insufficient_reason
    from windows
    cross join thresholds
    left join bounded using (task, model_version, as_of_date)
),

alarms as (
    select
        *,
        case
            when insufficient_reason is null
                then coalesce(roc_auc > domain_auc and lower_bound > 0.5e0, false)
        end as is_alarming
    from findings
),

{{ persistent_alarms(['task', 'model_version']) }}

select
    task,
    model_version,
    as_of_date,
    role,
    case when insufficient_reason is null then 'ok' else 'insufficient' end as status,
    case
        when insufficient_reason is not null then null
        when not is_alarming then 'none'
        when alarming_window_count >= alarming_windows_to_act then 'act'
        else 'warn'
    end as severity,
    case
        when insufficient_reason is not null then insufficient_reason
        when is_alarming then 'distribution_shifted'
        else 'no_drift'
    end as reason_code,
    is_alarming,
    alarming_window_count,
    roc_auc,
    standard_error,
    lower_bound,
    upper_bound,
    reference_row_count,
    window_row_count
from persistent_alarms
