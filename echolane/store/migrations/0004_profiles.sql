-- Profiles: what a run learned of the base version it was fired at. `target` is the version's key. A row with an endpoint and no place
-- counts the endpoint's exchanges, a row with neither those of the run; a place without a row never differed.

ALTER TABLE noise ADD COLUMN IF NOT EXISTS kinds Array(String);

ALTER TABLE noise ADD COLUMN IF NOT EXISTS own UInt8;

ALTER TABLE noise ADD COLUMN IF NOT EXISTS first_seen DateTime64(9, 'UTC');

ALTER TABLE noise ADD COLUMN IF NOT EXISTS last_seen DateTime64(9, 'UTC');

-- A run may be closed again (resume): only what its latest closing learned stands. All rows of one closing have one time.
CREATE OR REPLACE VIEW noise_runs_v AS
SELECT * FROM noise FINAL
WHERE (run, updated_at) IN (SELECT run, max(updated_at) FROM noise GROUP BY run);

CREATE OR REPLACE VIEW noise_v AS
SELECT
    service, target, endpoint, `where`, facet,
    uniqExact(run) AS runs,
    sum(n.observed) AS observed,
    sum(n.differing) AS differing,
    argMax(n.klass, n.updated_at) AS klass,
    arraySort(groupUniqArrayArray(n.kinds)) AS kinds,
    min(n.first_seen) AS first_seen,
    max(n.last_seen) AS last_seen,
    max(n.updated_at) AS updated_at
FROM noise_runs_v AS n
GROUP BY service, target, endpoint, `where`, facet;
