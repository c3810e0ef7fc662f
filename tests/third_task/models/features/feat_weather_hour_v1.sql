with

observations as (
    select * from {{ ref('stg_nyc_weather__observations') }}
),

periods as (
    {{- periods_to_build(['temperature_change']) }}
),

days as (
    {{- days_before('periods', 7) }}
)

select
    observations.origin,
    observations.hour_utc,
    days.as_of_date,
    days.known_at,
    observations.origin as airport,
    observations.hour_utc as hour_of_day,
    cast(extract(month from days.as_of_date) as integer) as month_number,
    max(case when days.days_before = 1 then observations.temperature_f end) as temperature_f,
    max(case when days.days_before = 1 then observations.temperature_f end)
        - max(case when days.days_before = 2 then observations.temperature_f end) as warming_f,
    max(case when days.days_before = 1 then observations.temperature_f end)
        - cast(sum(observations.temperature_f) / count(observations.temperature_f) as decimal(6, 2))
        as anomaly_f,
    max(case when days.days_before = 1 then observations.humidity_percent end) as humidity_percent,
    max(case when days.days_before = 1 then observations.wind_mph end) as wind_mph
from observations
inner join days
    on
        observations.observed_date = days.event_date
        and observations.known_at <= days.known_at
where {{ is_within('observations.observed_at', 'days') }}
group by observations.origin, observations.hour_utc, days.as_of_date, days.known_at
