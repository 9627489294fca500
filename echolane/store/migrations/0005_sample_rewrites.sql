-- What was rewritten in the request of a sample for each target, JSON text; empty where nothing was.

ALTER TABLE samples ADD COLUMN IF NOT EXISTS rewrites String;

CREATE OR REPLACE VIEW samples_v AS SELECT * FROM samples FINAL;
