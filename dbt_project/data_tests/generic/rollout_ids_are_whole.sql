{#  Fails with the verdicts on rollouts whose id cannot be derived again: a row or one of its checks was edited. -#}
{% test rollout_ids_are_whole(model) %}

with

decided as (
    select * from {{ model }}
),

checks as (
    select
        decided.rollout_id,
        decided.as_of_date,
        {%- for column in rollout_check_columns() %}
        entries.entry.{{ column }} as {{ column }}{{ ',' if not loop.last }}
        {%- endfor %}
    from (
        select
            rollout_id,
            as_of_date,
            {{ elements('checks') }} as entry
        from {{ model }}
    ) as entries
    inner join decided using (rollout_id, as_of_date)
),

hashed_checks as (
    select
        rollout_id,
        as_of_date,
        {{ rollout_checks_hash('checks') }} as derived_checks_hash
    from checks
    group by rollout_id, as_of_date
)

select
    decided.rollout_id,
    decided.as_of_date,
    decided.decision_id,
    {{ sha256(canonical_text('decided', rollout_columns())) }} as derived_decision_id
from decided
left join hashed_checks
    on
        decided.rollout_id = hashed_checks.rollout_id
        and decided.as_of_date = hashed_checks.as_of_date
where
    decided.decision_id is distinct from {{ sha256(canonical_text('decided', rollout_columns())) }}
    or decided.checks_hash is distinct from hashed_checks.derived_checks_hash

{% endtest %}
