-- Who ended a hold of the watermark, and why.

create table control.watermark_releases (
    release_id bigint generated always as identity primary key,
    released_at timestamptz not null default now(),
    released_by text not null,
    why text not null check (why <> ''),
    watermark timestamptz,
    held_since timestamptz not null,
    held_reason text not null
);
comment on table control.watermark_releases is 'Holds of the watermark that somebody ended (`fleetpulse watermark release`). Append-only.';
comment on column control.watermark_releases.watermark is 'Where it stood.';
grant select, insert on control.watermark_releases to fleetpulse_orchestrator;

alter table control.watermark add column released_at timestamptz;
comment on column control.watermark.released_at is 'When somebody ended a hold: nothing is held until all is well; then null again.';
