{{ config(materialized='view') }}

{{ live_periods() }}
