with

campaigns as (
    select * from {{ source('completejourney', 'campaigns') }}
)

select
    campaign_id,
    household_id,
    known_at
from campaigns
