{% set horizon_days = 1 %}

with

hours as (
    select * from {{ ref('feat_weather_hour', v=1) }}
),

observations as (
    select * from {{ ref('stg_nyc_weather__observations') }}
),

matured as (
    {{- matured_periods('temperature_change', 'hours', horizon_days) }}
),

changes as (
    select distinct
        hours.origin,
        hours.hour_utc,
        hours.as_of_date,
        matured.known_at,
        observations.temperature_f - hours.temperature_f as change_f
    from hours
    inner join matured using (as_of_date)
    inner join observations
        on
            hours.origin = observations.origin
            and hours.hour_utc = observations.hour_utc
            and hours.as_of_date = observations.observed_date
            and observations.known_at <= matured.known_at
)

select
    origin,
    hour_utc,
    as_of_date,
    known_at,
    case when change_f < -4 then 'colder' when change_f > 4 then 'warmer' else 'similar' end
        as temperature_change
from changes
where change_f is not null
