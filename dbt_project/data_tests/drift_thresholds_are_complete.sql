{# A threshold that the SQL names and the seed lacks would be null, and a null never alarms. #}
with

named as (
    {%- for name in drift_threshold_names() %}
    select '{{ name }}' as name
    {{ 'union all' if not loop.last }}
    {%- endfor %}
)

select
    coalesce(named.name, thresholds.name) as name,
    case when named.name is null then 'nothing reads it' else 'the seed lacks it' end as problem
from named
full outer join {{ ref('drift_thresholds') }} as thresholds
    on named.name = thresholds.name
where
    named.name is null
    or thresholds.threshold_value is null
