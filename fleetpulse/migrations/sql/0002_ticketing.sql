-- Ticketing: what every transition asks of ServiceNow, what was tried, and the incidents that came of it.

create schema ticketing;
comment on schema ticketing is 'Intents, attempts and incidents. Written by ticketing alone; dbt reads it and never writes it.';

create table ticketing.intents (
    intent_id bigint generated always as identity primary key,
    episode_id uuid not null,
    transition_no integer not null,
    dedupe_key text not null,
    kind text not null check (kind in ('open', 'update', 'resolve', 'reopen')),
    severity integer not null check (severity between 1 and 5),
    muted boolean not null,
    at timestamptz not null,
    created_at timestamptz not null default now(),
    due_at timestamptz not null default now(),
    first_attempt_at timestamptz,
    attempts integer not null default 0,
    failures integer not null default 0,
    done_at timestamptz,
    outcome text,
    problem text,
    unique (episode_id, transition_no),
    check ((done_at is null) = (outcome is null))
);
create index intents_pending on ticketing.intents (dedupe_key, intent_id) where done_at is null;
comment on table ticketing.intents is 'What a ticket must become: one row for each transition, worked off in order for each dedupe key.';
comment on column ticketing.intents.severity is 'ServiceNow''s scale: 1 is critical.';
comment on column ticketing.intents.at is 'Event time of the transition.';
comment on column ticketing.intents.due_at is 'Not to be tried before.';
comment on column ticketing.intents.attempts is 'Writes sent to ServiceNow; each is a row of ticketing.attempts.';
comment on column ticketing.intents.failures is 'Tries that failed so far, reads included: the back-off grows with it.';
comment on column ticketing.intents.outcome is 'opened, adopted, noted, resolved, reopened; or why nothing was sent: muted, over, already_resolved, closed_by_hand, gone.';
comment on column ticketing.intents.problem is 'Why the last try did not succeed; null once it is done.';

create table ticketing.attempts (
    attempt_id bigint generated always as identity primary key,
    intent_id bigint not null references ticketing.intents,
    action text not null check (action in ('create', 'note', 'resolve', 'reopen')),
    worker uuid not null,
    started_at timestamptz not null default now(),
    lease_until timestamptz not null,
    finished_at timestamptz,
    result text check (result in ('done', 'refused', 'unknown')),
    detail text,
    check ((finished_at is null) = (result is null))
);
create index attempts_intent on ticketing.attempts (intent_id);
comment on table ticketing.attempts is 'Every write to ServiceNow, committed before it is sent.';
comment on column ticketing.attempts.lease_until is 'When the worker''s lease ends: an attempt without a result may take effect until then, and for the grace after it.';
comment on column ticketing.attempts.result is 'done, refused (it took no effect), unknown (it may have); null while it runs, or where its worker died.';

create table ticketing.incidents (
    episode_id uuid primary key,
    dedupe_key text not null,
    sys_id text not null,
    number text not null,
    state integer not null,
    opened_at timestamptz not null,
    resolved_at timestamptz,
    close_code text,
    adopted boolean not null,
    recorded_at timestamptz not null default now(),
    last_synced_at timestamptz not null default now()
);
create index incidents_dedupe_key on ticketing.incidents (dedupe_key);
create index incidents_number on ticketing.incidents (number);
comment on table ticketing.incidents is 'The incident of each ticketed episode, as ServiceNow last told.';
comment on column ticketing.incidents.state is '1 new, 2 in progress, 3 on hold, 6 resolved, 7 closed, 8 canceled.';
comment on column ticketing.incidents.opened_at is 'ServiceNow''s creation time.';
comment on column ticketing.incidents.adopted is 'Found in ServiceNow instead of taken from the answer to our own create.';

create table ticketing.retired (
    sys_id text primary key,
    episode_id uuid not null,
    number text not null,
    reason text not null check (reason in ('closed', 'deleted')),
    retired_at timestamptz not null default now()
);
comment on table ticketing.retired is 'Incidents that an episode left behind because people closed or deleted them while it went on; never adopted again.';

create table ticketing.leases (
    dedupe_key text primary key,
    worker uuid not null,
    lease_until timestamptz not null
);
comment on table ticketing.leases is 'Which worker may act on a dedupe key, and until when.';

create table ticketing.pause (
    only_row boolean primary key default true check (only_row),
    until timestamptz not null default '-infinity',
    reason text
);
insert into ticketing.pause default values;
comment on table ticketing.pause is 'Until when all workers leave ServiceNow alone: it is limiting, down, or refuses our credentials.';

grant usage on schema ticketing to fleetpulse_ticketing, fleetpulse_orchestrator, fleetpulse_dbt;
grant select, insert, update on ticketing.intents, ticketing.attempts, ticketing.incidents to fleetpulse_ticketing;
grant delete on ticketing.incidents to fleetpulse_ticketing;
grant select, insert on ticketing.retired to fleetpulse_ticketing;
grant select, insert, update, delete on ticketing.leases to fleetpulse_ticketing;
grant select, update on ticketing.pause to fleetpulse_ticketing;
grant select on ticketing.intents, ticketing.attempts, ticketing.incidents, ticketing.pause to fleetpulse_orchestrator, fleetpulse_dbt;
