{{ config(materialized='view') }}

-- A pivot of decide_signals and nothing else: what was decided stays decided.
with

signals as (
    select *
    from {{ ref('decide_signals') }}
    where action = 'retrain'
),

days as (
    select
        task,
        as_of_date,
        max(champion_version) as champion_version,
        max(compared_version) as compared_version,
        max(policy_hash) as policy_hash,
        bool_or(is_firing) as is_wanted,
        max(value) filter (where signal = 'schedule') as days_since_cut_off,
        max(threshold) filter (where signal = 'schedule') as retrain_after_days,
        max(threshold) filter (where signal = 'new_feature_version') as newest_feature_version,
        max(value) filter (where signal = 'new_feature_version') as available_feature_version,
        max(reference_value) filter (where signal = 'quality_decay') as holdout_value,
        max(observed_value) filter (where signal = 'quality_decay') as realised_value,
        max(value) filter (where signal = 'quality_decay') as quality_upper_bound,
        max(threshold) filter (where signal = 'quality_decay') as quality_threshold,
        max(window_count) filter (where signal = 'quality_decay') as quality_window_count,
        max(row_count) filter (where signal = 'quality_decay') as quality_row_count,
        coalesce(bool_or(status = 'ok') filter (where signal = 'quality_decay'), false) as is_quality_known,
        max(value) filter (where signal = 'feature_drift') as drifted_importance_share,
        max(subjects) filter (where signal = 'feature_drift') as drifted_features,
        max(last_window_date) filter (where signal = 'feature_drift') as drift_window_date
    from signals
    group by task, as_of_date
),

decided as (
    select
        *,
        case
            when champion_version is null or days_since_cut_off is null then 'no_decision'
            when compared_version is null and is_wanted then 'retrain'
            else 'hold'
        end as verdict
    from days
),

reasons as (
    select
        signals.task,
        signals.as_of_date,
        case signals.signal when 'schedule' then 'scheduled' else signals.signal end as reason_code
    from signals
    inner join decided using (task, as_of_date)
    where
        signals.is_firing
        and decided.verdict <> 'no_decision'

    union all

    select
        decided.task,
        decided.as_of_date,
        codes.reason_code
    from decided
    cross join (
        values
        ('no_champion'),
        ('challenger_under_comparison'),
        ('no_signal'),
        ('quality_unknown')
    ) as codes (reason_code)
    where
        case codes.reason_code
            when 'no_champion' then decided.verdict = 'no_decision'
            when 'challenger_under_comparison' then decided.compared_version is not null
            when 'no_signal' then decided.verdict = 'hold' and not decided.is_wanted
            when 'quality_unknown'
                then decided.verdict = 'hold' and not decided.is_wanted and not decided.is_quality_known
        end
),

reason_lists as (
    select
        task,
        as_of_date,
        {{ sorted_set('reason_code') }} as reason_codes
    from reasons
    group by task, as_of_date
)

select
    decided.task,
    decided.as_of_date,
    cast(decided.verdict as varchar) as verdict,
    reason_lists.reason_codes,
    decided.champion_version,
    decided.compared_version,
    {{ add_days('decided.as_of_date', '-decided.days_since_cut_off') }} as newest_cut_off_date,
    cast(decided.days_since_cut_off as integer) as days_since_cut_off,
    cast(decided.retrain_after_days as integer) as retrain_after_days,
    cast(decided.newest_feature_version as integer) as newest_feature_version,
    cast(decided.available_feature_version as integer) as available_feature_version,
    decided.holdout_value,
    decided.realised_value,
    decided.quality_upper_bound,
    decided.quality_threshold,
    cast(decided.quality_window_count as bigint) as quality_window_count,
    decided.quality_row_count,
    decided.drifted_features,
    decided.drifted_importance_share,
    decided.drift_window_date,
    decided.policy_hash
from decided
inner join reason_lists using (task, as_of_date)
