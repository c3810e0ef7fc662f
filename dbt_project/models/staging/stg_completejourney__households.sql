with

demographics as (
    select * from {{ source('completejourney', 'demographics') }}
)

select
    household_id,
    age as age_band,
    income as income_band,
    home_ownership,
    marital_status,
    household_size as household_size_band,
    household_comp as household_composition,
    kids_count as kids_count_band,
    known_at
from demographics
