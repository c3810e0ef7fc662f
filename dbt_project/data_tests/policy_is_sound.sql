{#  The policy and what the tasks declare about their judgement, before anything is judged: a null can open a
    gate as well as close it. Fails with rule, task, value and problem: a rule that is missing, unknown,
    given twice, out of range or without its unit, reason or source; a task nobody declared; planned looks
    without boundaries; a metric that the kind of task is not judged by; a margin that is no number. -#}
with

rules as (
    {%- for rule, bounds in policy_rules().items() %}
    select
        '{{ rule }}' as rule,
        {{ bounds[0] == 'integer' }} as is_whole,
        cast({{ bounds[1] }} as double) as least_value,
        cast({{ bounds[2] }} as double) as greatest_value
    {{ 'union all' if not loop.last }}
    {%- endfor %}
),

kind_metrics as (
    {%- for kind in ['binary', 'regression', 'multiclass'] %}
    {%- set outer_loop = loop %}
    {%- for metric in metrics_of_kind(kind) %}
    select
        '{{ kind }}' as kind,
        '{{ metric }}' as metric
    {{ 'union all' if not (loop.last and outer_loop.last) }}
    {%- endfor %}
    {%- endfor %}
),

policy as (
    select
        policy.*,
        rules.rule is not null as is_known,
        rules.is_whole,
        rules.least_value,
        rules.greatest_value
    from {{ ref('policy') }} as policy
    left join rules on policy.rule = rules.rule
)

select
    rules.rule,
    '*' as task,
    cast(null as double) as value,
    'the rule is missing for all tasks' as problem
from rules
where not exists (
    select 1
    from policy
    where policy.rule = rules.rule and policy.task = '*'
)

union all

select
    policy.rule,
    policy.task,
    policy.value,
    'nothing reads a rule of this name' as problem
from policy
where not policy.is_known

union all

select
    policy.rule,
    policy.task,
    policy.value,
    'no declared task has this name' as problem
from policy
left join {{ ref('declared_tasks') }} as declared_tasks on policy.task = declared_tasks.task
where policy.task is distinct from '*' and declared_tasks.task is null

union all

select
    policy.rule,
    policy.task,
    max(policy.value) as value,
    'the rule is given ' || count(*) || ' times for this task' as problem
from policy
group by policy.rule, policy.task
having count(*) > 1

union all

select
    policy.rule,
    policy.task,
    policy.value,
    'the value is not a '
    || case when policy.is_whole then 'whole number' else 'number' end
    || ' from ' || policy.least_value || ' to ' || policy.greatest_value as problem
from policy
where
    policy.is_known
    and not coalesce(
        isfinite(policy.value)
        and policy.value between policy.least_value and policy.greatest_value
        and (not policy.is_whole or policy.value = floor(policy.value)),
        false
    )

union all

select
    policy.rule,
    policy.task,
    policy.value,
    'unit, reason or source is missing' as problem
from policy
where
    coalesce(trim(policy.unit), '') = ''
    or coalesce(trim(policy.reason), '') = ''
    or coalesce(trim(policy.source), '') = ''

union all

select
    planned.rule,
    planned.task,
    planned.value,
    'sequential_boundaries has no boundary of every look at the alpha of this task' as problem
from policy as planned
inner join {{ ref('declared_tasks') }} as declared_tasks
    on
        planned.task = declared_tasks.task
        -- The row for all tasks counts where a task has none of its own.
        or (
            planned.task = '*'
            and not exists (
                select 1
                from policy as own
                where own.rule = planned.rule and own.task = declared_tasks.task
            )
        )
where
    planned.rule = 'planned_looks'
    and planned.value between 1 and 1000
    and (
        select count(distinct boundaries.look_number)
        from {{ ref('sequential_boundaries') }} as boundaries
        where
            boundaries.planned_looks = planned.value
            and boundaries.challenger_count = 1
            and isfinite(boundaries.boundary_z)
            and abs(boundaries.alpha - (
                select max(alphas.value)
                from policy as alphas
                where
                    alphas.rule = 'alpha'
                    and alphas.task = (
                        select max(named.task)
                        from policy as named
                        where named.rule = 'alpha' and named.task in ('*', declared_tasks.task)
                    )
            )) < 1E-9
    ) < planned.value

union all

select
    'metric ' || declared_metrics.metric as rule,
    declared_metrics.task,
    cast(null as double) as value,
    'a task of kind ' || declared_tasks.kind || ' is not judged by this metric' as problem
from {{ ref('declared_metrics') }} as declared_metrics
inner join {{ ref('declared_tasks') }} as declared_tasks on declared_metrics.task = declared_tasks.task
where not exists (
    select 1
    from kind_metrics
    where kind_metrics.kind = declared_tasks.kind and kind_metrics.metric = declared_metrics.metric
)

union all

select
    'guardrail ' || coalesce(declared_guardrails.metric, '?') as rule,
    declared_guardrails.task,
    declared_guardrails.margin as value,
    'the margin is not a number of 0 or more' as problem
from {{ ref('declared_guardrails') }} as declared_guardrails
where not coalesce(isfinite(declared_guardrails.margin) and declared_guardrails.margin >= 0E0, false)
