-- Planned work as it takes place: recurrences expanded, so that rules compare instants and nothing else.

create table reference.maintenance_occurrences (
    scope text not null check (scope in ('device', 'site')),
    subject text not null,
    mode text not null check (mode in ('unmanage', 'mute')),
    planned_from timestamptz not null,
    starts_at timestamptz not null,
    ends_at timestamptz not null,
    valid_from timestamptz not null,
    valid_to timestamptz not null,
    primary key (scope, subject, mode, planned_from, valid_from, starts_at),
    check (starts_at < ends_at),
    check (valid_from < valid_to)
);
create index maintenance_occurrences_ends on reference.maintenance_occurrences (ends_at);
comment on table reference.maintenance_occurrences is 'Planned work as it takes place, each in (starts_at, ends_at]; of what recurs, every time, each ending no earlier than the one before. Made from reference.maintenance by `fleetpulse reference load`.';
comment on column reference.maintenance_occurrences.planned_from is 'With scope, subject, mode and valid_from: the row of reference.maintenance.';
comment on column reference.maintenance.recurrence is 'Part of an RRULE of RFC 5545, on the wall clock of the site; null: once. starts_at and ends_at are of the first.';

-- What was written as a recurrence before meant nothing: each took place once.
update reference.maintenance set recurrence = null;
insert into reference.maintenance_occurrences (scope, subject, mode, planned_from, starts_at, ends_at, valid_from, valid_to)
select scope, subject, mode, starts_at as planned_from, starts_at, ends_at, valid_from, valid_to from reference.maintenance;

-- An occurrence has no history of its own: it is made anew when its plan or its time zone changes.
grant select, insert, delete on reference.maintenance_occurrences to fleetpulse_reference;
grant select on reference.maintenance_occurrences to fleetpulse_orchestrator, fleetpulse_dbt;
