{#  Evidence in one canonical form, so that it hashes alike whatever the thread count. -#}

{# A double rounded to 10 significant digits: sums of doubles depend on the order of the threads in
   their last digits. NULL, NaN and infinity stay what they are. -#}
{% macro round_significant(value) -%}
    {{ return(adapter.dispatch('round_significant')(value)) }}
{%- endmacro %}

{% macro default__round_significant(value) -%}
    cast(printf('%.9e', cast({{ value }} as double)) as double)
{%- endmacro %}

{# The text of a double with 10 significant digits, such as 1.234500000e+00; NULL for NULL. -#}
{% macro canonical_number(value) -%}
    {{ return(adapter.dispatch('canonical_number')(value)) }}
{%- endmacro %}

{% macro default__canonical_number(value) -%}
    printf('%.9e', cast({{ value }} as double))
{%- endmacro %}

{# The sha256 of a text as 64 hexadecimal digits; NULL for NULL. -#}
{% macro sha256(text) -%}
    {{ return(adapter.dispatch('sha256')(text)) }}
{%- endmacro %}

{% macro default__sha256(text) -%}
    sha256({{ text }})
{%- endmacro %}

{# Aggregate: a hash of a set of texts that does not depend on their order, 38 digits or fewer.
   The sum of the first 60 bits of each md5; equal rows count as often as they stand there. -#}
{% macro order_free_hash(text) -%}
    {{ return(adapter.dispatch('order_free_hash')(text)) }}
{%- endmacro %}

{% macro default__order_free_hash(text) -%}
    cast(sum(cast(concat('0x', substr(md5({{ text }}), 1, 15)) as bigint)) as varchar)
{%- endmacro %}

{# The text of a double for people: 4 significant digits, from 1,000 on whole; NULL for NULL. -#}
{% macro readable_number(value) -%}
    {{ return(adapter.dispatch('readable_number')(value)) }}
{%- endmacro %}

{% macro default__readable_number(value) -%}
    case
        when abs({{ value }}) >= 1E3 and abs({{ value }}) < 1E15 then printf('%.0f', cast({{ value }} as double))
        else printf('%.4g', cast({{ value }} as double))
    end
{%- endmacro %}
