-- Retention: a day of a topic can be dropped from landing once the lake has it and insights have read it.

alter table landing.offsets add column lake_next bigint;
update landing.offsets set lake_next = lake_claim;
comment on column landing.offsets.lake_next is 'All below is in the lake, in objects known to be complete. Null before the first.';

create table landing.dropped (
    entry bigint generated always as identity primary key,
    topic text not null,
    day date not null,
    epoch integer not null,
    "partition" integer not null,
    records bigint not null check (records > 0),
    offsets int8multirange not null check (not isempty(offsets)),
    first_offset bigint not null generated always as (lower(offsets)) stored,
    next_offset bigint not null generated always as (upper(offsets)) stored,
    dropped_at timestamptz not null default now(),
    dropped_by text not null check (dropped_by <> '')
);
create index dropped_offsets on landing.dropped (topic, epoch, "partition", first_offset);
comment on table landing.dropped is 'What retention has dropped from the landing tables: the lake has it. Append-only; a day to which late records came is dropped again.';
comment on column landing.dropped.day is 'Day (UTC) of the Kafka timestamps.';
comment on column landing.dropped.offsets is 'Exactly the offsets of the rows: any other row that is not there is missing.';

create type landing.day_rows as (
    epoch integer,
    "partition" integer,
    records bigint,
    offsets int8multirange,
    not_in_lake bigint,
    not_in_insights bigint
);
comment on type landing.day_rows is 'A day''s rows of one partition, and how many of them nobody else has yet.';

-- The days that lie before another one. In the default partition only those that once were in reach:
-- of records with an absurd time nobody knows how old they are.
create function landing.days_before(of_topic text, before date, since date) returns setof date
language plpgsql stable
security definer
set search_path = pg_catalog, pg_temp
set timezone = 'UTC'
as $$
declare
    name constant text := replace(of_topic, '.', '_');
begin
    return query
        select to_date(right(c.relname, 8), 'YYYYMMDD')
        from pg_inherits i join pg_class c on c.oid = i.inhrelid
        where i.inhparent = to_regclass(format('landing.%I', name))
            and c.relname ~ '_\d{8}$' and to_date(right(c.relname, 8), 'YYYYMMDD') < before;
    return query execute format(
        'select distinct kafka_ts::date from landing.%I where kafka_ts >= $1 and kafka_ts < $2',
        name || '_default') using since::timestamptz, before::timestamptz;
end
$$;
comment on function landing.days_before is 'Days of a topic in landing before another one, those in the default partition only from `since` on.';

-- A batch that is not done needs its rows, and the tests of the newest one that is done read them again.
create function landing.survey_day(of_topic text, of_day date) returns setof landing.day_rows
language plpgsql stable
security definer
set search_path = pg_catalog, pg_temp
set timezone = 'UTC'
as $$
declare
    name constant text := replace(of_topic, '.', '_');
    child constant regclass := to_regclass(format('landing.%I', name || to_char(of_day, '_YYYYMMDD')));
begin
    return query execute format($query$
        with done as (
            select from_offsets, from_redrive from control.batches
            where state = 'done' and watermark >= $2 + interval '2 days'
            order by batch_id desc limit 1
        ),
        read_below as (
            select v.epoch, v."partition", v."offset", done.from_redrive
            from done, jsonb_to_recordset(done.from_offsets)
                as v (topic text, epoch integer, "partition" integer, "offset" bigint)
            where v.topic = $1
        ),
        day as (
            select r.epoch, r."partition", r."offset",
                r."offset" - row_number() over (partition by r.epoch, r."partition" order by r."offset") as run,
                r."offset" >= coalesce(o.lake_next, 0) or untold.redrive is not null as not_in_lake,
                r."offset" >= coalesce(b."offset", 0) or coalesce(r.redrive > b.from_redrive, false) as not_in_insights
            from %s r
            left join landing.offsets o on o.topic = $1 and o.epoch = r.epoch and o."partition" = r."partition"
            left join read_below b on b.epoch = r.epoch and b."partition" = r."partition"
            left join landing.quarantine untold on untold.redrive = r.redrive and untold.in_lake_at is null
            where r.kafka_ts >= $2 and r.kafka_ts < $2 + interval '1 day'
        ),
        runs as (
            select epoch, "partition", count(*) as records, int8range(min("offset"), max("offset") + 1) as span,
                count(*) filter (where not_in_lake) as not_in_lake,
                count(*) filter (where not_in_insights) as not_in_insights
            from day group by epoch, "partition", run
        )
        select epoch, "partition", sum(records)::bigint, range_agg(span),
            sum(not_in_lake)::bigint, sum(not_in_insights)::bigint
        from runs group by epoch, "partition" order by epoch, "partition"
        $query$, coalesce(child, format('landing.%I', name || '_default')::regclass))
        using of_topic, of_day::timestamptz;
