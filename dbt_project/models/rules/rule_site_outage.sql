{#-
Tumbling 5 min per site, from the registry: how many of the devices expected were heard from.

Heard from is any record, at its own time; what a spool or a wrong clock brings, at its arrival.
-#}
{%- set size_us = pane_us() %}
{%- set batch = current_batch() %}

with

-- Of the time before the first record nothing is known, least of all silence.
known as (
    select min(beat_us) as from_us from {{ ref('stg_kafka__heartbeats') }}
    where batch_id = 1
),

sites as (
    select distinct
        registered.site_id,
        greatest(
            coalesce(late.from_us, {{ batch.from_us }}),
            known.from_us + {{ size_us - 1 }}
        ) as from_us
    from {{ source('reference', 'devices') }} as registered
    inner join known on known.from_us is not null
    left join {{ ref('int_batch_scope') }} as late
        on late.subject_kind = 'site' and registered.site_id = late.subject
),

windows as (
    select
        sites.site_id,
        ends.window_end_us
    from sites
    cross join lateral generate_series(
        (sites.from_us / {{ size_us }} + 1) * {{ size_us }},
        {{ batch.watermark_us }},
        {{ size_us }}
    ) as ends (window_end_us)
),

-- In most batches those of few sites.
asked as (
    select registered.device_id from {{ source('reference', 'devices') }} as registered
    where registered.site_id in (select windows.site_id from windows)
),

registry as (
    {{ registered_devices('asked') }}
),

expected as (
    select
        windows.site_id,
        windows.window_end_us,
        registry.device_id
    from windows
    inner join registry
        on
            windows.site_id = registry.site_id
            and {{ in_operation('registry', 'windows.window_end_us') }}
            and registry.start_us <= windows.window_end_us - {{ size_us }}
),

counted as (
    select
        expected.site_id,
        expected.window_end_us,
        count(*) as devices,
        count(*) filter (where exists (
            {{ signs_of_life(
                'expected.device_id', 'expected.window_end_us - ' ~ size_us, 'expected.window_end_us'
            ) }}
        )) as heard
    from expected
    group by expected.site_id, expected.window_end_us
),

shared as (
    select
        *,
        heard::double precision / devices as share
    from counted
    where devices >= {{ threshold('devices') }}
),

judged as (
    select
        *,
        case
            when share < {{ threshold('share') }} then 'breach'
            when share >= {{ threshold('clear_at_share') }} then 'clear'
            else 'hold'
        end as verdict
    from shared
)

select
    site_id as subject,
    'site' as subject_kind,
    '' as component,
    window_end_us - {{ size_us }} as window_start_us,
    window_end_us,
    verdict,
    share as observed,
    case
        when verdict = 'clear' then {{ threshold('clear_at_share') }}
        else {{ threshold('share') }}
    end::double precision as threshold,
    '[]'::jsonb as evidence
from judged
