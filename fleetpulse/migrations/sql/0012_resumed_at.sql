-- A standstill of landing that nobody watched is known afterwards.

alter table landing.offsets add column resumed_at timestamptz;
comment on column landing.offsets.resumed_at is 'When this partition moved although none had for over a minute: the end of the last standstill.';
