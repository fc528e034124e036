{#-
Per sample, against limits that follow from the device's baselines: its last 120 samples (of the same
boot: who replaces a supply switches the machine off) and its own hour of the week.

Beyond them is what is far from both, or very far from the one that knows more: the hour of the week, if
there is one. So is a value that stands still though at this hour it never did. A breach is the third
such sample among five. A clear is told at the end of the device's own quarter of an hour, if its ten
last samples were within their limits: no state is carried from batch to batch.
-#}
{%- set batch = current_batch() %}

with

samples as (
    select * from ({{ events_in_scope(ref('stg_kafka__telemetry'), 0) }}) as in_scope
    where supply_voltage_v is not null
),

limited as (
    select
        samples.*,
        {{ voltage_limits('samples.boot_id', 'baseline') }}
    from samples
    cross join lateral (
        {{ snapshot_at(ref('int_voltage_baselines'), 'samples.device_id', 'samples.us', baseline_period_us()) }}
    ) as baseline
),

-- Of simultaneous ones the last.
anomalous as (
    select distinct on (device_id, us) * from limited
    where {{ is_beyond_limits('limited') }}
    order by device_id, us, epoch desc, "partition" desc, "offset" desc
),

breaches as (
    select
        anomalous.*,
        latest.window_start_us
    from anomalous
    cross join lateral (
        select
            min(judged.us) as window_start_us,
            count(*) filter (where {{ is_beyond_limits('judged') }}) as anomalies
        from ({{ last_voltages('anomalous.device_id', 'anomalous.us', threshold('among_samples')) }}) as judged
    ) as latest
    where latest.anomalies >= {{ threshold('samples') }}
),

quarters as (
    select * from ({{ events_in_scope(ref('int_voltage_baselines'), 0, us='valid_from_us') }}) as in_scope
),

clears as (
    select
        quarters.device_id,
        quarters.valid_from_us as us,
        latest.window_start_us
    from quarters
    cross join lateral (
        select
            min(judged.us) as window_start_us,
            count(*) filter (
                where judged.low_v is not null and ({{ is_beyond_limits('judged') }}) is not true
            ) as normal
        from (
            {{ last_voltages('quarters.device_id', 'quarters.valid_from_us', threshold('clear_after_samples')) }}
        ) as judged
    ) as latest
    where latest.normal >= {{ threshold('clear_after_samples') }}
),

judged as (
    select
        device_id,
        window_start_us,
        us as window_end_us,
        'breach' as verdict,
        supply_voltage_v as observed,
        case
            when supply_voltage_v < low_v then low_v
            when supply_voltage_v > high_v then high_v
            else still_v
        end as threshold
    from breaches
    union all
    select
        device_id,
        window_start_us,
        us as window_end_us,
        'clear' as verdict,
        {{ threshold('clear_after_samples') }} as observed,
        {{ threshold('clear_after_samples') }} as threshold
    from clears
)

select
    judged.device_id as subject,
    'device' as subject_kind,
    '' as component,
    judged.window_start_us,
    judged.window_end_us,
    judged.verdict,
    judged.observed::double precision as observed,
    judged.threshold::double precision as threshold,
    coalesce(witnesses.evidence, '[]'::jsonb) as evidence
from judged
left join lateral (
    {{ witnesses(
        'telemetry.raw', ref('stg_kafka__telemetry'), 'judged.device_id', 'judged.window_start_us - 1',
        'judged.window_end_us', "judged.verdict = 'breach'", 'witness.supply_voltage_v is not null'
    ) }}
) as witnesses on true
