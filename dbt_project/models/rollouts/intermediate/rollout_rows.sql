{{ config(materialized='view') }}

{%- for task in var('online_tasks') %}
select * from {{ ref('rollout_rows_' ~ task) }}
{{ 'union all' if not loop.last }}
{%- endfor %}
