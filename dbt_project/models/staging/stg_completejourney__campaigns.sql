with

campaign_descriptions as (
    select * from {{ source('completejourney', 'campaign_descriptions') }}
)

select
    campaign_id,
    campaign_type,
    cast(start_date as date) as start_date,
    cast(end_date as date) as end_date,
    known_at
from campaign_descriptions
