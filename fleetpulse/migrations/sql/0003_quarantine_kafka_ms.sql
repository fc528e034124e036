-- Quarantine keeps Kafka's timestamp exactly, also where it is beyond what Postgres can hold.

alter table landing.quarantine add column kafka_ms bigint;
update landing.quarantine
set kafka_ms = case
    when kafka_ts = 'infinity' then 9223372036854775807
    when kafka_ts = '-infinity' then -9223372036854775808
    else (extract(epoch from kafka_ts) * 1000)::bigint
end;
alter table landing.quarantine alter column kafka_ms set not null;
comment on column landing.quarantine.kafka_ms is 'Kafka''s timestamp in milliseconds since 1970, exactly; kafka_ts is infinity where it is beyond what Postgres can hold.';
