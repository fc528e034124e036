-- Quarantined records can be repaired, redriven into landing, and dropped; all of it stays on record.

alter table landing.quarantine
add column state text not null default 'held' check (state in ('held', 'redriven', 'dropped')),
add column redrive bigint,
add column in_lake_at timestamptz,
add column dead_letter_at timestamptz,
add check ((state = 'redriven') = (redrive is not null)),
add check (in_lake_at is null or redrive is not null);
create unique index quarantine_redrive on landing.quarantine (redrive) where redrive is not null;
create index quarantine_not_in_lake on landing.quarantine (redrive)
where redrive is not null and in_lake_at is null;
create index quarantine_no_dead_letter on landing.quarantine (topic, epoch, "partition", "offset")
where dead_letter_at is null;
comment on column landing.quarantine.state is 'A row stays for ever, with its original bytes. Redriven: landed by hand, so the landing table has the record too.';
comment on column landing.quarantine.redrive is 'The number of the redrive, as in the landing table.';
comment on column landing.quarantine.in_lake_at is 'When the lake was told of the redrive; null: it waits.';
comment on column landing.quarantine.dead_letter_at is 'When the broker acknowledged the dead letter; null: not published.';

create table landing.quarantine_log (
    entry bigint generated always as identity primary key,
    topic text not null,
    epoch integer not null,
    "partition" integer not null,
    "offset" bigint not null,
    action text not null check (action in ('repair', 'redrive', 'drop')),
    payload bytea,
    done_by text not null check (done_by <> ''),
    done_at timestamptz not null default now(),
    note text,
    foreign key (topic, epoch, "partition", "offset") references landing.quarantine,
    check ((action = 'repair') = (payload is not null)),
    check (action <> 'drop' or note is not null)
);
create index quarantine_log_record on landing.quarantine_log (topic, epoch, "partition", "offset", entry);
comment on table landing.quarantine_log is 'What people did to quarantined records; append-only. Of several repairs the newest counts.';
comment on column landing.quarantine_log.payload is 'The payload of a repair.';

create table landing.redrives (
    only_row boolean primary key default true check (only_row),
    last bigint not null default 0 check (last >= 0)
);
insert into landing.redrives default values;
comment on table landing.redrives is 'The number of the last redrive. Locked from its update to the commit, so numbers become visible in their order; a sequence''s would not.';

do $$
declare
    topic_table regclass;
begin
    for topic_table in
        select t.partrelid from pg_partitioned_table t join pg_class c on c.oid = t.partrelid
        where c.relnamespace = 'landing'::regnamespace
    loop
        execute format('alter table %s add column redrive bigint', topic_table);
        execute format('create index on %s (redrive) where redrive is not null', topic_table);
        execute format('comment on column %s.redrive is %L', topic_table, 'Null; or the number of the redrive that has landed the record from quarantine.');
    end loop;
end
$$;

create or replace procedure landing.create_topic_table(name text)
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
            redrive bigint,
            primary key (epoch, "partition", "offset", kafka_ts)
        ) partition by range (kafka_ts)', name);
    execute format('create table landing.%I partition of landing.%I default', name || '_default', name);
    execute format('create index %I on landing.%I using brin (kafka_ts) with (pages_per_range = 16)', name || '_kafka_ts', name);
    execute format('create index on landing.%I (redrive) where redrive is not null', name);
    execute format('comment on table landing.%I is %L', name, 'Records as they came, partitioned by day (UTC) of the Kafka timestamp; days out of reach are in the default partition.');
    execute format('comment on column landing.%I.kafka_ts_type is %L', name, '0 none, 1 set by the producer, 2 set by the broker.');
    execute format('comment on column landing.%I.kafka_ts is %L', name, 'Kafka''s timestamp; infinity where it is beyond what Postgres can hold (the lake has it exactly).');
    execute format('comment on column landing.%I.headers is %L', name, 'Null, or [[name, value in base64 or null], ...] in the record''s order.');
    execute format('comment on column landing.%I.payload is %L', name, 'The exact text of the record''s value, of a redriven one as repaired; null for a tombstone.');
    execute format('comment on column landing.%I.redrive is %L', name, 'Null; or the number of the redrive that has landed the record from quarantine.');
    execute format('grant select, insert on landing.%I to fleetpulse_consumer', name);
    execute format('grant select on landing.%I to fleetpulse_orchestrator, fleetpulse_dbt', name);
end
$$;

-- A record with the number r belongs to the first batch whose end lies beyond its offset and not below r.
alter table control.batches
add column from_redrive bigint not null default 0,
add column to_redrive bigint not null default 0,
add check (to_redrive >= from_redrive);
comment on column control.batches.from_redrive is 'to_redrive of the batch before.';
comment on column control.batches.to_redrive is 'Last redrive that the batch has seen: what was redriven later is a later batch''s.';
comment on column control.batches.records is 'Sum of the ranges of offsets, of which some may be gaps, and of redrives.';

-- Redriving is done in the consumer's role: it may insert into landing anyway.
grant update (state, redrive, in_lake_at, dead_letter_at) on landing.quarantine to fleetpulse_consumer;
grant select, insert on landing.quarantine_log to fleetpulse_consumer;
grant select, update (last) on landing.redrives to fleetpulse_consumer;
grant select on landing.quarantine_log, landing.redrives to fleetpulse_orchestrator;
