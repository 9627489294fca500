-- Which rule explains a difference: its number in the run's spec, from 1; 0, or an empty list, where none does.

ALTER TABLE results ADD COLUMN IF NOT EXISTS d_rule Array(UInt16);

CREATE OR REPLACE VIEW results_v AS SELECT * FROM results FINAL;
