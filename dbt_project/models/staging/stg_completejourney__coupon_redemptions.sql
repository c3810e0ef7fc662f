with

coupon_redemptions as (
    select * from {{ source('completejourney', 'coupon_redemptions') }}
)

select
    household_id,
    coupon_upc,
    campaign_id,
    cast(redemption_date as timestamp) as redeemed_at,
    known_at
from coupon_redemptions
