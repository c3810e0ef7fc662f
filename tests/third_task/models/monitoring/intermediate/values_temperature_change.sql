{{ config(materialized='incremental', incremental_strategy='append', on_schema_change='fail') }}

{{ scored_values(
    'temperature_change',
    predictions=ref('pred_temperature_change_all_versions'),
    scoring_sets={1: ref('score_temperature_change', v=1)},
) }}
