{{ config(materialized='ephemeral') }}

{%- set batch = current_batch() %}

with

-- Clear-for and updates run out without a new verdict, but never later than this after one.
horizon as (
    select greatest({{ seconds(var('update_interval_s')) }}, max(clear_for_us)) as us
    from {{ ref('int_rules') }}
)

select rule_id, subject, component from {{ ref('verdicts') }}
where batch_id = {{ batch.batch_id }}
union
select verdicts.rule_id, verdicts.subject, verdicts.component
from {{ ref('verdicts') }} as verdicts
where
    verdicts.window_end_us > {{ batch.from_us }} - (select horizon.us from horizon)
    and verdicts.window_end_us <= {{ batch.watermark_us }}
    and verdicts.batch_id <= {{ batch.batch_id }}
