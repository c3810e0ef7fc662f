with

products as (
    select * from {{ source('completejourney', 'products') }}
)

select
    product_id,
    manufacturer_id,
    department,
    brand = 'Private' as is_private_label,
    product_category,
    product_type,
    package_size,
    known_at
from products
