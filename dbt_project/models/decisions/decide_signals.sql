{{ config(materialized='incremental', incremental_strategy='append', on_schema_change='fail') }}

with

thresholds as (
    {{- drift_thresholds() }}
),

live_periods as (
    select
        periods.task,
        periods.as_of_date
    from ({{ live_periods() }}) as periods
    {%- if is_incremental() %}
    where not exists (
        select 1
        from {{ this }} as decided
        where
            decided.task = periods.task
            and decided.as_of_date = periods.as_of_date
    )
    {%- endif %}
),

-- A challenger at its last look does not hold up the next training.
comparisons as (
    select
        looks.task,
        looks.as_of_date,
        max(looks.champion_version) as champion_version,
        max(looks.challenger_version) filter (
            where looks.comparison = 'challenger' and not (looks.is_look and looks.look_number = looks.planned_looks)
        ) as compared_version
    from {{ ref('decide_looks') }} as looks
    group by looks.task, looks.as_of_date
),

periods as (
    select
        live_periods.task,
        live_periods.as_of_date,
        comparisons.champion_version,
        comparisons.compared_version
    from live_periods
    left join comparisons using (task, as_of_date)
),

champions as (
    select *
    from periods
    where champion_version is not null
),

-- Versions trained before the day: one trained on the day is the consequence of its rows.
registered as (
    select
        periods.task,
        periods.as_of_date,
        max(versions.cut_off_date) as newest_cut_off_date,
        max(versions.feature_version) as newest_feature_version
    from periods
    inner join {{ source('recorded', 'model_versions') }} as versions
        on
            periods.task = versions.task
            and versions.cut_off_date < periods.as_of_date
    group by periods.task, periods.as_of_date
),

available as (
    select
        periods.task,
        periods.as_of_date,
        max(declared.feature_version) as available_feature_version
    from periods
    inner join {{ ref('declared_feature_versions') }} as declared
        on
            periods.task = declared.task
            and declared.available_from_date <= periods.as_of_date
    group by periods.task, periods.as_of_date
),

mature_windows as (
    {{ mature_windows('champions') }}
),

mature_spans as (
    select
        task,
        judged_as_of_date,
        min(as_of_date) as first_window_date,
        max(as_of_date) as last_window_date,
        count(*) as window_count
    from mature_windows
    group by task, judged_as_of_date
),

decay as (
    {{ realised_decay('mature_windows') }}
),

spans as (
    {{ newest_windows('champions') }}
),

importance_shares as (
    select
        task,
        model_version,
        feature,
        greatest(0E0, importance)
            / nullif(sum(greatest(0E0, importance)) over (partition by task, model_version), 0E0) as importance_share
    from {{ source('recorded', 'feature_importances') }}
    where {{ is_number('importance') }}
),

-- severity `act` says already that the drift has stayed for three of the last five windows.
feature_drift as (
    select
        spans.task,
        spans.judged_as_of_date,
        count(*) filter (where drift.status = 'ok') as judged_feature_count,
        count(importance_shares.importance_share) as weighed_feature_count,
        -- a sum of decimals: the verdict must not depend on the order of threads
        cast(coalesce(sum({{ exact('importance_shares.importance_share') }}) filter (
            where drift.severity = 'act'
        ), 0) as double) as drifted_importance_share,
        max(drift.alarming_window_count) filter (
            where drift.severity = 'act' and importance_shares.importance_share > 0E0
        ) as alarming_window_count,
        {{ sorted_set("case when drift.severity = 'act' and importance_shares.importance_share > 0E0 then drift.feature end") }}
            as drifted_features
    from spans
    inner join {{ ref('mon_feature_drift') }} as drift
        on
            spans.task = drift.task
            and spans.model_version = drift.model_version
            and spans.last_window_date = drift.as_of_date
    left join importance_shares
        on
            drift.task = importance_shares.task
            and drift.model_version = importance_shares.model_version
            and drift.feature = importance_shares.feature
    group by spans.task, spans.judged_as_of_date
),

