{{ config(materialized='view') }}

{{ rollout_history('household_churn', ref('label_household_spend')) }}
