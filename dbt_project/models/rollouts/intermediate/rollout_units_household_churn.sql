{{ config(materialized='view') }}

{{ rollout_units('household_churn', ref('score_household_churn', v=1)) }}
