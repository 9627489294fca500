-- Excerpts to look at, what versions show against themselves, and what a run's closing found.

CREATE TABLE IF NOT EXISTS samples (
    run String,
    endpoint LowCardinality(String),
    `where` String,
    kind LowCardinality(String),
    exchange String,
    seq UInt32,
    base String,
    control String,
    branch String,
    branch_control String,
    version UInt64
) ENGINE = ReplacingMergeTree(version)
PARTITION BY run
ORDER BY (run, endpoint, `where`, kind, seq, exchange)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, non_replicated_deduplication_window = 100,
    min_bytes_for_wide_part = 10737418240, index_granularity_bytes = 1048576;

-- One row per run that watched a place, absolute within that run: written again it replaces itself, so sums stay exact.
CREATE TABLE IF NOT EXISTS noise (
    service String,
    target String,
    endpoint LowCardinality(String),
    `where` String,
    facet UInt8,
    run String,
    observed UInt64,
    differing UInt64,
    klass LowCardinality(String),
    updated_at DateTime64(9, 'UTC')
) ENGINE = ReplacingMergeTree(updated_at)
ORDER BY (service, target, endpoint, `where`, facet, run)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, non_replicated_deduplication_window = 100;

CREATE TABLE IF NOT EXISTS findings (
    run String,
    id String,
    endpoint LowCardinality(String),
    `where` String,
    kind LowCardinality(String),
    verdict LowCardinality(String),
    json String,
    version UInt64
) ENGINE = ReplacingMergeTree(version)
ORDER BY (run, id)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, non_replicated_deduplication_window = 100;

CREATE OR REPLACE VIEW samples_v AS SELECT * FROM samples FINAL;

CREATE OR REPLACE VIEW noise_v AS
SELECT
    service, target, endpoint, `where`, facet,
    uniqExact(run) AS runs,
    sum(n.observed) AS observed,
    sum(n.differing) AS differing,
    argMax(n.klass, n.updated_at) AS klass,
    max(n.updated_at) AS updated_at
FROM noise AS n FINAL
GROUP BY service, target, endpoint, `where`, facet;

-- A run may be closed again (resume): only what its latest closing found stands. A closing that found nothing says so
-- with one row whose id and verdict are empty.
CREATE OR REPLACE VIEW findings_v AS
SELECT * FROM findings FINAL
WHERE (run, version) IN (SELECT run, max(version) FROM findings GROUP BY run) AND verdict != '';
