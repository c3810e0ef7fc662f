{#  What is served holds each entity that the champion scored: a treated entity without a score of the
    treatment would otherwise be served nothing, unseen. Fails with each entity and as_of_date without a row.
    predictions: the recorded predictions of every version; entity_key: list of columns. -#}
{% test serves_every_entity(model, predictions, entity_key) %}

select
    {%- for column in entity_key %}
    predictions.{{ column }},
    {%- endfor %}
    predictions.as_of_date
from {{ predictions }} as predictions
left join {{ model }} as served
    on
        {%- for column in entity_key %}
        predictions.{{ column }} = served.{{ column }} and
        {%- endfor %}
        predictions.as_of_date = served.as_of_date
where
    predictions.role = 'champion'
    and served.as_of_date is null

{% endtest %}
