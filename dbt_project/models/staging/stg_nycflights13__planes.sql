with

planes as (
    select * from {{ source('nycflights13', 'planes') }}
)

select
    tailnum as tail_number,
    cast(year as integer) as manufactured_year,
    manufacturer,
    model as plane_model,
    cast(engines as integer) as engine_count,
    cast(seats as integer) as seat_count,
    known_at
from planes
