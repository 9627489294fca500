-- Runs, and one narrow row per (run, exchange).
-- Every statement may run twice: a runner that was killed after any of them begins this file again.

CREATE TABLE IF NOT EXISTS runs (
    run String,
    version UInt64,
    service String,
    state LowCardinality(String),
    started_at DateTime64(9, 'UTC'),
    finished_at DateTime64(9, 'UTC'),
    verdict LowCardinality(String),
    reason_code LowCardinality(String),
    spec String,
    result String
) ENGINE = ReplacingMergeTree(version)
ORDER BY run
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, non_replicated_deduplication_window = 100;

-- The key is (run, id); seq, which the plan fixes for each exchange, stands before id so that a run is read in recorded
-- order without sorting it. Text of few values is plain where rows arrive in small parts: writing dictionaries costs more there.
-- Parts stay compact (a file for all columns): as wide ones they would be some 90 files each, with a buffer for every one read.
-- Granules are of 1 MiB: folding holds one of every part, and a row may be 64 KiB wide.
CREATE TABLE IF NOT EXISTS results (
    run String,
    id String,
    version UInt32,
    seq UInt32,
    exchange String,
    service String,
    method String,
    target String,
    endpoint LowCardinality(String),
    recorded_status UInt16,
    verdict LowCardinality(String),
    reason LowCardinality(String),
    outcomes Array(String),
    statuses Array(UInt16),
    durations_us Array(UInt32),
    fired_at DateTime64(9, 'UTC'),
    d_pair Array(UInt8),
    d_where Array(String),
    d_kind Array(String),
    d_facet Array(UInt8),
    d_klass Array(String),
    d_flags Array(UInt8),
    d_count Array(UInt32),
    d_old Array(String),
    d_new Array(String),
    d_values Array(UInt64),
    d_signature Array(String),
    topic String,
    partition UInt16,
    position UInt64
) ENGINE = ReplacingMergeTree(version)
PARTITION BY run
ORDER BY (run, seq, id)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, non_replicated_deduplication_window = 100,
    min_bytes_for_wide_part = 10737418240, index_granularity_bytes = 1048576;

CREATE OR REPLACE VIEW runs_v AS SELECT * FROM runs FINAL;

CREATE OR REPLACE VIEW results_v AS SELECT * FROM results FINAL;
