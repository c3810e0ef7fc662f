{#  The normal and Student t distributions as SQL expressions.
    Arguments are SQL expressions of type double; each is written out many times, so give a column,
    not a long formula. No branch divides by zero or takes the logarithm of zero, not even a dead one. -#}

{# Standard normal CDF, P(Z <= z).
   Formula: Hart's rational approximation, Computer Approximations (1968) 5666, as given by West,
   "Better approximations to cumulative normal functions" (2005). Absolute error below 2e-16.
   Domain: every finite or infinite double. NULL or NaN: NULL. -#}
{% macro normal_cdf(z) -%}
    {%- set a -%} abs({{ z }}) {%- endset -%}
    {%- set numerator = ['3.52624965998911E-02', '7.00383064443688E-01', '6.37396220353165E0',
        '3.3912866078383E1', '1.12079291497871E2', '2.21213596169931E2', '2.20206867912376E2'] -%}
    {%- set denominator = ['8.83883476483184E-02', '1.75566716318264E0', '1.6064177579207E1',
        '8.67807322029461E1', '2.96564248779674E2', '6.37333633378831E2', '7.93826512519948E2',
        '4.40413735824752E2'] -%}
    {%- set tail -%}
    case
        when {{ a }} > 37E0 then 0E0
        when {{ a }} < 7.07106781186547E0
            then exp(-{{ a }} * {{ a }} / 2E0)
                * {{ horner(numerator, a) }}
                / {{ horner(denominator, a) }}
        else exp(-{{ a }} * {{ a }} / 2E0) / (
            {{ a }} + 1E0 / ({{ a }} + 2E0 / ({{ a }} + 3E0 / ({{ a }} + 4E0 / ({{ a }} + 6.5E-1))))
        ) / 2.506628274631E0
    end
    {%- endset -%}
    case
        when {{ z }} is null or isnan({{ z }}) then cast(null as double)
        when {{ z }} > 0E0 then 1E0 - {{ tail }}
        else {{ tail }}
    end
{%- endmacro %}

{# Standard normal quantile: the z with P(Z <= z) = probability.
   Formula: Wichura, Algorithm AS 241 (PPND16), Applied Statistics 37 (1988). Relative error 1e-14.
   Domain: 0 < probability < 1. Outside it, NULL or NaN: NULL. -#}
{% macro normal_quantile(probability) -%}
    {%- set p = '(' ~ probability ~ ')' -%}
    {%- set q = '(' ~ probability ~ ' - 5E-1)' -%}
    {%- set tail -%}
    sqrt(greatest(0E0, -ln(greatest(1E-300, case when {{ q }} < 0E0 then {{ p }} else 1E0 - {{ p }} end))))
    {%- endset -%}
    case
        when {{ p }} is null or isnan({{ p }}) or {{ p }} <= 0E0 or {{ p }} >= 1E0 then cast(null as double)
        when abs({{ q }}) <= 4.25E-1
            then {{ q }}
                * {{ horner(['2.5090809287301226727E3', '3.3430575583588128105E4',
                    '6.7265770927008700853E4', '4.5921953931549871457E4', '1.3731693765509461125E4',
                    '1.9715909503065514427E3', '1.3314166789178437745E2', '3.3871328727963666080E0'],
                    '(1.80625E-1 - ' ~ q ~ ' * ' ~ q ~ ')') }}
                / {{ horner(['5.2264952788528545610E3', '2.8729085735721942674E4',
                    '3.9307895800092710610E4', '2.1213794301586595867E4', '5.3941960214247511077E3',
                    '6.8718700749205790830E2', '4.2313330701600911252E1', '1E0'],
                    '(1.80625E-1 - ' ~ q ~ ' * ' ~ q ~ ')') }}
        else sign({{ q }}) * case
            when {{ tail }} <= 5E0
                then {{ horner(['7.74545014278341407640E-4', '2.27238449892691845833E-2',
                    '2.41780725177450611770E-1', '1.27045825245236838258E0', '3.64784832476320460504E0',
                    '5.76949722146069140550E0', '4.63033784615654529590E0', '1.42343711074968357734E0'],
                    '(' ~ tail ~ ' - 1.6E0)') }}
                / {{ horner(['1.05075007164441684324E-9', '5.47593808499534494600E-4',
                    '1.51986665636164571966E-2', '1.48103976427480074590E-1', '6.89767334985100004550E-1',
                    '1.67638483018380384940E0', '2.05319162663775882187E0', '1E0'],
                    '(' ~ tail ~ ' - 1.6E0)') }}
            else {{ horner(['2.01033439929228813265E-7', '2.71155556874348757815E-5',
                    '1.24266094738807843860E-3', '2.65321895265761230930E-2', '2.96560571828504891230E-1',
                    '1.78482653991729133580E0', '5.46378491116411436990E0', '6.65790464350110377720E0'],
                    '(' ~ tail ~ ' - 5E0)') }}
                / {{ horner(['2.04426310338993978564E-15', '1.42151175831644588870E-7',
                    '1.84631831751005468180E-5', '7.86869131145613259100E-4', '1.48753612908506148525E-2',
                    '1.36929880922735805310E-1', '5.99832206555887937690E-1', '1E0'],
                    '(' ~ tail ~ ' - 5E0)') }}
        end
    end
{%- endmacro %}

{# A polynomial by Horner's rule. coefficients: list of double literals, highest power first;
   x: a SQL expression, in brackets unless a name or a call. -#}
{% macro horner(coefficients, x) -%}
    {{- '(' * (coefficients | length - 1) -}}
    {{- coefficients[0] -}}
    {%- for coefficient in coefficients[1:] %} * {{ x }} + {{ coefficient }}){% endfor -%}
{%- endmacro %}

{# Student t critical value from the normal one: the t with the same tail probability as z.
   Formula: Wallace (1959), z = sign(t) * (8 df + 1) / (8 df + 3) * sqrt(df * ln(1 + t^2 / df)), solved
   for t. It errs towards a larger t: for df >= 6 and |z| <= 4 the true tail probability is between 0.86
   and 1.0013 times the wanted one (tested), for df >= 27 between 0.993 and 1.0001 times.
   Domain: df >= 1, |z| <= 9. Outside it, NULL or NaN: NULL. -#}
{% macro student_t_critical_value(z, degrees_of_freedom) -%}
    {%- set df = 'greatest(1, ' ~ degrees_of_freedom ~ ')' -%}
    case
        when {{ degrees_of_freedom }} >= 1 and abs({{ z }}) <= 9E0
            then sign({{ z }}) * sqrt({{ df }} * greatest(0E0, exp(least(700E0,
                pow({{ z }} * (8E0 * {{ df }} + 3E0) / (8E0 * {{ df }} + 1E0), 2) / {{ df }}
            )) - 1E0))
    end
{%- endmacro %}