rollbacks as (
    select
        task,
        as_of_date,
        verdict,
        reason_codes,
        challenger_version,
        primary_lower_bound,
        champion_value,
        first_window_date,
        last_window_date,
        window_count
    from {{ ref('decide_champion') }}
    where
        comparison = 'predecessor'
        and look_number is not null
),

seen as (
    select
        periods.*,
        'schedule' as signal,
        case when registered.task is null then 'missing' else 'ok' end as status,
        cast({{ days_between('registered.newest_cut_off_date', 'periods.as_of_date') }} as double) as value,
        cast(task_policy.retrain_after_days as double) as threshold,
        cast(null as double) as observed_value,
        cast(null as double) as reference_value,
        cast(null as date) as first_window_date,
        cast(null as date) as last_window_date,
        cast(null as bigint) as window_count,
        cast(null as bigint) as row_count,
        cast(null as bigint) as alarming_window_count,
        cast([] as varchar[]) as subjects
    from periods
    inner join {{ ref('task_policy') }} as task_policy using (task)
    left join registered using (task, as_of_date)

    union all

    select
        periods.*,
        'new_feature_version' as signal,
        case
            when registered.task is null or available.available_feature_version is null then 'missing'
            else 'ok'
        end as status,
        cast(available.available_feature_version as double) as value,
        cast(registered.newest_feature_version as double) as threshold,
        null, null, null, null, null, null, null,
        [declared_tasks.feature_table] as subjects
    from periods
    inner join {{ ref('declared_tasks') }} as declared_tasks using (task)
    left join registered using (task, as_of_date)
    left join available using (task, as_of_date)

    union all

    select
        periods.*,
        'quality_decay' as signal,
        case
            when decay.task is null then 'missing'
            when
                decay.quality_window_count >= task_policy.decay_windows
                and decay.quality_row_count >= task_policy.min_row_count
                and {{ is_number('decay.quality_upper_bound') }}
                and {{ is_number('decay.holdout_value') }}
                then 'ok'
            else 'insufficient'
        end as status,
        decay.quality_upper_bound as value,
        -task_policy.decay_margin_share * abs(decay.holdout_value) as threshold,
        decay.realised_value as observed_value,
        decay.holdout_value as reference_value,
        mature_spans.first_window_date,
        mature_spans.last_window_date,
        decay.quality_window_count as window_count,
        decay.quality_row_count as row_count,
        null as alarming_window_count,
        [declared_tasks.primary_metric] as subjects
    from periods
    inner join {{ ref('declared_tasks') }} as declared_tasks using (task)
    inner join {{ ref('task_policy') }} as task_policy using (task)
    left join decay
        on
            periods.task = decay.task
            and periods.as_of_date = decay.judged_as_of_date
    left join mature_spans
        on
            periods.task = mature_spans.task
            and periods.as_of_date = mature_spans.judged_as_of_date

    union all

    select
        periods.*,
        'feature_drift' as signal,
        case
            when feature_drift.task is null then 'missing'
            when feature_drift.judged_feature_count = 0 or feature_drift.weighed_feature_count = 0 then 'insufficient'
            else 'ok'
        end as status,
        feature_drift.drifted_importance_share as value,
        task_policy.min_drifted_importance_share as threshold,
        null as observed_value,
        null as reference_value,
        spans.first_window_date,
        spans.last_window_date,
        spans.window_count,
        null as row_count,
        feature_drift.alarming_window_count,
        coalesce(feature_drift.drifted_features, []) as subjects
    from periods
    inner join {{ ref('task_policy') }} as task_policy using (task)
    left join spans
        on
            periods.task = spans.task
            and periods.as_of_date = spans.judged_as_of_date
    left join feature_drift
        on
            periods.task = feature_drift.task
            and periods.as_of_date = feature_drift.judged_as_of_date
    {%- for name, monitored in {
        'score_drift': ['mon_score_drift', 'psi', 'greatest(thresholds.psi_act, drift.psi_null_quantile)'],
        'domain_drift': ['mon_domain_drift', 'roc_auc', 'thresholds.domain_auc'],
        'estimated_decay': ['mon_estimated_quality', 'estimated_value', 'drift.reference_value'],
    }.items() %}

    union all

    select
        periods.*,
        '{{ name }}' as signal,
        case
            when drift.task is null then 'missing'
            {%- if name == 'estimated_decay' %}
            when drift.status = 'ok' then 'ok'
            {%- else %}
            when drift.status = 'ok' and drift.severity is not null then 'ok'
            {%- endif %}
            else 'insufficient'
        end as status,
        {%- if name == 'estimated_decay' %}
        cast(case when drift.is_alarming then drift.alarming_window_count else 0 end as double) as value,
        {%- else %}
        -- a window that does not alarm itself ends the signal, and so does a small shift of the score
        cast(case when drift.severity = 'act' then drift.alarming_window_count else 0 end as double) as value,
        {%- endif %}
        thresholds.alarming_windows_to_act as threshold,
        drift.{{ monitored[1] }} as observed_value,
        {{ monitored[2] }} as reference_value,
        spans.first_window_date,
        spans.last_window_date,
        spans.window_count,
        null as row_count,
        drift.alarming_window_count,
        [{{ 'declared_tasks.primary_metric' if name == 'estimated_decay' else "'score'" if name == 'score_drift' else "'features'" }}]
            as subjects
    from periods
    inner join {{ ref('declared_tasks') }} as declared_tasks using (task)
    cross join thresholds
    left join spans
        on
            periods.task = spans.task
            and periods.as_of_date = spans.judged_as_of_date
    left join {{ ref(monitored[0]) }} as drift
        on
            spans.task = drift.task
            and spans.model_version = drift.model_version
            and spans.last_window_date = drift.as_of_date
            {%- if name == 'estimated_decay' %}
            and declared_tasks.primary_metric = drift.metric
            {%- endif %}
    {%- endfor %}

    union all

    select
        periods.*,
        'champion_worse' as signal,
        case
            when rollbacks.task is null then 'missing'
            when rollbacks.verdict in ('rollback', 'hold') then 'ok'
            else 'insufficient'
        end as status,
        -- the policy has weighed bound and guardrails: what it said is what counts
        case when rollbacks.verdict = 'rollback' then 1E0 else 0E0 end as value,
        1E0 as threshold,
        rollbacks.primary_lower_bound as observed_value,
        task_policy.rollback_margin_share * abs(rollbacks.champion_value) as reference_value,
        rollbacks.first_window_date,
        rollbacks.last_window_date,
        rollbacks.window_count,
        null as row_count,
        null as alarming_window_count,
        coalesce(rollbacks.reason_codes, []) as subjects
    from periods
    inner join {{ ref('task_policy') }} as task_policy using (task)
    left join rollbacks using (task, as_of_date)
),

