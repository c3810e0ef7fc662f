{{ config(materialized='view') }}

with

checks as (
    select
        decided.rollout_id,
        decided.task,
        decided.as_of_date,
        {{ elements('decided.checks') }} as entry
    from {{ ref('decide_rollout') }} as decided
),

named as (
    select
        rollout_id,
        task,
        as_of_date,
        {%- for column in rollout_check_columns() %}
        {{ 'case when not entry.is_passed then entry.reason_code end' if column == 'reason_code' else 'entry.' ~ column }}
            as {{ column }}{{ ',' if not loop.last }}
        {%- endfor %}
    from checks
)

select
    named.*,
    case
        when named.status = 'insufficient' then 'not known yet: '
        when named.status = 'missing' then 'broken: '
        when named.is_passed then 'passed: '
        when named.is_breach then 'breached: '
        else 'not met: '
    end
    || case
        when starts_with(named.check_name, 'sample_ratio_')
            then 'of the units ' || replace(named.check_name, 'sample_ratio_', '') || ', '
                || coalesce(cast(named.control_count as varchar), '?') || ' are in the control and '
                || coalesce(cast(named.treatment_count as varchar), '?') || ' in the treatment (p '
                || coalesce({{ readable_number('named.p_value') }}, 'unknown') || '; log e-value '
                || coalesce({{ readable_number('named.value') }}, 'unknown') || ' of '
                || coalesce({{ readable_number('named.threshold') }}, 'unknown') || ')'
        when named.check_name = 'champion_unchanged' then 'the control is the champion'
        when named.check_name = 'arms_scored'
            then coalesce({{ readable_number('named.value') }}, 'an unknown number of')
                || ' rows have no score of their arm'
        when named.check_name = 'label_coverage'
            then 'the outcome of ' || coalesce({{ readable_number('1E2 * named.value') }}, '?')
                || ' % of the mature rows is known (at least '
                || coalesce({{ readable_number('1E2 * named.threshold') }}, '?') || ' %)'
        when named.check_name in ('outcome', 'guardrail')
            then 'the treatment is better in ' || coalesce(named.metric, '?') || ' by '
                || coalesce({{ readable_number('named.value') }}, 'an unknown amount') || ', between '
                || coalesce({{ readable_number('named.lower_bound') }}, '?') || ' and '
                || coalesce({{ readable_number('named.upper_bound') }}, '?') || ' (against '
                || coalesce({{ readable_number('named.threshold') }}, '?') || ')'
        when named.check_name = 'stage_periods'
            then coalesce({{ readable_number('named.value') }}, '?') || ' of '
                || coalesce({{ readable_number('named.threshold') }}, '?')
                || ' periods of this stage have a known outcome'
        when named.check_name = 'duration'
            then 'day ' || coalesce({{ readable_number('named.value') }}, '?') || ' of '
                || coalesce({{ readable_number('named.threshold') }}, '?')
    end as sentence
from named
