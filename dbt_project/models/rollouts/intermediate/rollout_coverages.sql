{{ config(materialized='view') }}

-- From docs/statistics.md section 5. Coverage is nested: who is covered stays covered.
{%- for coverage in ['0.05', '0.25', '0.5', '1'] %}
select {{ coverage }}E0 as coverage_share
{{ 'union all' if not loop.last }}
{%- endfor %}
