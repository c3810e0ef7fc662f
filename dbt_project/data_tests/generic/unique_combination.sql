{#  Rows whose columns, taken together, occur more than once, nulls counting as equal, or hold a null.
    columns: list of column names. nullable: those of them that may be null.
    Fails with each such combination and its count. -#}
{% test unique_combination(model, columns, nullable=[]) %}
select
    {% for column in columns %}{{ column }},
    {% endfor -%}
    count(*) as row_count
from {{ model }}
group by {% for column in columns %}{{ column }}{{ ', ' if not loop.last }}{% endfor %}
having
    count(*) > 1
    {%- for column in columns if column not in nullable %}
    or {{ column }} is null
    {%- endfor %}
{% endtest %}
