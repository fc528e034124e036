{#-
Hopping 10 min by 1 per device: the reader was offline in every sample; over with the third online
in a row. Not judged while the device owes a beat (rule 2): its spool tells of a time without uplink.
-#}
{%- set size_us = seconds(600) %}
{%- set hop_us = seconds(60) %}
{%- set batch = current_batch() %}

with

hopped as (
    select
        device_id,
        window_end_us,
        count(*) as samples
    from ({{ hops_in_scope(ref('stg_kafka__telemetry'), size_us, hop_us, 'us') }}) as windowed
    where not cashless_online
    group by device_id, window_end_us
    having count(*) >= {{ threshold('samples') }}
),

down as (
    select hopped.* from hopped
    where
        not exists (
            select 1 from {{ ref('stg_kafka__telemetry') }} as online
            where
                online.device_id = hopped.device_id
                and online.cashless_online
                and online.us > hopped.window_end_us - {{ size_us }}
                and online.us <= hopped.window_end_us
                and online.batch_id <= {{ batch.batch_id }}
        )
        and not {{ owes_a_beat('hopped.device_id', 'hopped.window_end_us') }}
),

arrived as (
    select * from ({{ events_in_scope(ref('stg_kafka__telemetry'), 0) }}) as in_scope
    where cashless_online
),

-- The third in a row: the two before are online, the one before these is not.
back as (
    select arrived.device_id, arrived.us
    from arrived
    cross join lateral (
        select array_agg(last_ones.cashless_online order by last_ones.number) as states
        from (
            select
                before.cashless_online,
                row_number() over (
                    order by before.us desc, before.epoch desc, before."partition" desc, before."offset" desc
                ) as number
            from {{ ref('stg_kafka__telemetry') }} as before
            where
                before.device_id = arrived.device_id
                and before.us <= arrived.us
                and before.cashless_online is not null
                and before.batch_id <= {{ batch.batch_id }}
                and (before.us, before.epoch, before."partition", before."offset")
                < (arrived.us, arrived.epoch, arrived."partition", arrived."offset")
            order by before.us desc, before.epoch desc, before."partition" desc, before."offset" desc
            limit {{ threshold('clear_after_samples') }}
        ) as last_ones
    ) as row_before
    where
        true = all(row_before.states[:{{ threshold('clear_after_samples') }} - 1])
        and cardinality(row_before.states) >= {{ threshold('clear_after_samples') }} - 1
        and row_before.states[{{ threshold('clear_after_samples') }}] is not true
),

judged as (
    select
        device_id,
        window_end_us - {{ size_us }} as window_start_us,
        window_end_us,
        'breach' as verdict,
        samples,
        {{ threshold('samples') }} as threshold
    from down
    union all
    select distinct
        device_id,
        us as window_start_us,
        us as window_end_us,
        'clear' as verdict,
        {{ threshold('clear_after_samples') }} as samples,
        {{ threshold('clear_after_samples') }} as threshold
    from back
)

select
    judged.device_id as subject,
    'device' as subject_kind,
    '' as component,
    judged.window_start_us,
    judged.window_end_us,
    judged.verdict,
    judged.samples::double precision as observed,
    judged.threshold::double precision as threshold,
    coalesce(witnesses.evidence, '[]'::jsonb) as evidence
from judged
left join lateral (
    {{ witnesses(
        'telemetry.raw', ref('stg_kafka__telemetry'), 'judged.device_id', 'judged.window_start_us',
        'judged.window_end_us',
        "judged.verdict = 'breach'", 'not witness.cashless_online'
    ) }}
) as witnesses on true
