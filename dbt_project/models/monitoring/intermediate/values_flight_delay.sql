{{ config(materialized='incremental', incremental_strategy='append', on_schema_change='fail') }}

{{ scored_values(
    'flight_delay',
    predictions=ref('pred_flight_delay_all_versions'),
    scoring_sets={1: ref('score_flight_delay', v=1)},
) }}
