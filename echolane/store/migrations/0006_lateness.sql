-- How late an exchange was sent against its due time, and how long it waited before that for the answers before it in its session;
-- 0 in a run without a pace.

ALTER TABLE results ADD COLUMN IF NOT EXISTS lateness_us UInt64;

ALTER TABLE results ADD COLUMN IF NOT EXISTS session_wait_us UInt64;

CREATE OR REPLACE VIEW results_v AS SELECT * FROM results FINAL;
