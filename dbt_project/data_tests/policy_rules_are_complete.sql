{#  A rule that the SQL names and the seed lacks would be null in task_policy, and a null can open a gate
    as well as close it. Fails with each rule that has no finite value for all tasks or for its own, that
    nothing reads, or that is set for a task nobody declared. -#}
with

named as (
    {%- for rule in policy_rules() %}
    select '{{ rule }}' as rule
    {{ 'union all' if not loop.last }}
    {%- endfor %}
)

select
    named.rule,
    '*' as task,
    'the seed lacks a finite value' as problem
from named
left join {{ ref('policy') }} as policy
    on
        named.rule = policy.rule
        and policy.task = '*'
where not coalesce(isfinite(policy.value), false)

union all

select
    policy.rule,
    policy.task,
    case
        when named.rule is null then 'nothing reads it'
        when policy.task <> '*' and declared_tasks.task is null then 'no task of this name'
        else 'no finite value'
    end as problem
from {{ ref('policy') }} as policy
left join named on policy.rule = named.rule
left join {{ ref('declared_tasks') }} as declared_tasks on policy.task = declared_tasks.task
where
    named.rule is null
    or (policy.task <> '*' and declared_tasks.task is null)
    or (policy.task <> '*' and not coalesce(isfinite(policy.value), false))
