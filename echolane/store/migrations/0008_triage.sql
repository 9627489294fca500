-- What people said of findings. Every word is kept; the view shows the newest of each finding, of one branch or of all.

CREATE TABLE IF NOT EXISTS triage (
    service String,
    finding String,
    branch String,
    version UInt64,
    decision LowCardinality(String),
    owner String,
    note String,
    expires String,
    said_by String,
    who String,
    run String,
    `where` String,
    kind LowCardinality(String),
    scope String,
    idempotency String,
    fingerprint String
) ENGINE = ReplacingMergeTree
ORDER BY (service, finding, branch, version)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, non_replicated_deduplication_window = 100;

CREATE OR REPLACE VIEW triage_v AS
SELECT * FROM triage FINAL
WHERE (service, finding, branch, version) IN (SELECT service, finding, branch, max(version) FROM triage GROUP BY service, finding, branch);
