{{ config(materialized='incremental', incremental_strategy='append', on_schema_change='fail') }}

with

-- A rollout is judged in each live and scored period from its start to the day its end was decided.
running as (
    select
        stages.rollout_id,
        stages.task,
        periods.as_of_date,
        stages.purpose,
        stages.control_version,
        stages.treatment_version,
        stages.planned_standard_errors,
        stages.stage_number,
        stages.coverage_share,
        stages.valid_from_date as stage_from_date,
        {{ days_between('stages.rollout_from_date', 'periods.as_of_date') }} as day_count,
        coalesce(stages.control_until_date <= periods.as_of_date, false) as is_champion_changed,
        task_policy.alpha,
        task_policy.sample_ratio_alpha,
        task_policy.min_cluster_count,
        task_policy.min_coverage_share,
        task_policy.rollout_stage_periods,
        task_policy.rollout_max_days,
        task_policy.policy_hash
    from {{ ref('rollout_stages') }} as stages
    inner join {{ ref('task_policy') }} as task_policy using (task)
    inner join ({{ live_periods() }}) as periods
        on
            stages.task = periods.task
            and periods.as_of_date >= stages.valid_from_date
            and (stages.valid_to_date is null or periods.as_of_date < stages.valid_to_date)
            and (stages.ended_on_date is null or periods.as_of_date <= stages.ended_on_date)
    where
        exists (
            select 1
            from {{ source('recorded', 'scoring_runs') }} as runs
            where
                runs.task = periods.task
                and runs.as_of_date = periods.as_of_date
        )
    {%- if is_incremental() %}
        and not exists (
            select 1
            from {{ this }} as judged
            where
                judged.rollout_id = stages.rollout_id
                and judged.as_of_date = periods.as_of_date
        )
    {%- endif %}
),

-- What was known on the day about each entity with an arm.
judged_rows as (
    select
        running.rollout_id,
        running.as_of_date,
        running.stage_from_date,
        entities.as_of_date as window_date,
        entities.unit_id,
        entities.arm,
        entities.metric,
        entities.is_first,
        entities.is_scored,
        entities.covariate_value,
        entities.metric_value,
        entities.matured_on_date <= running.as_of_date as is_mature,
        coalesce(entities.known_at <= running.as_of_date, false) as is_labelled
    from running
    inner join {{ ref('rollout_rows') }} as entities
        on
            running.rollout_id = entities.rollout_id
            and entities.as_of_date <= running.as_of_date
),

-- A unit comes back every period: it counts once, by the mean of its periods since it was given its arm.
units as (
    select
        rollout_id,
        as_of_date,
        metric,
        unit_id,
        arm,
        count(*) as row_count,
        count(*) filter (where is_scored) as scored_row_count,
        count(*) filter (where is_mature) as mature_row_count,
        count(*) filter (where is_labelled) as labelled_row_count,
        -- One value that is no number makes the unit's mean none.
        case
            when count(*) filter (where is_labelled)
                = count({{ exact('metric_value') }}) filter (where is_labelled)
                then avg({{ exact('metric_value') }}) filter (where is_labelled)
        end as unit_value,
        avg({{ exact('covariate_value') }}) filter (where is_first) as unit_covariate
    from judged_rows
    group by rollout_id, as_of_date, metric, unit_id, arm
),

labelled_units as (
    select *
    from units
    where labelled_row_count > 0
),

compared as (
    {{- compared_arms('labelled_units', ['rollout_id', 'as_of_date', 'metric']) }}
),

-- A declared metric has its row also when nothing is known of it.
metrics as (
    select
        running.rollout_id,
        running.as_of_date,
        running.purpose,
        running.alpha,
        running.min_cluster_count,
        declared_online.metric,
        declared_online.is_outcome,
        declared_online.margin,
        coalesce(compared.control_unit_count, 0) as control_unit_count,
        coalesce(compared.treatment_unit_count, 0) as treatment_unit_count,
        coalesce(compared.control_valid_unit_count, 0) as control_valid_unit_count,
        coalesce(compared.treatment_valid_unit_count, 0) as treatment_valid_unit_count,
        {%- for column in [
            'control_sum', 'treatment_sum', 'control_sum_of_squares', 'treatment_sum_of_squares',
            'difference', 'standard_error', 'theta', 'cuped_difference', 'cuped_standard_error',
        ] %}
        {{ round_significant('compared.' ~ column) }} as {{ column }},
        {%- endfor %}
        {{ map_value('running.planned_standard_errors', 'declared_online.metric') }} as planned_standard_error,
        -- Above 0: the treatment is better.
        compared.cuped_difference * case declared_online.better when 'higher' then 1E0 when 'lower' then -1E0 end as delta,
        {{ always_valid_half_width(
            'compared.cuped_standard_error',
            map_value('running.planned_standard_errors', 'declared_online.metric'),
            two_sided_level('running.alpha')
        ) }} as half_width
    from running
    inner join {{ ref('declared_online') }} as declared_online using (task)
    left join compared
        on
            running.rollout_id = compared.rollout_id
            and running.as_of_date = compared.as_of_date
            and declared_online.metric = compared.metric
),

