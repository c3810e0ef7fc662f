{#  Values outside their range, in one scan for all columns. Nulls pass, NaN does not.
    ranges: mapping of column name to {min: .., max: ..}, both ends allowed, either may be absent.
    Fails with one row per column that breaks its range, and how often. -#}
{% test values_within(model, ranges) %}
with

counts as (
    select
        {%- for column, range in ranges.items() %}
        count(*) filter (
            where not (
                {%- if 'min' in range %}{{ column }} >= {{ range['min'] }}{% endif -%}
                {{ ' and ' if 'min' in range and 'max' in range }}
                {%- if 'max' in range %}{{ column }} <= {{ range['max'] }}{% endif -%}
                {{ ' and ' }}not isnan(cast({{ column }} as double))
            )
        ) as {{ column }}{{ ',' if not loop.last }}
        {%- endfor %}
    from {{ model }}
)
{% for column in ranges %}
select
    '{{ column }}' as column_name,
    {{ column }} as outside_count
from counts
where {{ column }} > 0
{{ 'union all' if not loop.last }}
{%- endfor %}
{% endtest %}
