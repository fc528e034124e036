-- The schema `ods`: typed views for people, made from the contracts by `fleetpulse migrate` itself.

create schema ods;
comment on schema ods is 'Events for their users: one view a topic, one typed column a field. Made from the contracts.';
grant usage on schema ods to ods_reader, fleetpulse_orchestrator;
