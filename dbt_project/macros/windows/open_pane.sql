{#-
Panes grow batch by batch: of the one that is open when a batch begins, only the batch's own events are
read, and added to what the row says. (Measured at 50,000 machines: to read five minutes when a pane
ends took 1.5 s of one batch in thirty.)

`open_pane` returns one row: `goes_on`, whether the rows of that pane hold all that came before. They do
not in a new table, nor where an earlier attempt at the batch has added to them: then its events are read
from its beginning, as are those of devices with late ones.
-#}
{% macro open_pane() %}
    {%- if is_incremental() %}
    select coalesce(bool_and(batch_id < {{ current_batch().batch_id }}), false) as goes_on from {{ this }}
    where pane_end_us = {{ open_pane_end_us() }}
    {%- else %}
    select false as goes_on
    {%- endif %}
{% endmacro %}


{#- Where the pane ends in which the batch begins. -#}
{% macro open_pane_end_us() -%}
    {{ (current_batch().from_us // pane_us() + 1) * pane_us() }}
{%- endmacro %}


{#-
The events of the batch's panes, with `pane_end_us`, and `goes_on`: they are to be added to a row.

Args:
    relation: A staging model. The CTE `open_pane` must be there.
-#}
{% macro events_of_panes(relation) %}
    {%- set from_us = current_batch().from_us %}
    {%- set pane_end_us = window_end('us', pane_us()) %}
    select
        *,
        {{ pane_end_us }} as pane_end_us,
        (select open_pane.goes_on from open_pane) and {{ pane_end_us }} = {{ open_pane_end_us() }} as goes_on
    from ({{ punctual_events(relation, 0) }}) as punctual
    union all
    select
        *,
        {{ pane_end_us }} as pane_end_us,
        false as goes_on
    from ({{ punctual_events(relation, from_us % pane_us()) }}) as begun
    where us <= {{ from_us }} and not (select open_pane.goes_on from open_pane)
    union all
    select
        *,
        {{ pane_end_us }} as pane_end_us,
        false as goes_on
    from ({{ late_events(relation, pane_us()) }}) as late
    where {{ pane_end_us }} > scope_from_us
{% endmacro %}


{#- The boots of two sorted arrays, the first of which may be null; mostly they are the same. -#}
{% macro boots_of_both(known, added) -%}
    case
        when {{ known }} is null then {{ added }}
        when {{ known }} @> {{ added }} then {{ known }}
        else (
            select array_agg(distinct of_both.boot)
            from unnest({{ known }} || {{ added }}) as of_both (boot)
        )
    end
{%- endmacro %}
