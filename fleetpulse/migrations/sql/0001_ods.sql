-- The ODS: landing, control and reference, and who may do what.
-- The roles exist beforehand (the sandbox or the DBA creates them); schemas are owned by the migrating role.

create schema landing;
create schema control;
create schema reference;
create schema staging;
create schema insights;
create schema marts;

comment on schema landing is 'Every record as it came, exactly once: one table a topic, quarantine, offsets. Written by the consumer alone.';
comment on schema control is 'Micro-batches and the watermark. Written by the orchestrator; dbt moves a batch to done.';
comment on schema reference is 'Devices, sites, limits and maintenance, in versions. Written by `fleetpulse reference load` alone.';
comment on schema staging is 'Typed events, by dbt.';
comment on schema insights is 'Verdicts, findings, episodes and transitions, by dbt.';
comment on schema marts is 'What analysts read, by dbt.';

-- landing ---------------------------------------------------------------------------------------

create table landing.offsets (
    topic text not null,
    epoch integer not null,
    "partition" integer not null,
    topic_id text not null,
    start_offset bigint not null check (start_offset >= 0),
    next_offset bigint not null check (next_offset >= start_offset),
    lake_claim bigint,
    max_event_ts timestamptz,
    moved_at timestamptz not null default now(),
    primary key (topic, epoch, "partition")
);
comment on table landing.offsets is 'One row for each partition: how far the ODS has landed it. The truth; Kafka''s committed offset is a hint.';
comment on column landing.offsets.topic_id is 'Kafka''s id of the topic when the epoch began: another id means that the topic was deleted and created again.';
comment on column landing.offsets.start_offset is 'The log start when the epoch began; what lies below was before us.';
comment on column landing.offsets.next_offset is 'All records below are in landing or quarantine, or do not exist. Moved by compare-and-set, in the transaction of the rows.';
comment on column landing.offsets.lake_claim is 'Start of the newest lake claim known to be complete: where recovery begins to read the chain of claims. Null before the first.';
comment on column landing.offsets.max_event_ts is 'Largest min(event_ts, arrival, now) landed: the first term of the partition''s watermark, before the late tolerance.';

create table landing.quarantine (
    topic text not null,
    epoch integer not null,
    "partition" integer not null,
    "offset" bigint not null,
    kafka_ts timestamptz not null,
    kafka_ts_type smallint not null,
    key bytea,
    headers json,
    payload bytea,
    reason text not null,
    detail text not null,
    device_id text,
    arrival_ts timestamptz,
    quarantined_at timestamptz not null default now(),
    primary key (topic, epoch, "partition", "offset")
);
create index quarantine_arrival on landing.quarantine (arrival_ts) where device_id is not null;
comment on table landing.quarantine is 'Records that break their contract, with their exact bytes and the reason.';
comment on column landing.quarantine.device_id is 'Set where the record is still a sign of life (CLOCK_FAULT); then arrival_ts says when.';
comment on column landing.quarantine.headers is 'As in the landing tables.';

create procedure landing.create_topic_table(name text)
language plpgsql
as $$
begin
    execute format(
        'create table landing.%I (
            epoch integer not null,
            "partition" integer not null,
            "offset" bigint not null,
            kafka_ts timestamptz not null,
            kafka_ts_type smallint not null,
            key bytea,
            headers json,
            payload json,
            device_id text,
            site_id text,
            event_ts timestamptz,
            gateway_ts timestamptz,
            primary key (epoch, "partition", "offset", kafka_ts)
        ) partition by range (kafka_ts)', name);
    execute format('create table landing.%I partition of landing.%I default', name || '_default', name);
    execute format('create index %I on landing.%I using brin (kafka_ts) with (pages_per_range = 16)', name || '_kafka_ts', name);
    execute format('comment on table landing.%I is %L', name, 'Records as they came, partitioned by day (UTC) of the Kafka timestamp; days out of reach are in the default partition.');
    execute format('comment on column landing.%I.kafka_ts_type is %L', name, '0 none, 1 set by the producer, 2 set by the broker.');
    execute format('comment on column landing.%I.kafka_ts is %L', name, 'Kafka''s timestamp; infinity where it is beyond what Postgres can hold (the lake has it exactly).');
    execute format('comment on column landing.%I.headers is %L', name, 'Null, or [[name, value in base64 or null], ...] in the record''s order.');
    execute format('comment on column landing.%I.payload is %L', name, 'The exact text of the record''s value; null for a tombstone.');
    execute format('grant select, insert on landing.%I to fleetpulse_consumer', name);
    execute format('grant select on landing.%I to fleetpulse_orchestrator, fleetpulse_dbt', name);
