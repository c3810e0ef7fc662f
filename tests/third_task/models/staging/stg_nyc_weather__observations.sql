select
    origin,
    time_hour as observed_at,
    cast(time_hour as date) as observed_date,
    cast(extract(hour from time_hour) as integer) as hour_utc,
    cast(round(temp, 2) as decimal(6, 2)) as temperature_f,
    cast(round(humid, 2) as decimal(6, 2)) as humidity_percent,
    cast(round(pressure, 1) as decimal(6, 1)) as pressure_mbar,
    cast(round(wind_speed, 2) as decimal(8, 2)) as wind_mph,
    known_at
from {{ source('nyc_weather', 'weather') }}