intervals as (
    select
        metrics.*,
        {{ round_significant('metrics.delta') }} as better_by,
        {{ round_significant('metrics.delta - metrics.half_width') }} as lower_bound,
        {{ round_significant('metrics.delta + metrics.half_width') }} as upper_bound,
        case
            when metrics.control_valid_unit_count < metrics.control_unit_count then 'missing'
            when metrics.treatment_valid_unit_count < metrics.treatment_unit_count then 'missing'
            when metrics.control_unit_count < metrics.min_cluster_count then 'insufficient'
            when metrics.treatment_unit_count < metrics.min_cluster_count then 'insufficient'
            when not coalesce(isfinite(metrics.delta), false) then 'insufficient'
            when not coalesce(isfinite(metrics.half_width), false) then 'insufficient'
            else 'ok'
        end as status
    from metrics
),

assigned as (
    select
        running.rollout_id,
        running.as_of_date,
        count(*) filter (where assignments.arm = 'control') as control_assigned_count,
        count(*) filter (where assignments.arm = 'treatment') as treatment_assigned_count
    from running
    inner join {{ source('recorded', 'assignments') }} as assignments
        on
            running.rollout_id = assignments.rollout_id
            and assignments.first_as_of_date <= running.as_of_date
    group by running.rollout_id, running.as_of_date
),

followed as (
    select
        units.rollout_id,
        units.as_of_date,
        {%- for arm in ['control', 'treatment'] %}
        count(*) filter (where units.arm = '{{ arm }}' and units.scored_row_count > 0) as {{ arm }}_scored_count,
        count(*) filter (where units.arm = '{{ arm }}' and units.labelled_row_count > 0) as {{ arm }}_labelled_count,
        {%- endfor %}
        sum(units.row_count - units.scored_row_count) as unscored_row_count,
        sum(units.labelled_row_count) / nullif(cast(sum(units.mature_row_count) as double), 0E0) as label_coverage_share
    from units
    inner join running using (rollout_id, as_of_date)
    inner join {{ ref('declared_online') }} as declared_online
        on
            running.task = declared_online.task
            and units.metric = declared_online.metric
            and declared_online.is_outcome
    group by units.rollout_id, units.as_of_date
),

stage_periods as (
    select
        rollout_id,
        as_of_date,
        count(distinct window_date) as stage_period_count
    from judged_rows
    where
        is_labelled
        and window_date >= stage_from_date
    group by rollout_id, as_of_date
),

counted as (
    select
        running.*,
        {%- for stage in ['assigned', 'scored', 'labelled'] %}
        {%- set counts = 'assigned' if stage == 'assigned' else 'followed' %}
        coalesce({{ counts }}.control_{{ stage }}_count, 0) as control_{{ stage }}_count,
        coalesce({{ counts }}.treatment_{{ stage }}_count, 0) as treatment_{{ stage }}_count,
        {%- endfor %}
        cast(followed.unscored_row_count as double) as unscored_row_count,
        followed.label_coverage_share,
        coalesce(stage_periods.stage_period_count, 0) as stage_period_count
    from running
    left join assigned using (rollout_id, as_of_date)
    left join followed using (rollout_id, as_of_date)
    left join stage_periods using (rollout_id, as_of_date)
),

