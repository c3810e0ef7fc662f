{% set horizon_days = 2 %}

with

scheduled as (
    select * from {{ ref('feat_flight', v=1) }}
),

flights as (
    select * from {{ ref('stg_nycflights13__flights') }}
),

matured as (
    {{- matured_periods('flight_delay', 'scheduled', horizon_days) }}
),

entities as (
    select distinct
        scheduled.carrier,
        scheduled.flight_number,
        scheduled.origin,
        scheduled.scheduled_departure_at,
        matured.as_of_date,
        matured.known_at
    from scheduled
    inner join matured using (as_of_date)
),

days as (
    {{- days_from('matured', horizon_days) }}
),

arrivals as (
    select
        flights.carrier,
        flights.flight_number,
        flights.origin,
        flights.scheduled_departure_at,
        days.as_of_date,
        flights.arrival_delay_minutes
    from flights
    inner join days
        on
            cast(flights.reported_at as date) = days.event_date
            and flights.known_at <= days.known_at
    where
        flights.reported_at >= (select cast(min(event_date) as timestamp) from days)
        and flights.arrival_delay_minutes is not null
)

select
    entities.carrier,
    entities.flight_number,
    entities.origin,
    entities.scheduled_departure_at,
    entities.as_of_date,
    entities.known_at,
    arrivals.arrival_delay_minutes
from entities
inner join arrivals
    using (carrier, flight_number, origin, scheduled_departure_at, as_of_date)
