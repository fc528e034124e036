{#-
Which of an episode's events are told to ticketing, and what is told instead while a device's site is
in outage. One window of rule 12 is the measure: a hold ends with the first one that begins at the
site's newest sign or later, and so within two.
-#}
{{ config(
    materialized='incremental',
    incremental_strategy='batch',
    full_refresh=false,
    post_hook="{{ analyze_if_grown() }}",
    tags=['batch'],
    meta={'only_current_batch': true},
) }}

{%- set batch = current_batch() %}
{%- set key = 'rule_id, subject, component' %}
{%- set window_us = pane_us() %}
{%- set heard_within_us = seconds(120) %}
{%- set heard_share = 0.8 %}
{#- Of a smaller site rule 12 never tells anything that is worth waiting for. -#}
{%- set least_devices = 3 %}
{%- set never_us = 9223372036854775807 %}

with

events as (
    select
        *,
        min(at_us) over (partition by {{ key }}, episode_no) as episode_opened_us,
        count(*) filter (where kind in ('open', 'reopen'))
            over (partition by {{ key }}, episode_no order by at_us) as stretch_no
    from {{ ref('int_episode_events_folded') }}
    where batch_id = {{ batch.batch_id }}
),

stretches as (
    select
        {{ key }},
        subject_kind,
        episode_no,
        stretch_no,
        episode_opened_us,
        min(at_us) as from_us,
        max(at_us) filter (where kind = 'resolve') as resolved_us
    from events
    group by {{ key }}, subject_kind, episode_no, stretch_no, episode_opened_us
),

-- Of a muted outage nobody is told: it stands in for no ticket. One window more, because a machine that
-- is back beats twice before rule 2 is content, and at the outage's end many have beaten once.
outages as (
    select
        subject as site_id,
        from_us,
        coalesce(resolved_us + {{ window_us }}, {{ never_us }}) as to_us
    from stretches
    where
        rule_id = 'site_outage'
        and not {{ in_maintenance('mute', "'site'", 'stretches.subject', 'stretches.episode_opened_us') }}
),

chained as (
    select
        *,
        count(*) filter (where begins) over (partition by site_id order by from_us) as cover_no
    from (
        select
            *,
            from_us > lag(to_us, 1, from_us - 1) over (partition by site_id order by from_us) as begins
        from outages
    ) as outages_in_order
),

covers as (
    select
        site_id,
        min(from_us) as from_us,
        max(to_us) as to_us
    from chained
    group by site_id, cover_no
),

-- What was over before the batch began is history: no ticket hangs on it any more.
children as (
    select
        stretches.*,
        registered.site_id
    from stretches
    inner join {{ source('reference', 'devices') }} as registered
        on
            stretches.subject = registered.device_id
            and {{ valid_at('registered', 'stretches.from_us') }}
    where
        stretches.subject_kind = 'device'
        and (stretches.resolved_us is null or stretches.resolved_us > {{ batch.from_us }})
        and not {{ in_maintenance('mute', "'device'", 'stretches.subject', 'stretches.episode_opened_us') }}
),

neighbours as (
    select registered.device_id from {{ source('reference', 'devices') }} as registered
    where registered.site_id in (select children.site_id from children)
),

registry as (
    {{ registered_devices('neighbours') }}
),

-- Signs of life before two windows ago end a hold before it begins: they need not be known. Materialized,
-- so that they are asked for once, and not in each place where the newest one stands.
listened as materialized (
    select
        children.rule_id,
        children.subject,
        children.component,
        children.episode_no,
        children.stretch_no,
        children.from_us,
        greatest(
            neighbour.start_us,
            (
                select max(signs.us)
                from (
                    {{ signs_of_life(
                        'neighbour.device_id', 'children.from_us - ' ~ 2 * window_us, 'children.from_us'
                    ) }}
                ) as signs
            )
        ) as newest_us
    from children
    inner join registry as neighbour
        on
            children.site_id = neighbour.site_id
            and {{ in_operation('neighbour', 'children.from_us') }}
            and neighbour.start_us <= children.from_us - {{ heard_within_us }}
),

-- (e - window, e] is wholly after a sign at e - window, too: the start is not in it. Materialized, so that
-- it is not computed again for each child.
half_silent as materialized (
    select
        {{ key }},
        episode_no,
        stretch_no,
        {{ window_end('max(newest_us)', window_us) }} + {{ window_us }} as held_until_us
    from listened
    group by {{ key }}, episode_no, stretch_no
    having
        count(*) >= {{ least_devices }}
        and count(*) filter (where newest_us > from_us - {{ heard_within_us }}) < {{ heard_share }} * count(*)
),

-- Who opens within an outage is suppressed at once; who is held, when the hold ends.
judged as (
    select
        children.*,
        case
            when half_silent.held_until_us > children.from_us and not exists (
                select 1 from covers
                where
                    covers.site_id = children.site_id
                    and covers.from_us <= children.from_us
                    and covers.to_us > children.from_us
            ) then half_silent.held_until_us
            else children.from_us
        end as judged_us
    from children
    left join half_silent using ({{ key }}, episode_no, stretch_no)
),

withheld as (
    select
        judged.*,
        covers.to_us as covered_until_us,
        coalesce(covers.to_us, judged.judged_us) as told_us
    from judged
    left join covers
        on
            judged.site_id = covers.site_id
            and covers.from_us <= judged.judged_us
            and covers.to_us > judged.judged_us
    where coalesce(covers.to_us, judged.judged_us) > judged.from_us
),

told as (
    select
        {{ key }},
        events.episode_no,
        events.kind,
        case when events.kind = 'resolve' then 'clear' else 'breach' end as cause,
        events.at_us,
        events.window_end_us,
        null::bigint as held_until_us,
        null::text as suppressed_by
    from events
    left join withheld using ({{ key }}, episode_no, stretch_no)
    where
        withheld.told_us is null
        or events.kind = 'resolve'
        or (events.kind = 'update' and events.at_us > withheld.told_us)
    union all
    select
        {{ key }},
        episode_no,
        'hold' as kind,
        'held' as cause,
        from_us as at_us,
        from_us as window_end_us,
        judged_us as held_until_us,
        null as suppressed_by
    from withheld
    where judged_us > from_us
    union all
    select
        {{ key }},
        episode_no,
        'suppress' as kind,
        'suppressed' as cause,
        judged_us as at_us,
        from_us as window_end_us,
        null as held_until_us,
        'site_outage|' || site_id || '|' as suppressed_by
    from withheld
    where
        covered_until_us is not null
        and judged_us <= {{ batch.watermark_us }}
        and (resolved_us is null or judged_us < resolved_us)
    union all
    select
        {{ key }},
        episode_no,
        case when stretch_no = 1 then 'open' else 'reopen' end as kind,
        'released' as cause,
        told_us as at_us,
        from_us as window_end_us,
        null as held_until_us,
        null as suppressed_by
    from withheld
    where
        told_us <= {{ batch.watermark_us }}
        and (resolved_us is null or told_us < resolved_us)
)

select
    *,
    {{ batch.batch_id }}::bigint as batch_id
from told
