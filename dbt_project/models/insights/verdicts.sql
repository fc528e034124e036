{{ config(
    materialized='incremental',
    incremental_strategy='batch',
    full_refresh=false,
    post_hook="{{ analyze_if_grown() }}",
    tags=['batch'],
    contract={'enforced': true},
    indexes=[
        {'columns': ['rule_id', 'subject', 'component', 'window_end_us', 'revision'], 'unique': true},
        {'columns': ['window_end_us']},
        {'columns': ['batch_id']},
    ],
) }}

{%- set batch = current_batch() %}
{%- set key = 'rule_id, subject, component' %}

with

rules as (
    select * from {{ ref('int_rules') }}
),

late as (
    select * from {{ ref('int_batch_scope') }}
),

evaluated as (
    select * from {{ ref('int_verdicts_unioned') }}
),

-- Not materialized: the indexes find the few rows that are asked for.
known as not materialized (
{%- if is_incremental() %}
    select * from {{ this }}
    where batch_id < {{ batch.batch_id }}
{%- else %}
    select *, ''::text as rule_version, 0 as revision from evaluated
    where false
{%- endif %}
),

-- What is no breach matters only while one is not over. Whether one is follows from the rows before: the
-- last few of each key.
before_scope as (
    select distinct
        evaluated.rule_id,
        evaluated.subject,
        evaluated.component,
        before.window_end_us,
        before.verdict
    from evaluated
    inner join rules on evaluated.rule_id = rules.rule_id
    left join late on evaluated.subject_kind = late.subject_kind and evaluated.subject = late.subject
    cross join lateral (
        select newest.window_end_us, newest.verdict
        from (
            select distinct on (known.window_end_us) known.window_end_us, known.verdict
            from known
            where
                known.rule_id = evaluated.rule_id
                and known.subject = evaluated.subject
                and known.component = evaluated.component
                and known.window_end_us <= coalesce(late.from_us, {{ batch.from_us }})
            order by known.window_end_us desc, known.revision desc
        ) as newest
        where newest.verdict <> 'gone'
        order by newest.window_end_us desc
        limit coalesce(rules.clear_for_windows, 2)
    ) as before
    where evaluated.verdict <> 'breach'
),

broken as (
    select {{ key }} from before_scope
    where verdict <> 'clear'
    union
    select {{ key }} from evaluated
    where verdict = 'breach'
),

-- Of a device that nobody had registered by then, nothing is known that could be broken.
registered as (
    select * from evaluated
    where
        ({{ key }}) in (select {{ key }} from broken)
        and (
            subject_kind <> 'device'
            or exists (
                select 1 from {{ source('reference', 'devices') }} as devices
                where devices.device_id = evaluated.subject and {{ valid_at('devices', 'evaluated.window_end_us') }}
            )
        )
),

in_order as (
    select
        *,
        count(*) filter (where verdict = 'breach' or (not is_new and verdict = 'hold')) over by_key as breach_no,
        count(*) filter (where verdict <> 'clear') over by_key as run_no
    from (
        select
            {{ key }},
            null::text as subject_kind,
            null::bigint as window_start_us,
            window_end_us,
            verdict,
            null::double precision as observed,
            null::double precision as threshold,
            null::jsonb as evidence,
            false as is_new
        from before_scope
        union all
        select
            {{ key }},
            subject_kind,
            window_start_us,
            window_end_us,
            verdict,
            observed,
            threshold,
            evidence,
            true as is_new
        from registered
    ) as rows_of_key
    window by_key as (partition by {{ key }} order by window_end_us)
),

numbered as (
    select
        *,
        row_number() over (partition by {{ key }}, run_no order by window_end_us) - 1 as clear_no
    from in_order
    where breach_no > 0
),

-- So many clears in a row end it. Of a time, that is not counted here.
ending as (
    select
        numbered.*,
        rules.rule_version,
        coalesce(rules.clear_for_windows, 1) as clears_kept,
        coalesce(bool_or(numbered.clear_no >= rules.clear_for_windows) over (
            partition by numbered.rule_id, numbered.subject, numbered.component, numbered.breach_no
            order by numbered.window_end_us rows between unbounded preceding and 1 preceding
        ), false) as is_over
    from numbered
    inner join rules on numbered.rule_id = rules.rule_id
),

kept as (
    select * from ending
    where
        is_new
        and (
            verdict = 'breach'
            or (not is_over and (verdict = 'hold' or clear_no <= clears_kept))
        )
),

-- Only a subject with late events has been evaluated in this range before.
found_before as (
    select distinct on (known.rule_id, known.subject, known.component, known.window_end_us)
        known.*
    from late
    cross join rules
    inner join known
        on
            rules.rule_id = known.rule_id
            and late.subject = known.subject
            and known.window_end_us > late.from_us
            and known.window_end_us <= {{ batch.watermark_us }}
    where rules.subject_kind = late.subject_kind
    order by known.rule_id, known.subject, known.component, known.window_end_us, known.revision desc
),

compared as (
    select
        {{ key }},
        window_end_us,
        coalesce(kept.rule_version, found_before.rule_version) as rule_version,
        coalesce(kept.subject_kind, found_before.subject_kind) as subject_kind,
        coalesce(kept.window_start_us, found_before.window_start_us) as window_start_us,
        coalesce(found_before.revision, 0) + 1 as revision,
        coalesce(kept.verdict, 'gone') as verdict,
        case when kept.verdict is null then found_before.observed else kept.observed end as observed,
        case when kept.verdict is null then found_before.threshold else kept.threshold end as threshold,
        coalesce(kept.evidence, found_before.evidence) as evidence
    from kept
    full outer join found_before using ({{ key }}, window_end_us)
    where
        found_before.revision is null
        or (kept.verdict is null and found_before.verdict <> 'gone')
        or (
            kept.verdict is not null
            and (kept.verdict, kept.window_start_us, kept.observed, kept.threshold, kept.evidence)
            is distinct from (
                found_before.verdict, found_before.window_start_us, found_before.observed,
                found_before.threshold, found_before.evidence
            )
        )
)

select
    rule_id,
    rule_version,
    subject,
    subject_kind,
    component,
    window_start_us,
    window_end_us,
    revision,
    verdict,
    observed,
    threshold,
    evidence,
    {{ batch.batch_id }}::bigint as batch_id
from {{ revisions_of_backfill() if batch.backfill_id else 'compared' }}
