{#- Per sample: how much warmer the cabinet is than at its tenth previous sample. -#}
{%- set back = 10 %}
{%- set within_us = seconds(720) %}
{%- set batch = current_batch() %}

with

samples as (
    select * from ({{ events_in_scope(ref('stg_kafka__telemetry'), 0) }}) as in_scope
    where cabinet_temp_c is not null
),

compared as (
    select
        samples.*,
        tenth.us as tenth_us,
        samples.cabinet_temp_c - tenth.cabinet_temp_c as warming_c
    from samples
    cross join lateral (
        select before.us, before.cabinet_temp_c from {{ ref('stg_kafka__telemetry') }} as before
        where
            before.device_id = samples.device_id
            and before.us <= samples.us
            and before.us >= samples.us - {{ within_us }}
            and before.cabinet_temp_c is not null
            and before.batch_id <= {{ batch.batch_id }}
            and (before.us, before.epoch, before."partition", before."offset")
            < (samples.us, samples.epoch, samples."partition", samples."offset")
        order by before.us desc, before.epoch desc, before."partition" desc, before."offset" desc
        limit 1
        offset {{ back - 1 }}
    ) as tenth
),

-- Of simultaneous samples the last counts.
judged as (
    select distinct on (device_id, us)
        *,
        case when warming_c >= {{ threshold('warming_c') }} then 'breach' else 'clear' end as verdict
    from compared
    order by device_id, us, epoch desc, "partition" desc, "offset" desc
)

-- What lies between neither opens nor clears.
select
    judged.device_id as subject,
    'device' as subject_kind,
    '' as component,
    judged.tenth_us as window_start_us,
    judged.us as window_end_us,
    judged.verdict,
    judged.warming_c as observed,
    case
        when judged.verdict = 'clear' then {{ threshold('clear_below_c') }}
        else {{ threshold('warming_c') }}
    end::double precision as threshold,
    coalesce(witnesses.evidence, '[]'::jsonb) as evidence
from judged
left join lateral (
    {{ witnesses(
        'telemetry.raw', ref('stg_kafka__telemetry'), 'judged.device_id', 'judged.tenth_us - 1', 'judged.us',
        "judged.verdict = 'breach'", 'witness.cabinet_temp_c is not null'
    ) }}
) as witnesses on true
where judged.verdict = 'breach' or judged.warming_c < {{ threshold('clear_below_c') }}
