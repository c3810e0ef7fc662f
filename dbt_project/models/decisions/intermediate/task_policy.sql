{{ config(materialized='table') }}

with

resolved as (
    select
        declared_tasks.task,
        general.rule,
        coalesce(specific.value, general.value) as value
    from {{ ref('declared_tasks') }} as declared_tasks
    cross join {{ ref('policy') }} as general
    left join {{ ref('policy') }} as specific
        on
            declared_tasks.task = specific.task
            and general.rule = specific.rule
    where general.task = '*'
),

policies as (
    select
        resolved.task,
        {%- for rule, bounds in policy_rules().items() %}
        cast(max(resolved.value) filter (where resolved.rule = '{{ rule }}') as {{ bounds[0] }}) as {{ rule }},
        {%- endfor %}
        {{ sha256("string_agg(resolved.rule || '=' || " ~ canonical_number('resolved.value')
        ~ ", ';' order by resolved.rule)") }} as policy_hash
    from resolved
    group by resolved.task
)

select
    policies.task,
    {%- for rule in policy_rules() %}
    policies.{{ rule }},
    {%- endfor %}
    {{ normal_quantile('1E0 - policies.alpha') }} as alpha_z,
    policies.policy_hash
from policies
