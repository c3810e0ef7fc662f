{#  Expressions that differ between engines, one macro each, behind adapter.dispatch.
    Only `default__` (DuckDB) exists today; another engine adds `<adapter>__` beside it.
    Arguments are SQL expressions, given as strings. -#}

{# A date moved by a whole number of days. Null when either is null. -#}
{% macro add_days(date_column, days) -%}
    {{ return(adapter.dispatch('add_days')(date_column, days)) }}
{%- endmacro %}

{% macro default__add_days(date_column, days) -%}
    cast({{ date_column }} + cast({{ days }} as integer) as date)
{%- endmacro %}

{# Whole days from the first date to the second; negative when the second is earlier. -#}
{% macro days_between(first_date, second_date) -%}
    {{ return(adapter.dispatch('days_between')(first_date, second_date)) }}
{%- endmacro %}

{% macro default__days_between(first_date, second_date) -%}
    cast(date_diff('day', {{ first_date }}, {{ second_date }}) as integer)
{%- endmacro %}

{# A timestamp moved by a whole number of minutes. -#}
{% macro add_minutes(timestamp_column, minutes) -%}
    {{ return(adapter.dispatch('add_minutes')(timestamp_column, minutes)) }}
{%- endmacro %}

{% macro default__add_minutes(timestamp_column, minutes) -%}
    ({{ timestamp_column }} + to_minutes({{ minutes }}))
{%- endmacro %}

{# Day of the week: Monday 1 .. Sunday 7. -#}
{% macro iso_day_of_week(date_column) -%}
    {{ return(adapter.dispatch('iso_day_of_week')(date_column)) }}
{%- endmacro %}

{% macro default__iso_day_of_week(date_column) -%}
    cast(extract(isodow from {{ date_column }}) as integer)
{%- endmacro %}

{# A table of one integer column `n`: first, first + 1, .., last. Both are whole numbers. -#}
{% macro integers(first, last) -%}
    {{ return(adapter.dispatch('integers')(first, last)) }}
{%- endmacro %}

{% macro default__integers(first, last) -%}
    (select cast(generated.n as integer) as n from range({{ first }}, {{ last + 1 }}) as generated (n))
{%- endmacro %}
