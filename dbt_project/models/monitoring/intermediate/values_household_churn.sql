{{ config(materialized='incremental', incremental_strategy='append', on_schema_change='fail') }}

{{ scored_values(
    'household_churn',
    predictions=ref('pred_household_churn_all_versions'),
    scoring_sets={1: ref('score_household_churn', v=1), 2: ref('score_household_churn', v=2)},
) }}
