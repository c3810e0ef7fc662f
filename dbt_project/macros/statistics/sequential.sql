{#  Looking several times: when a look is due, and what an interval valid at any time needs. -#}

{# Which of the planned looks a number of mature windows stands for: 0 before the first, then 1 at
   first_look_windows and one more every windows_per_look, up to planned_looks. SQL integers. -#}
{% macro look_number(window_count, first_look_windows, windows_per_look, planned_looks) -%}
    case
        when {{ window_count }} < {{ first_look_windows }} then 0
        else cast(least(
            {{ planned_looks }},
            1 + floor(({{ window_count }} - {{ first_look_windows }}) / cast({{ windows_per_look }} as double))
        ) as integer)
    end
{%- endmacro %}

{# Half-width of an interval that holds at every look, however many: an asymptotic confidence sequence
   (Waudby-Smith et al., arXiv 2103.06476; as in GrowthBook), tuned to be narrowest when the standard
   error is planned_standard_error:
       c = -2 ln a + ln(1 - 2 ln a),  k = c * (planned / se)^2,
       half-width = se * sqrt((1 + k) / k * (ln(1 + k) - 2 ln a)).
   Two-sided at `alpha` (a literal or column, in (0, 1)). Domain: both errors finite and above 0. Outside: NULL. -#}
{% macro always_valid_half_width(standard_error, planned_standard_error, alpha) -%}
    {%- set a -%} greatest(1E-300, {{ alpha }}) {%- endset -%}
    {%- set k -%}
    ((-2E0 * ln({{ a }}) + ln(1E0 - 2E0 * ln({{ a }})))
        * pow({{ planned_standard_error }} / greatest(1E-150, {{ standard_error }}), 2))
    {%- endset -%}
    case
        when
            isfinite({{ standard_error }}) and isfinite({{ planned_standard_error }})
            and {{ standard_error }} > 0E0 and {{ planned_standard_error }} > 0E0
            and {{ alpha }} > 0E0 and {{ alpha }} < 1E0
            then {{ standard_error }} * sqrt(greatest(0E0,
                (1E0 + {{ k }}) / greatest(1E-300, {{ k }}) * (ln(1E0 + {{ k }}) - 2E0 * ln({{ a }}))
            ))
    end
{%- endmacro %}
