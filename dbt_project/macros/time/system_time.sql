{#-
Events with `system_us`: the time that Stream Analytics would take them at, by its time policies.

In this order: an event more than 5 minutes ahead of its arrival is dropped; one that arrives more than
`late_us` after its time is dropped, or moved to arrival - late_us; one below the watermark (the
greatest time so far, less out_of_order_us) is dropped, or moved to the watermark. Payloads stay as
they are. Rows: those of `relation` that are left, with system_us, and punctual_us and watermark_us, from
which it follows.

    select * from ({{ system_time(
        ref('stg_kafka__alerts'), order_by='epoch, "partition", "offset"', key='device_id',
        late_us=seconds(300), late='adjust', out_of_order_us=seconds(10), out_of_order='drop'
    ) }}) as timed

Args:
    relation: Events; a relation, a CTE's name, or a query in parentheses.
    order_by: Columns by which no two events arrived together.
    late_us: Tolerance of lateness, at most 20 days; of exactly so much an event is on time.
    late: drop or adjust.
    out_of_order_us: Tolerance of disorder; on the watermark an event is in order.
    out_of_order: drop or adjust.
    key: Columns with a watermark each (TIMESTAMP BY … OVER …); none: one for all.
    early: Whether what is too early is dropped; there it always is.
    us: The column of event time.
    arrival_us: The column of arrival.
-#}
{% macro system_time(
    relation, order_by, late_us, late, out_of_order_us, out_of_order,
    key=none, early=true, us='us', arrival_us='arrival_us'
) -%}
    {%- set late_us = checked_us('tolerance of lateness', late_us, 0, 1728000000000) -%}
    {%- set out_of_order_us = checked_us('tolerance of disorder', out_of_order_us, 0) -%}
    {%- for policy in (late, out_of_order) if policy not in ('drop', 'adjust') -%}
        {{ exceptions.raise_compiler_error('time policy is ' ~ policy ~ ': give drop or adjust') }}
    {%- endfor -%}
    {%- set conditions = [] -%}
    {%- if early -%}
        {%- do conditions.append(us ~ ' <= ' ~ arrival_us ~ ' + 300000000') -%}
    {%- endif -%}
    {%- if late == 'drop' -%}
        {%- do conditions.append(arrival_us ~ ' - ' ~ us ~ ' <= ' ~ late_us) -%}
    {%- endif -%}
    select
        ordered.*,
        greatest(punctual_us, watermark_us) as system_us
    from (
        select
            timely.*,
            -- Neither a dropped nor a moved event raises the greatest time.
            max(punctual_us) over (
                {% if key %}partition by {{ key }} {% endif %}order by {{ order_by }} rows unbounded preceding
            ) - {{ out_of_order_us }} as watermark_us
        from (
            select
                events.*,
                greatest({{ us }}, {{ arrival_us }} - {{ late_us }}) as punctual_us
            from {{ relation }} as events
            {%- if conditions %}
            where {{ conditions | join(' and ') }}
            {%- endif %}
        ) as timely
    ) as ordered
    {%- if out_of_order == 'drop' %}
    where punctual_us >= watermark_us
    {%- endif %}
{%- endmacro %}