end
$$;
comment on function landing.survey_day is 'What a day''s rows are, and how many of them the lake or the insights do not have yet.';

create function landing.drop_day(of_topic text, of_day date, by_whom text, out records bigint, out freed bigint)
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set timezone = 'UTC'
set lock_timeout = '3s'
as $$
declare
    name constant text := replace(of_topic, '.', '_');
    child regclass;
    before landing.offsets[];
    redriven bigint;
    redriven_now bigint;
    day landing.day_rows[];
    came boolean;
    deleted bigint;
begin
    if current_setting('transaction_isolation') <> 'read committed' then
        raise exception 'landing.drop_day must see what is committed meanwhile: call it in read committed'
            using errcode = 'invalid_transaction_state';
    end if;
    perform pg_advisory_xact_lock(hashtext('landing.drop_day.' || name));
    child := to_regclass(format('landing.%I', name || to_char(of_day, '_YYYYMMDD')));
    -- Before the day is looked at: what lands after this lies beyond, or is one more redrive.
    before := array(select o from landing.offsets o where o.topic = of_topic);
    if child is not null then
        execute format('select count(*) from %s where redrive is not null', child) into redriven;
    end if;
    day := array(select s from landing.survey_day(of_topic, of_day) s);
    if exists (select from unnest(day) as d where d.not_in_lake > 0 or d.not_in_insights > 0) then
        raise exception 'the lake or the insights do not have all of % on %', of_topic, of_day
            using errcode = 'object_not_in_prerequisite_state';
    end if;
    insert into landing.dropped (topic, day, epoch, "partition", records, offsets, dropped_by)
    select of_topic, of_day, d.epoch, d."partition", d.records, d.offsets, by_whom from unnest(day) as d;
    records := (select coalesce(sum(d.records), 0) from unnest(day) as d);
    freed := 0;
    if child is null then
        -- Exactly what was looked at: landing goes on meanwhile.
        execute format(
            'delete from landing.%I r using unnest($1) as d where r.kafka_ts >= $2'
            ' and r.kafka_ts < $2 + interval ''1 day'' and r.epoch = d.epoch'
            ' and r."partition" = d."partition" and d.offsets @> r."offset"', name || '_default')
            using day, of_day::timestamptz;
        get diagnostics deleted = row_count;
        if deleted <> records then
            raise exception '% rows of % on % were deleted, not those that were looked at', deleted, of_topic, of_day;
        end if;
        return;
    end if;
    -- In the order of ensure_day; then no landing transaction is under way, and none begins. What is
    -- asked under this lock are ends of indexes.
    perform pg_advisory_xact_lock(hashtext('landing.ensure_day.' || name));
    execute format('lock table landing.%I in access exclusive mode', name);
    execute format(
        'select exists (select from landing.offsets o'
        ' left join unnest($1) as b on b.epoch = o.epoch and b."partition" = o."partition"'
        ' where o.topic = $2 and coalesce(b.next_offset, 0) <= (select max(r."offset") from %1$s r'
        '  where r.epoch = o.epoch and r."partition" = o."partition")),'
        ' (select count(*) from %1$s where redrive is not null)', child)
        into came, redriven_now using before, of_topic;
    if came or redriven_now <> redriven then
        raise exception 'a record of % on % has come meanwhile', of_topic, of_day using errcode = 'lock_not_available';
    end if;
    freed := pg_total_relation_size(child);
    execute format('drop table %s', child);
end
$$;
comment on function landing.drop_day is 'Drops a day of a topic, if all of it is in the lake and read by insights, and notes what it was. Returns how many rows, and the bytes freed.';

-- Who drops cannot say what the lake has, and who says so (the consumer) cannot drop.
revoke execute on function landing.days_before, landing.survey_day, landing.drop_day from public;
grant execute on function landing.days_before, landing.survey_day, landing.drop_day to fleetpulse_orchestrator;
grant select on landing.dropped to fleetpulse_consumer, fleetpulse_orchestrator;
