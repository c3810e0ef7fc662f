{{ config(alias='feat_household', materialized='view') }}

{{ current_features(ref('feat_household', v=2)) }}