end
$$;
comment on procedure landing.create_topic_table is 'A topic''s landing table; a migration calls it once for each topic.';

call landing.create_topic_table('telemetry_raw');
call landing.create_topic_table('heartbeat_raw');
call landing.create_topic_table('alerts_raw');

-- The consumer may insert, not create: it asks for a day's partition by this function.
create function landing.ensure_day(name text, day date) returns boolean
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set timezone = 'UTC'
set lock_timeout = '3s'
as $$
declare
    child constant text := name || '_' || to_char(day, 'YYYYMMDD');
begin
    if not exists (select from pg_partitioned_table p where p.partrelid = to_regclass(format('landing.%I', name))) then
        raise exception 'landing.% is not a topic table', name using errcode = 'undefined_table';
    end if;
    perform pg_advisory_xact_lock(hashtext('landing.ensure_day.' || name));
    if to_regclass(format('landing.%I', child)) is not null then
        return true;
    end if;
    -- Attaching takes a weaker lock on the parent than `partition of`, so that readers go on.
    execute format('create table landing.%I (like landing.%I including defaults including constraints including comments)', child, name);
    begin
        execute format(
            'alter table landing.%I attach partition landing.%I for values from (%L) to (%L)',
            name, child, day::timestamptz, (day + 1)::timestamptz);
    exception when check_violation then
        -- Rows of that day came before it was in reach and are in the default partition: it keeps the day.
        execute format('drop table landing.%I', child);
        return false;
    end;
    return true;
end
$$;
comment on function landing.ensure_day is 'Creates the partition of a day. False where the default partition already holds rows of that day and keeps it.';
revoke execute on function landing.ensure_day from public;
revoke execute on procedure landing.create_topic_table from public;

-- control ---------------------------------------------------------------------------------------

create table control.batches (
    batch_id bigint primary key check (batch_id > 0),
    from_offsets jsonb not null,
    to_offsets jsonb not null,
    from_watermark timestamptz not null,
    watermark timestamptz not null check (watermark >= from_watermark),
    records bigint not null check (records >= 0),
    state text not null default 'cut' check (state in ('cut', 'done')),
    attempt integer not null default 1 check (attempt > 0),
    run_id text,
    cut_at timestamptz not null default now(),
    attempted_at timestamptz not null default now(),
    done_at timestamptz,
    check ((state = 'done') = (done_at is not null))
);
create unique index batches_one_unfinished on control.batches ((true)) where state <> 'done';
comment on table control.batches is 'Micro-batches: each is the range between two offset vectors. Never two unfinished ones; batch n follows n - 1.';
comment on column control.batches.from_offsets is 'Offset vector [{topic, epoch, partition, offset}]: first offset of each partition in the batch.';
comment on column control.batches.to_offsets is 'Offset vector: the first offset of each partition after the batch.';
comment on column control.batches.from_watermark is 'The watermark of the batch before: windows that end after it and up to watermark close in this batch.';
comment on column control.batches.watermark is 'Event time below which nothing more is expected.';
comment on column control.batches.records is 'Sum of the ranges: offsets, of which some may be gaps.';

create table control.partition_progress (
    topic text not null,
    epoch integer not null,
    "partition" integer not null,
    watermark timestamptz,
    end_offset bigint,
    end_asked_at timestamptz,
    primary key (topic, epoch, "partition")
);
comment on table control.partition_progress is 'Each partition''s own watermark, which never falls, and the broker''s end of the log with the time when it was asked.';
comment on column control.partition_progress.watermark is 'By both terms: the largest time seen, or, once the ODS has reached end_offset, end_asked_at; less the late tolerance.';

