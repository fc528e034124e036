{{ config(
    materialized='incremental',
    incremental_strategy='batch',
    full_refresh=false,
    post_hook="{{ analyze_if_grown() }}",
    tags=['batch'],
    meta={'only_current_batch': true},
) }}

{%- set batch = current_batch() %}

with

-- Clear-for and updates run out without a new verdict, but never later than this after one. So do holds,
-- and what an outage covers beyond its end.
horizon as (
    select greatest({{ seconds(var('update_interval_s')) }}, {{ 2 * pane_us() }}, max(clear_for_us)) as us
    from {{ ref('int_rules') }}
),

changed as (
    select rule_id, subject, component from {{ ref('verdicts') }}
    where batch_id = {{ batch.batch_id }}
    union
    select verdicts.rule_id, verdicts.subject, verdicts.component
    from {{ ref('verdicts') }} as verdicts
    where
        verdicts.window_end_us > {{ batch.from_us }} - (select horizon.us from horizon)
        and verdicts.window_end_us <= {{ batch.watermark_us }}
        and verdicts.batch_id <= {{ batch.batch_id }}
),

touched as (
    select rule_id, subject, component from changed
    union
    -- The outage that may hold or suppress it.
    select
        'site_outage' as rule_id,
        registry.site_id as subject,
        '' as component
    from changed
    inner join {{ source('reference', 'devices') }} as registry on changed.subject = registry.device_id
    union
    -- What an outage holds or suppresses.
    select verdicts.rule_id, verdicts.subject, verdicts.component
    from changed
    inner join {{ source('reference', 'devices') }} as registry on changed.subject = registry.site_id
    cross join {{ ref('int_rules') }} as rules
    inner join {{ ref('verdicts') }} as verdicts
        on
            rules.rule_id = verdicts.rule_id
            and registry.device_id = verdicts.subject
    where changed.rule_id = 'site_outage' and verdicts.batch_id <= {{ batch.batch_id }}
)

select
    *,
    {{ batch.batch_id }}::bigint as batch_id
from touched
