{{ config(
    materialized='incremental',
    incremental_strategy='delete+insert',
    unique_key=['task', 'model_version', 'as_of_date'],
    on_schema_change='fail',
) }}

with

{{ drift_statistics('score') }},

task_windows as (
    select
        task,
        as_of_date,
        max(row_count) as row_count
    from ({{ current_scoring_runs() }}) as runs
    group by task, as_of_date
),

usual_row_counts as (
    select
        task,
        as_of_date,
        -- two windows or fewer say nothing about what is usual
        case
            when count(*) over previous_windows >= 3
                then cast(median(row_count) over previous_windows as double)
        end as median_row_count
    from task_windows
    window previous_windows as (
        partition by task
        order by as_of_date
        rows between 5 preceding and 1 preceding
    )
),

statuses as (
    select
        drift_statistics.*,
        usual_row_counts.median_row_count,
        drift_statistics.scored_row_count / nullif(usual_row_counts.median_row_count, 0)
            as row_count_ratio,
        case
            when drift_statistics.reference_row_count < thresholds.minimum_reference_rows
                then 'no_reference'
            when drift_statistics.window_row_count < thresholds.minimum_window_rows
                then 'too_few_rows'
            when not {{ is_number('drift_statistics.psi') }} then 'not_computable'
        end as insufficient_reason,
        thresholds.*
    from drift_statistics
    cross join thresholds
    inner join usual_row_counts using (task, as_of_date)
),

findings as (
    select
        *,
        coalesce(chi_square_p_value <= false_discovery_rate, false) as is_significant,
        is_constant and reference_cell_count > 1 as is_frozen,
        coalesce(
            row_count_ratio < least_row_count_ratio or row_count_ratio > greatest_row_count_ratio,
            false
        ) as is_row_count_unusual
    from statuses
),

alarms as (
    select
        *,
        psi > greatest(psi_warn, psi_null_quantile) and is_significant as is_shift,
        psi > greatest(psi_act, psi_null_quantile) and is_significant as is_large_shift,
        case
            -- a collapsed window is an alarm even when it is too small for the distances
            when is_row_count_unusual then true
            when insufficient_reason is not null then null
            else is_frozen or (psi > greatest(psi_warn, psi_null_quantile) and is_significant)
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
        when is_alarming is null then null
        when not is_alarming then 'none'
        when coalesce(is_large_shift, false) and alarming_window_count >= alarming_windows_to_act
            then 'act'
        else 'warn'
    end as severity,
    case
        when is_row_count_unusual then 'row_count_changed'
        when insufficient_reason is not null then insufficient_reason
        when is_shift then 'distribution_shifted'
        when is_frozen then 'constant'
        else 'no_drift'
    end as reason_code,
    is_alarming,
    alarming_window_count,
    reference_row_count,
    window_row_count,
    median_row_count,
    row_count_ratio,
    bin_count,
    psi,
    psi_null_quantile,
    jensen_shannon_distance,
    hellinger_distance,
    total_variation,
    largest_difference,
    chi_square_statistic,
    chi_square_p_value,
    ks_statistic,
    ks_p_value,
    wasserstein_distance,
    clipped_share,
    out_of_range_share,
    is_constant,
    scoring_epoch
from persistent_alarms