create table control.watermark (
    only_row boolean primary key default true check (only_row),
    watermark timestamptz,
    held_since timestamptz,
    held_reason text,
    devices_expected integer,
    devices_heard integer,
    heard_once boolean not null default false,
    stood_still boolean not null default false,
    resumed_at timestamptz,
    returned_at timestamptz,
    updated_at timestamptz not null default now(),
    check ((held_since is null) = (held_reason is null))
);
insert into control.watermark default values;
comment on table control.watermark is 'The whole watermark: the minimum over the partitions, unless it is held because the pipeline, not the devices, is silent.';

-- reference -------------------------------------------------------------------------------------

create table reference.devices (
    device_id text not null,
    site_id text not null,
    model text not null,
    commissioned_at timestamptz not null,
    decommissioned_at timestamptz,
    cmdb_ci text,
    assignment_group text,
    valid_from timestamptz not null,
    valid_to timestamptz not null default 'infinity',
    primary key (device_id, valid_from),
    check (valid_from < valid_to)
);
create unique index devices_current on reference.devices (device_id) where valid_to = 'infinity';
comment on table reference.devices is 'The device registry. One row a version: valid in [valid_from, valid_to).';

create table reference.sites (
    site_id text not null,
    name text not null,
    timezone text not null,
    business_hours text,
    gateway text,
    valid_from timestamptz not null,
    valid_to timestamptz not null default 'infinity',
    primary key (site_id, valid_from),
    check (valid_from < valid_to)
);
create unique index sites_current on reference.sites (site_id) where valid_to = 'infinity';
comment on table reference.sites is 'The sites. One row a version: valid in [valid_from, valid_to).';
comment on column reference.sites.timezone is 'IANA name.';

create table reference.model_limits (
    model text not null,
    max_cabinet_c double precision,
    valid_from timestamptz not null,
    valid_to timestamptz not null default 'infinity',
    primary key (model, valid_from),
    check (valid_from < valid_to)
);
create unique index model_limits_current on reference.model_limits (model) where valid_to = 'infinity';
comment on table reference.model_limits is 'Limits by model. One row a version: valid in [valid_from, valid_to).';
comment on column reference.model_limits.max_cabinet_c is 'Warmest allowed cabinet temperature in °C; null where the model has none.';

create table reference.maintenance (
    scope text not null check (scope in ('device', 'site')),
    subject text not null,
    mode text not null check (mode in ('unmanage', 'mute')),
    starts_at timestamptz not null,
    ends_at timestamptz not null,
    recurrence text,
    valid_from timestamptz not null,
    valid_to timestamptz not null default 'infinity',
    primary key (scope, subject, mode, starts_at, valid_from),
    check (starts_at < ends_at),
    check (valid_from < valid_to)
);
create unique index maintenance_current on reference.maintenance (scope, subject, mode, starts_at) where valid_to = 'infinity';
comment on table reference.maintenance is 'Planned work on a device or a site: unmanage (not evaluated) or mute (evaluated, recorded, not ticketed). One row a version.';

-- who may do what -------------------------------------------------------------------------------

grant usage on schema landing to fleetpulse_consumer, fleetpulse_orchestrator, fleetpulse_dbt;
grant select, insert, update on landing.offsets to fleetpulse_consumer;
grant select, insert on landing.quarantine to fleetpulse_consumer;
grant execute on function landing.ensure_day to fleetpulse_consumer;
grant select on landing.offsets, landing.quarantine to fleetpulse_orchestrator, fleetpulse_dbt;

grant usage on schema control to fleetpulse_orchestrator, fleetpulse_dbt;
grant select, insert, update on control.batches, control.partition_progress, control.watermark to fleetpulse_orchestrator;
grant select on control.batches, control.watermark to fleetpulse_dbt;
grant update (state, done_at) on control.batches to fleetpulse_dbt;

grant usage on schema reference to fleetpulse_reference, fleetpulse_orchestrator, fleetpulse_dbt;
grant select, insert, update on all tables in schema reference to fleetpulse_reference;
grant select on all tables in schema reference to fleetpulse_orchestrator, fleetpulse_dbt;

-- Tables that dbt makes are granted by dbt itself (`grants` in dbt_project.yml).
grant usage, create on schema staging, insights, marts to fleetpulse_dbt;
grant usage on schema insights to fleetpulse_orchestrator, fleetpulse_ticketing;
grant usage on schema marts to fleetpulse_orchestrator, analyst;