checks as (
    {%- for stage in ['assigned', 'scored', 'labelled'] %}
    {%- set control, treatment = 'counted.control_' ~ stage ~ '_count', 'counted.treatment_' ~ stage ~ '_count' %}
    select
        counted.rollout_id,
        counted.as_of_date,
        'sample_ratio_{{ stage }}' as check_name,
        cast(null as varchar) as metric,
        {{ round_significant(sample_ratio_log_e_value(control, treatment)) }} as value,
        {{ round_significant('-ln(counted.sample_ratio_alpha)') }} as threshold,
        cast(null as double) as lower_bound,
        cast(null as double) as upper_bound,
        {{ round_significant(sample_ratio_p_value(control, treatment)) }} as p_value,
        {{ control }} as control_count,
        {{ treatment }} as treatment_count,
        coalesce({{ sample_ratio_p_value(control, treatment) }} >= counted.sample_ratio_alpha, false) as is_passed,
        coalesce({{ sample_ratio_log_e_value(control, treatment) }} >= -ln(counted.sample_ratio_alpha), false) as is_breach,
        case when {{ control }} + {{ treatment }} = 0 then 'insufficient' else 'ok' end as status,
        case when {{ control }} + {{ treatment }} = 0 then 'no_{{ stage }}_unit' else 'sample_ratio_mismatch' end as reason_code
    from counted

    union all
    {% endfor %}
    select
        counted.rollout_id,
        counted.as_of_date,
        'champion_unchanged' as check_name,
        null as metric,
        null as value,
        null as threshold,
        null as lower_bound,
        null as upper_bound,
        null as p_value,
        null as control_count,
        null as treatment_count,
        not counted.is_champion_changed as is_passed,
        counted.is_champion_changed as is_breach,
        'ok' as status,
        'champion_changed' as reason_code
    from counted

    union all

    -- Served without a score of its arm: the comparison would be of something else.
    select
        counted.rollout_id,
        counted.as_of_date,
        'arms_scored' as check_name,
        null as metric,
        counted.unscored_row_count as value,
        0E0 as threshold,
        null as lower_bound,
        null as upper_bound,
        null as p_value,
        counted.control_scored_count as control_count,
        counted.treatment_scored_count as treatment_count,
        coalesce(counted.unscored_row_count = 0E0, false) as is_passed,
        false as is_breach,
        case when coalesce(counted.unscored_row_count = 0E0, false) then 'ok' else 'missing' end as status,
        'scores_missing' as reason_code
    from counted

    union all

    select
        counted.rollout_id,
        counted.as_of_date,
        'label_coverage' as check_name,
        null as metric,
        {{ round_significant('counted.label_coverage_share') }} as value,
        counted.min_coverage_share as threshold,
        null as lower_bound,
        null as upper_bound,
        null as p_value,
        counted.control_labelled_count as control_count,
        counted.treatment_labelled_count as treatment_count,
        coalesce(isfinite(counted.label_coverage_share) and counted.label_coverage_share >= counted.min_coverage_share, false)
            as is_passed,
        false as is_breach,
        case
            when counted.label_coverage_share is null then 'insufficient'
            when coalesce(counted.label_coverage_share >= counted.min_coverage_share, false) then 'ok'
            else 'missing'
        end as status,
        case when counted.label_coverage_share is null then 'outcome_not_mature' else 'low_coverage' end as reason_code
    from counted

    union all

    select
        intervals.rollout_id,
        intervals.as_of_date,
        case when intervals.is_outcome then 'outcome' else 'guardrail' end as check_name,
        intervals.metric,
        intervals.better_by as value,
        case when intervals.is_outcome then 0E0 else -intervals.margin end as threshold,
        intervals.lower_bound,
        intervals.upper_bound,
        null as p_value,
        intervals.control_unit_count as control_count,
        intervals.treatment_unit_count as treatment_count,
        intervals.status = 'ok' and coalesce(case
            -- An A/A proves nothing; it must not find a difference.
            when intervals.is_outcome and intervals.purpose = 'rehearsal'
                then intervals.lower_bound <= 0E0 and intervals.upper_bound >= 0E0
            when intervals.is_outcome then intervals.lower_bound > 0E0
            else intervals.lower_bound > -intervals.margin
        end, false) as is_passed,
        intervals.status = 'ok' and coalesce(case
            when intervals.is_outcome and intervals.purpose = 'rehearsal'
                then intervals.lower_bound > 0E0 or intervals.upper_bound < 0E0
            when intervals.is_outcome then intervals.upper_bound < 0E0
            else intervals.upper_bound < -intervals.margin
        end, false) as is_breach,
        intervals.status,
        case
            when intervals.status = 'missing' then 'metric_missing'
            when intervals.status = 'insufficient' then 'too_few_units'
            when intervals.is_outcome and intervals.purpose = 'rehearsal' then 'arms_differ'
            when intervals.is_outcome and intervals.upper_bound < 0E0 then 'outcome_worse'
            when intervals.is_outcome then 'not_proven_better'
            when intervals.upper_bound < -intervals.margin then 'guardrail_breached'
            else 'guardrail_not_proven'
        end as reason_code
    from intervals

    union all

    select
        counted.rollout_id,
        counted.as_of_date,
        'stage_periods' as check_name,
        null as metric,
        cast(counted.stage_period_count as double) as value,
        cast(counted.rollout_stage_periods as double) as threshold,
        null as lower_bound,
        null as upper_bound,
        null as p_value,
        null as control_count,
        null as treatment_count,
        coalesce(counted.stage_period_count >= counted.rollout_stage_periods, false) as is_passed,
        false as is_breach,
        'ok' as status,
        'stage_not_mature' as reason_code
    from counted

    union all

    select
        counted.rollout_id,
        counted.as_of_date,
        'duration' as check_name,
        null as metric,
        cast(counted.day_count as double) as value,
        cast(counted.rollout_max_days as double) as threshold,
        null as lower_bound,
        null as upper_bound,
        null as p_value,
        null as control_count,
        null as treatment_count,
        coalesce(counted.day_count < counted.rollout_max_days, false) as is_passed,
        false as is_breach,
        'ok' as status,
        'undecided' as reason_code
    from counted
),

