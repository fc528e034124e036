{#- Per COIN_JAM: the third raised within 10 min with no clear between. -#}
{%- set size_us = seconds(600) %}
{%- set silence_us = seconds(1800) %}
{%- set batch = current_batch() %}

with

jams as (
    select * from ({{ events_in_scope(ref('stg_kafka__alerts'), silence_us) }}) as in_scope
    where code = 'COIN_JAM'
),

followed as (
    select
        *,
        lag(state, 1) over in_order as state_1,
        lag(state, 2) over in_order as state_2,
        lag(us, 2) over in_order as us_2,
        min(us) filter (where state = 'raised') over (
            partition by device_id order by us, epoch, "partition", "offset"
            rows between 1 following and unbounded following
        ) as next_raised_us
    from jams
    window in_order as (partition by device_id order by us, epoch, "partition", "offset")
),

judged as (
    select
        device_id,
        scope_from_us,
        us_2 as started_us,
        us,
        epoch,
        "partition",
        "offset",
        'breach' as verdict,
        3 as jams
    from followed
    where state = 'raised' and state_1 = 'raised' and state_2 = 'raised' and us_2 > us - {{ size_us }}
    union all
    select
        device_id,
        scope_from_us,
        us as started_us,
        us,
        epoch,
        "partition",
        "offset",
        'clear' as verdict,
        0 as jams
    from followed
    where state = 'cleared'
    union all
    select
        device_id,
        scope_from_us,
        us as started_us,
        us + {{ silence_us }} as us,
        epoch,
        "partition",
        "offset",
        'clear' as verdict,
        0 as jams
    from followed
    where state = 'raised' and (next_raised_us is null or next_raised_us > us + {{ silence_us }})
),

-- Of what happens at one instant the last counts.
decisive as (
    select distinct on (device_id, us) * from judged
    where us > scope_from_us and us <= {{ batch.watermark_us }}
    order by device_id, us, epoch desc, "partition" desc, "offset" desc
)

select
    decisive.device_id as subject,
    'device' as subject_kind,
    '' as component,
    decisive.started_us as window_start_us,
    decisive.us as window_end_us,
    decisive.verdict,
    decisive.jams::double precision as observed,
    3::double precision as threshold,
    coalesce(witnesses.evidence, '[]'::jsonb) as evidence
from decisive
left join lateral (
    {{ witnesses(
        'alerts.raw', ref('stg_kafka__alerts'), 'decisive.device_id', 'decisive.started_us - 1', 'decisive.us',
        "decisive.verdict = 'breach'", "witness.code = 'COIN_JAM'"
    ) }}
) as witnesses on true
