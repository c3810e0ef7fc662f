{#  Looking several times: when a look is due, and what an interval valid at any time needs. -#}

{# Which look a number of mature windows stands for: 0 before the first, then 1 at first_look_windows and one
   more every windows_per_look, up to planned_looks. planned_looks 0: their number is unknown, and every window
   from first_look_windows on is one. SQL integers. -#}
{% macro look_number(window_count, first_look_windows, windows_per_look, planned_looks) -%}
    case
        when {{ window_count }} < {{ first_look_windows }} then 0
        when {{ planned_looks }} = 0 then cast({{ window_count }} - {{ first_look_windows }} + 1 as integer)
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

{# The two-sided level of an always-valid interval, one end of which is to err with probability alpha over all
   looks: 2 alpha / (1 + alpha). 2 alpha alone would not do, because a path may leave both ends: with a the
   two-sided level, at most a / 2 of the paths leave the upper end first; of those that leave the lower end
   first each must come back through 0, and then leaves the upper end with probability p <= a / 2 + (a / 2) p
   like any path from 0. So p <= (a / 2) / (1 - a / 2), which is alpha. alpha: SQL double, in (0, 1). -#}
{% macro two_sided_level(alpha) -%}
    (2E0 * {{ alpha }} / (1E0 + {{ alpha }}))
{%- endmacro %}

{# The always-valid critical value: the half-width in standard errors, one-sided at alpha over all looks.
   Domain of always_valid_half_width. Outside: NULL. -#}
{% macro always_valid_z(standard_error, planned_standard_error, alpha) -%}
    ({{ always_valid_half_width(standard_error, planned_standard_error, two_sided_level(alpha)) }}
        / nullif({{ standard_error }}, 0E0))
{%- endmacro %}

{# The standard error at which a difference of `effect` is just decidable, one-sided at alpha: there the
   half-width is the effect. At se = planned, k = c, so
       planned = effect / sqrt((1 + c) / c * (ln(1 + c) - 2 ln a)),  a = the two-sided level of alpha,
   and since k = c is where the interval is narrowest, it is narrowest when the planned effect is decided.
   effect: SQL double, above 0. 0, NULL or not finite: NULL. -#}
{% macro planned_standard_error(effect, alpha) -%}
    case
        when isfinite({{ effect }}) and {{ effect }} > 0E0
            then {{ effect }} / {{ always_valid_z('1E0', '1E0', alpha) }}
    end
{%- endmacro %}
