-- What is wrong with the platform itself, and tickets that are held or suppressed.

create table control.alarms (
    alarm_id bigint generated always as identity primary key,
    episode_id uuid not null,
    transition_no integer not null,
    alarm text not null check (alarm <> ''),
    kind text not null check (kind in ('open', 'resolve', 'reopen')),
    because text not null,
    since timestamptz not null,
    at timestamptz not null,
    severity integer not null check (severity between 1 and 5),
    assignment_group text not null,
    runbook text not null,
    unique (episode_id, transition_no)
);
create index alarms_alarm on control.alarms (alarm, alarm_id);
comment on table control.alarms is 'What was wrong with the platform, and when it was well again. Append-only; written by whoever watches, ticketed as any episode.';
comment on column control.alarms.since is 'When what is wrong began, which is before it was told.';

create view control.alarm_transitions as
select
    episode_id,
    transition_no,
    kind,
    case when kind = 'resolve' then 'well' else 'alarm' end as cause,
    'operations|' || alarm || '|' as dedupe_key,
    'operations' as rule_id,
    '' as rule_version,
    severity,
    alarm as subject,
    '' as component,
    null::text as site_id,
    null::text as device_id,
    assignment_group,
    null::text as cmdb_ci,
    runbook,
    false as muted,
    at,
    since as window_start,
    at as window_end,
    null::double precision as observed,
    null::double precision as threshold,
    '[]'::jsonb as evidence,
    '[]'::jsonb as children,
    because,
    null::bigint as batch_id,
    at as decided_at
from control.alarms;
comment on view control.alarm_transitions is 'Alarms in the shape of insights.transitions, from which ticketing derives intents.';

grant select, insert on control.alarms to fleetpulse_orchestrator;
grant usage on schema control to fleetpulse_ticketing;
grant select on control.alarm_transitions to fleetpulse_ticketing, fleetpulse_orchestrator;

alter table ticketing.intents drop constraint intents_kind_check;
alter table ticketing.intents add constraint intents_kind_check
check (kind in ('open', 'update', 'resolve', 'reopen', 'hold', 'suppress'));
comment on column ticketing.intents.outcome is 'opened, adopted, noted, resolved, reopened; or why nothing was sent: muted, over, held, suppressed, already_resolved, closed_by_hand, gone.';
