-- Epochs that a person has begun, and the leader epoch by which Kafka can tell that a log was cut.

create table landing.epochs (
    topic text not null,
    epoch integer not null check (epoch > 0),
    topic_id text not null,
    begun_at timestamptz not null,
    begun_by text not null,
    why text not null,
    primary key (topic, epoch)
);
comment on table landing.epochs is 'Epochs after the first: who has accepted what had happened to the topic, and when. Where each partition began is in landing.offsets.';
comment on column landing.epochs.topic_id is 'Kafka''s id of the topic when the epoch began.';

alter table landing.offsets
add column last_offset bigint,
add column leader_epoch integer,
add check ((last_offset is null) = (leader_epoch is null));
comment on column landing.offsets.last_offset is 'Offset of the last record that was read from Kafka and landed. Null before the first.';
comment on column landing.offsets.leader_epoch is 'Kafka''s leader epoch of that record: by both the broker can tell whether its log was cut since.';

grant select, insert on landing.epochs to fleetpulse_consumer;
grant select on landing.epochs to fleetpulse_orchestrator, fleetpulse_dbt;
