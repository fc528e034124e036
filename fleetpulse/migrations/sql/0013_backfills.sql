-- Backfills: the past judged again in a schema of its own, and merged as one batch.

create table control.backfills (
    backfill_id bigint generated always as identity primary key,
    since timestamptz not null,
    until timestamptz not null check (until > since),
    rules text[] not null check (cardinality(rules) > 0),
    begun_at timestamptz not null default now(),
    begun_by text not null check (begun_by <> '')
);
comment on table control.backfills is 'Every backfill that was begun; what it changed are the rows of the batch that names it.';
comment on column control.backfills.since is 'Windows that end after it are judged again, up to until.';

alter table control.batches
add column backfill_id bigint references control.backfills,
add column tickets boolean not null default true,
add check (tickets or backfill_id is not null);
comment on column control.batches.backfill_id is 'Null; or the backfill that the batch merges: it reads no record and closes no window.';
comment on column control.batches.tickets is 'False: of the transitions of this batch ticketing does not learn.';

create function control.begin_backfill(since timestamptz, until timestamptz, rules text[], begun_by text) returns bigint
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    id bigint;
begin
    insert into control.backfills (since, until, rules, begun_by)
    values (begin_backfill.since, begin_backfill.until, begin_backfill.rules, begin_backfill.begun_by)
    returning backfill_id into id;
    execute format('create schema %I', 'backfill_' || id);
    execute format('grant usage, create on schema %I to fleetpulse_dbt', 'backfill_' || id);
    return id;
end
$$;
comment on function control.begin_backfill is 'Notes a backfill and makes its schema, in which dbt''s role may do what it likes.';

create function control.end_backfill(id bigint) returns void
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    if exists (select from control.batches b where b.backfill_id = id and b.state <> 'done') then
        raise exception 'backfill % is being merged', id using errcode = 'object_in_use';
    end if;
    execute format('drop schema if exists %I cascade', 'backfill_' || id);
end
$$;
comment on function control.end_backfill is 'Drops a backfill''s schema, unless a batch that is not done needs it.';

revoke execute on function control.begin_backfill, control.end_backfill from public;
grant execute on function control.begin_backfill, control.end_backfill to fleetpulse_orchestrator;
grant select on control.backfills to fleetpulse_orchestrator, fleetpulse_dbt;
grant select (batch_id, tickets) on control.batches to fleetpulse_ticketing;