totals as (
    select
        rollout_id,
        as_of_date,
        count(*) filter (where is_breach) as breach_count,
        count(*) filter (where status = 'missing') as missing_count,
        count(*) filter (where not is_passed and status = 'ok' and starts_with(check_name, 'sample_ratio')) as skewed_count,
        count(*) filter (where not is_passed and check_name <> 'stage_periods' and check_name <> 'duration') as unmet_count,
        count(*) filter (where is_passed and check_name = 'outcome') as outcome_count,
        count(*) filter (where status = 'insufficient' and check_name = 'outcome') as undecidable_count,
        count(*) filter (where is_passed and check_name = 'stage_periods') as stage_count,
        count(*) filter (where not is_passed and check_name = 'duration') as expired_count,
        {{ rollout_checks_hash('checks') }} as checks_hash,
        {{ rollout_check_list('checks') }} as checks
    from checks
    group by rollout_id, as_of_date
),

-- Proof counts only at full coverage: half of all units have then lived with the treatment.
decided as (
    select
        counted.*,
        totals.checks,
        totals.checks_hash,
        case
            when totals.breach_count > 0 then 'abort'
            when
                counted.coverage_share = 1E0
                and counted.purpose = 'promotion'
                and totals.unmet_count = 0
                and totals.outcome_count = 1
                and totals.stage_count = 1
                then 'complete'
            when totals.expired_count > 0 then 'abort'
            when totals.missing_count > 0 then 'no_decision'
            when totals.skewed_count > 0 then 'hold'
            when counted.coverage_share < 1E0 and totals.stage_count = 1 then 'advance'
            when totals.undecidable_count > 0 then 'no_decision'
            else 'hold'
        end as verdict
    from counted
    inner join totals using (rollout_id, as_of_date)
),

reasons as (
    select
        decided.rollout_id,
        decided.as_of_date,
        checks.reason_code
    from decided
    inner join totals using (rollout_id, as_of_date)
    inner join checks using (rollout_id, as_of_date)
    where
        case decided.verdict
            when 'abort' then checks.is_breach or (totals.breach_count = 0 and checks.check_name = 'duration')
            when 'complete' then false
            when 'advance' then false
            else not checks.is_passed
        end

    union all

    select
        decided.rollout_id,
        decided.as_of_date,
        case decided.verdict
            when 'complete' then 'treatment_better'
            when 'advance' then 'stage_passed'
            when 'hold' then 'under_watch'
        end as reason_code
    from decided
),

reason_lists as (
    select
        rollout_id,
        as_of_date,
        {{ sorted_set('reason_code') }} as reason_codes
    from reasons
    group by rollout_id, as_of_date
),

evidence as (
    select
        decided.*,
        reason_lists.reason_codes,
        case
            when decided.verdict = 'advance' then (
                select min(coverages.coverage_share)
                from {{ ref('rollout_coverages') }} as coverages
                where coverages.coverage_share > decided.coverage_share
            )
            when decided.verdict in ('complete', 'abort') then 0E0
            else decided.coverage_share
        end as next_coverage_share,
        intervals.metric,
        intervals.control_unit_count,
        intervals.treatment_unit_count,
        intervals.control_sum,
        intervals.treatment_sum,
        intervals.control_sum_of_squares,
        intervals.treatment_sum_of_squares,
        intervals.difference,
        intervals.standard_error,
        intervals.theta,
        intervals.cuped_difference,
        intervals.cuped_standard_error,
        intervals.planned_standard_error,
        intervals.lower_bound,
        intervals.upper_bound
    from decided
    inner join reason_lists using (rollout_id, as_of_date)
    inner join intervals using (rollout_id, as_of_date)
    where intervals.is_outcome
)

select
    {%- for column, data_type in rollout_columns().items() %}
    cast(evidence.{{ column }} as {{ data_type }}) as {{ column }},
    {%- endfor %}
    evidence.checks,
    {{ sha256(canonical_text('evidence', rollout_columns())) }} as decision_id
from evidence
