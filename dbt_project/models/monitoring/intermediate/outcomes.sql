{{ config(materialized='view') }}

-- Decisions and quality join it on `task`, so that they are written once and hold for any number of tasks.
{% for task in var('tasks') %}
select * from {{ ref('outcomes_' ~ task) }}
{{ 'union all' if not loop.last }}
{%- endfor %}
