{#  Fails with the decisions whose id cannot be derived again: a row or one of its checks was edited, or a
    row before it is missing; and with a task whose newest judged day has no decision left. -#}
{% test decision_chain_is_whole(model) %}

with

decisions as (
    select
        decisions.*,
        lag(decisions.decision_id) over (
            partition by decisions.task
            order by decisions.as_of_date, decisions.challenger_version
        ) as decision_id_before
    from {{ model }} as decisions
),

checks as (
    select *
    from {{ ref('decide_checks') }}
),

hashed_checks as (
    {{ hash_of_checks('checks') }}
),

derived as (
    select
        decisions.task,
        decisions.as_of_date,
        decisions.challenger_version,
        decisions.decision_id,
        decisions.previous_decision_id,
        decisions.decision_id_before,
        decisions.checks_hash,
        hashed_checks.checks_hash as derived_checks_hash,
        {{ decision_id(canonical_text('decisions', decision_columns()), 'decisions.decision_id_before') }}
            as derived_decision_id
    from decisions
    left join hashed_checks
        on
            decisions.task = hashed_checks.task
            and decisions.as_of_date = hashed_checks.as_of_date
            and decisions.challenger_version = hashed_checks.challenger_version
)

select
    task,
    as_of_date,
    challenger_version,
    decision_id
from derived
where
    decision_id is distinct from derived_decision_id
    or previous_decision_id is distinct from decision_id_before
    or checks_hash is distinct from derived_checks_hash

union all

select
    judgements.task,
    max(judgements.as_of_date) as as_of_date,
    cast(null as integer) as challenger_version,
    'the newest decision is gone' as decision_id
from {{ source('recorded', 'judgements') }} as judgements
group by judgements.task
having
    max(judgements.as_of_date) > coalesce((
        select max(decisions.as_of_date)
        from decisions
        where decisions.task = judgements.task
    ), cast('0001-01-01' as date))

{% endtest %}