fired as (
    select
        seen.*,
        case when seen.signal = 'champion_worse' then 'rollback' else 'retrain' end as action,
        case
            when seen.status <> 'ok' or not {{ is_number('seen.value') }} or not {{ is_number('seen.threshold') }}
                then false
            when seen.signal = 'quality_decay' then seen.value < seen.threshold
            when seen.signal = 'new_feature_version' then seen.value > seen.threshold
            else seen.value >= seen.threshold
        end as is_firing
    from seen
)

select
    fired.task,
    fired.as_of_date,
    cast(fired.signal as varchar) as signal,
    cast(fired.action as varchar) as action,
    cast(fired.status as varchar) as status,
    fired.is_firing,
    {{ round_significant('fired.value') }} as value,
    {{ round_significant('fired.threshold') }} as threshold,
    {{ round_significant('fired.observed_value') }} as observed_value,
    {{ round_significant('fired.reference_value') }} as reference_value,
    fired.first_window_date,
    fired.last_window_date,
    cast(fired.window_count as integer) as window_count,
    cast(fired.alarming_window_count as integer) as alarming_window_count,
    fired.row_count,
    fired.subjects,
    {{ signal_sentence('fired') }} as sentence,
    fired.champion_version,
    fired.compared_version,
    task_policy.policy_hash
from fired
inner join {{ ref('task_policy') }} as task_policy using (task)
