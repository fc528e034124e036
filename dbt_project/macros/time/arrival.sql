{#- When a record reached the platform: the collector's time, unless it is missing or absurd; then
    Kafka's. -#}
{% macro arrival(gateway_ts, kafka_ts) -%}
    case
        when {{ gateway_ts }} is null then {{ kafka_ts }}
        when {{ gateway_ts }} > {{ kafka_ts }} + interval '5 minutes' then {{ kafka_ts }}
        when {{ gateway_ts }} < {{ kafka_ts }} - interval '20 days' then {{ kafka_ts }}
        else {{ gateway_ts }}
    end
{%- endmacro %}
