{{ config(alias='feat_flight', materialized='view') }}

{{ current_features(ref('feat_flight', v=1)) }}
