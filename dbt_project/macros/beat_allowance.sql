{#-
How long after a beat, in microseconds, the next one is due at the latest: three of its intervals, or
what the device's own gaps have taught, up to ten.

Args:
    device_id, us, interval_s: Of the beat, each with its relation's name.
-#}
{% macro beat_allowance(device_id, us, interval_s) -%}
    greatest({{ least_allowance(interval_s) }}, least({{ most_allowance(interval_s) }}, coalesce((
        select cadence.learned_us
        from ({{ snapshot_at(ref('int_beat_cadences'), device_id, us, cadence_period_us()) }}) as cadence
    ), 0)))
{%- endmacro %}


{% macro least_allowance(interval_s) -%}
    ({{ interval_s }}::bigint * {{ seconds(3) }})
{%- endmacro %}


{% macro most_allowance(interval_s) -%}
    ({{ interval_s }}::bigint * {{ seconds(longest_intervals()) }})
{%- endmacro %}
