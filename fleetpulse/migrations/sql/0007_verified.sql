-- How far `fleetpulse verify` has found each partition sound: what is below need not be read again.

create table control.verified (
    topic text not null,
    epoch integer not null,
    "partition" integer not null,
    next_offset bigint not null,
    deep_offset bigint not null,
    verified_at timestamptz not null default now(),
    primary key (topic, epoch, "partition"),
    check (deep_offset <= next_offset)
);
comment on table control.verified is 'How far `fleetpulse verify` has found each partition sound. Written by the orchestrator''s role.';
comment on column control.verified.next_offset is 'All below was once in the ODS and once in the lake.';
comment on column control.verified.deep_offset is 'All below had the same bytes too (--deep).';
grant select, insert, update on control.verified to fleetpulse_orchestrator;
