{{ config(materialized='view') }}

with

done as (
    select batch_id, done_at from {{ source('control', 'batches') }}
    where state = 'done'
),

verdicts as (
    select * from {{ ref('verdicts') }}
),

revisions as (
    select
        verdicts.*,
        done.done_at as decided_at,
        lead(verdicts.revision) over (
            partition by verdicts.rule_id, verdicts.subject, verdicts.component, verdicts.window_end_us
            order by verdicts.revision
        ) is null as is_current
    from verdicts
    inner join done on verdicts.batch_id = done.batch_id
),

breaches as (
    select
        rule_id || '|' || subject || '|' || component as dedupe_key,
        rule_id,
        rule_version,
        subject,
        subject_kind,
        component,
        {{ to_timestamp('window_start_us') }} as window_start,
        {{ to_timestamp('window_end_us') }} as window_end,
        revision,
        is_current,
        observed,
        threshold,
        evidence,
        batch_id,
        decided_at
    from revisions
    where verdict = 'breach'
)

select * from breaches
