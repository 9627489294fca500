-- What evaluations of a target's capacity came to, and each interval of load that they were found by.

CREATE TABLE IF NOT EXISTS capacities (
    run String,
    service LowCardinality(String),
    target String,
    state LowCardinality(String),
    reason String,
    safe_per_s Float64,
    low_per_s Float64,
    high_per_s Float64,
    limiting LowCardinality(String),
    started_at DateTime64(9, 'UTC'),
    finished_at DateTime64(9, 'UTC'),
    result String,
    version UInt64
) ENGINE = ReplacingMergeTree(version)
ORDER BY run
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, non_replicated_deduplication_window = 100;

CREATE TABLE IF NOT EXISTS capacity_steps (
    run String,
    number UInt16,
    phase LowCardinality(String),
    rate_per_s Float64,
    seconds Float64,
    at DateTime64(9, 'UTC'),
    state LowCardinality(String),
    signal LowCardinality(String),
    late_ms Float64,
    requests UInt64,
    answered UInt64,
    errors UInt64,
    p50_ms Float64,
    p90_ms Float64,
    p99_ms Float64,
    max_ms Float64,
    version UInt64
) ENGINE = ReplacingMergeTree(version)
ORDER BY (run, number)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, non_replicated_deduplication_window = 100;

CREATE OR REPLACE VIEW capacities_v AS SELECT * FROM capacities FINAL;

CREATE OR REPLACE VIEW capacity_steps_v AS SELECT * FROM capacity_steps FINAL;
