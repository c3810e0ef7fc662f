{#  Several column rules in one scan: what must not be null, and closed lists. One test a table, because
    these run every day. not_null: list of columns; accepted: column -> its values (nulls pass);
    accepted_codes: list column -> its values, an empty list fails. Fails with column, problem and count. -#}
{% test columns_are_sound(model, not_null=[], accepted={}, accepted_codes={}) %}

select
    column_name,
    problem,
    count(*) as row_count
from (
    {%- set parts = [] %}
    {%- for column in not_null %}
        {%- do parts.append("select '" ~ column ~ "' as column_name, 'null' as problem from " ~ model
            ~ " where " ~ column ~ " is null") %}
    {%- endfor %}
    {%- for column, values in accepted.items() %}
        {%- do parts.append("select '" ~ column ~ "' as column_name, " ~ column ~ " as problem from " ~ model
            ~ " where " ~ column ~ " not in ('" ~ values | join("', '") ~ "')") %}
    {%- endfor %}
    {%- for column, values in accepted_codes.items() %}
        {%- do parts.append("select '" ~ column ~ "' as column_name, code as problem from (select unnest(case when len("
            ~ column ~ ") = 0 then ['(empty)'] else " ~ column ~ " end) as code from " ~ model
            ~ ") as codes where code not in ('" ~ values | join("', '") ~ "')") %}
    {%- endfor %}
    {{ parts | join('\n    union all\n    ') }}
) as problems
group by column_name, problem

{% endtest %}
