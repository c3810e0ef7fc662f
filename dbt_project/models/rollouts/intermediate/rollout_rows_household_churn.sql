{{ config(materialized='view') }}

{{ rollout_rows(
    'household_churn', ref('rollout_stages'), ref('score_household_churn', v=1), ref('label_household_spend')
) }}
