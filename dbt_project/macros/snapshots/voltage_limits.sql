{#-
Columns low_v and high_v, beyond which a sample is anomalous, and still_v, the value at which the sensor
stands still; null where there is nothing to compare with. The scale of a baseline is its MAD × 1.4826
(a standard deviation, were the samples normally distributed), and never below a share of the median.

Args:
    boot_id: The boot that sent the sample.
    baseline: The row of int_voltage_baselines that is valid then.
-#}
{% macro voltage_limits(boot_id, baseline) -%}
    {%- set trailing -%}
        case
            when {{ boot_id }} = {{ baseline }}.boot_id and {{ baseline }}.samples >= {{ threshold('trailing_least') }}
                then {{ baseline }}.trailing_v
        end
    {%- endset -%}
    {%- set weekly = baseline ~ '.weekly_v' -%}
    {%- set trailing_s = _voltage_scale(baseline, 'trailing') -%}
    {%- set weekly_s = _voltage_scale(baseline, 'weekly') -%}
    {%- set near, far = threshold('near_z'), threshold('far_z') -%}
    case
        when {{ weekly }} is null then {{ trailing }} - {{ far }} * {{ trailing_s }}
        when {{ trailing }} is null then {{ weekly }} - {{ far }} * {{ weekly_s }}
        else greatest(
            least({{ trailing }} - {{ near }} * {{ trailing_s }}, {{ weekly }} - {{ near }} * {{ weekly_s }}),
            {{ weekly }} - {{ far }} * {{ weekly_s }}
        )
    end as low_v,
    case
        when {{ weekly }} is null then {{ trailing }} + {{ far }} * {{ trailing_s }}
        when {{ trailing }} is null then {{ weekly }} + {{ far }} * {{ weekly_s }}
        else least(
            greatest({{ trailing }} + {{ near }} * {{ trailing_s }}, {{ weekly }} + {{ near }} * {{ weekly_s }}),
            {{ weekly }} + {{ far }} * {{ weekly_s }}
        )
    end as high_v,
    case
        when {{ baseline }}.trailing_mad_v = 0 and {{ baseline }}.weekly_mad_v >= {{ threshold('still_mad_v') }}
            then {{ trailing }}
    end as still_v
{%- endmacro %}


{% macro _voltage_scale(baseline, kind) -%}
    greatest(1.4826 * {{ baseline }}.{{ kind }}_mad_v, {{ threshold('floor_share') }} * {{ baseline }}.{{ kind }}_v)
{%- endmacro %}


{#- A predicate on a row with supply_voltage_v and the columns of `voltage_limits`; null where none is known. -#}
{% macro is_beyond_limits(row) -%}
    (
        {{ row }}.supply_voltage_v < {{ row }}.low_v
        or {{ row }}.supply_voltage_v > {{ row }}.high_v
        or {{ row }}.supply_voltage_v = {{ row }}.still_v
    )
{%- endmacro %}


{#- A lateral join's query: the last so many samples of a device up to an instant, of twelve hours at most,
    each with the limits of its own time. -#}
{% macro last_voltages(device_id, until_us, count) %}
    select
        last_ones.us,
        last_ones.supply_voltage_v,
        {{ voltage_limits('last_ones.boot_id', 'baseline') }}
    from (
        select sample.* from {{ ref('stg_kafka__telemetry') }} as sample
        where
            sample.device_id = {{ device_id }}
            and sample.us <= {{ until_us }}
            and sample.us > {{ until_us }} - {{ trailing_span_us() }}
            and sample.supply_voltage_v is not null
            and sample.batch_id <= {{ current_batch().batch_id }}
        order by sample.us desc, sample.epoch desc, sample."partition" desc, sample."offset" desc
        limit {{ count }}
    ) as last_ones
    left join lateral (
        {{ snapshot_at(ref('int_voltage_baselines'), 'last_ones.device_id', 'last_ones.us', baseline_period_us()) }}
    ) as baseline on true
{% endmacro %}
