{{ config(materialized='view') }}

{%- for task in var('online_tasks') %}
select * from {{ ref('rollout_units_' ~ task) }}
{{ 'union all' if not loop.last }}
{%- endfor %}
