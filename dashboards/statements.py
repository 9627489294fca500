"""What the panels ask the store: over views that fold, so that nothing counts twice.

``$__timeFilter`` and ``$__timeInterval`` are macros of Grafana's ClickHouse plugin, ``${service:sqlstring}`` the chosen services.
"""

from __future__ import annotations

_FINISHED = "FROM runs_v WHERE $__timeFilter(started_at) AND service IN (${service:sqlstring}) AND state = 'finished'"
_RUNS = f"(SELECT run, service, started_at {_FINISHED}) AS r"

SERVICES = "SELECT DISTINCT service FROM runs_v ORDER BY service"
RUNS = f"SELECT count() AS runs {_FINISHED}"
FAILED = f"SELECT countIf(verdict = 'fail') AS failed {_FINISHED}"
INCONCLUSIVE = f"SELECT countIf(verdict = 'inconclusive') AS inconclusive {_FINISHED}"
VERDICTS = f"SELECT $__timeInterval(started_at) AS time, verdict, count() AS runs {_FINISHED} GROUP BY time, verdict ORDER BY time"
BY_SERVICE = f"""SELECT $__timeInterval(r.started_at) AS time, r.service AS service, count() AS regressions
FROM findings_v AS f INNER JOIN {_RUNS} ON f.run = r.run
WHERE f.verdict = 'regression' GROUP BY time, service ORDER BY time"""  # noqa: S608
LATEST = f"""SELECT started_at, service, run, verdict, reason_code,
    dateDiff('millisecond', started_at, finished_at) / 1000 AS seconds,
    JSONExtractUInt(result, 'ledger', 'fired') AS fired,
    JSONExtractUInt(result, 'ledger', 'same') AS same,
    JSONExtractUInt(result, 'ledger', 'noise_only') AS noise_only,
    JSONExtractUInt(result, 'ledger', 'undecided') AS undecided,
    JSONExtractUInt(result, 'ledger', 'different') AS different,
    JSONExtract(result, 'fidelity', 'Nullable(Float64)') AS fidelity
{_FINISHED} ORDER BY started_at DESC LIMIT 100"""
REGRESSES_MOST = f"""SELECT r.service AS service, f.endpoint AS endpoint, f.`where` AS place, f.kind AS kind, uniqExact(f.run) AS runs,
    sum(JSONExtractUInt(f.json, 'differing')) AS exchanges, max(r.started_at) AS last_seen
FROM findings_v AS f INNER JOIN {_RUNS} ON f.run = r.run
WHERE f.verdict = 'regression' GROUP BY service, endpoint, place, kind ORDER BY runs DESC, exchanges DESC LIMIT 100"""  # noqa: S608

NOISE_FINDINGS = f"""SELECT $__timeInterval(r.started_at) AS time, r.service AS service, count() AS findings
FROM findings_v AS f INNER JOIN {_RUNS} ON f.run = r.run
WHERE f.verdict = 'noise' GROUP BY time, service ORDER BY time"""  # noqa: S608
UNDECIDED = NOISE_FINDINGS.replace("'noise'", "'undecided'")
NOISE_SHARE = f"""SELECT $__timeInterval(started_at) AS time, service,
    sum(JSONExtractUInt(result, 'ledger', 'noise_only')) / greatest(1, sum(JSONExtractUInt(result, 'ledger', 'compared'))) AS share
{_FINISHED} GROUP BY time, service ORDER BY time"""
NOISIEST = f"""SELECT n.service AS service, n.endpoint AS endpoint, n.`where` AS place, max(n.differing) AS differs, max(n.observed) AS seen,
    max(n.differing / greatest(1, n.observed)) AS share, uniqExact(n.run) AS runs
FROM noise_runs_v AS n INNER JOIN {_RUNS} ON n.run = r.run
WHERE n.`where` != '' AND n.differing > 0 GROUP BY service, endpoint, place ORDER BY share DESC, differs DESC LIMIT 100"""  # noqa: S608

FIRED_PER_S = f"""SELECT started_at AS time, service, JSONExtractFloat(result, 'rates', 'fired_per_s') AS fired_per_s
{_FINISHED} ORDER BY time"""
FIRED = f"""SELECT $__timeInterval(started_at) AS time, service, sum(JSONExtractUInt(result, 'ledger', 'fired')) AS fired
{_FINISHED} GROUP BY time, service ORDER BY time"""
LATENESS = f"""SELECT started_at AS time,
    JSONExtractUInt(result, 'timing', 'lateness', 'p50_us') / 1e6 AS p50,
    JSONExtractUInt(result, 'timing', 'lateness', 'p99_us') / 1e6 AS p99,
    JSONExtractUInt(result, 'timing', 'lateness', 'max_us') / 1e6 AS worst
{_FINISHED} AND JSONHas(result, 'timing', 'lateness', 'count') ORDER BY time"""
SESSION_WAIT = LATENESS.replace("'lateness'", "'session_wait'")
_TARGETS = "arrayJoin(['base', 'control', 'branch', 'branch_control']) AS target"
SERVICE_TIME = f"""SELECT started_at AS time, target, JSONExtractUInt(result, 'timing', 'targets', target, 'service', 'p99_us') / 1e6 AS p99
FROM (SELECT started_at, result, {_TARGETS} {_FINISHED})
WHERE JSONHas(result, 'timing', 'targets', target, 'service', 'p99_us') ORDER BY time"""  # noqa: S608
NOT_ANSWERED = f"""SELECT $__timeInterval(started_at) AS time, target,
    sum(arraySum(mapValues(JSONExtract(result, 'ledger', 'failed', target, 'Map(String, UInt64)')))) AS failed
FROM (SELECT started_at, result, {_TARGETS} {_FINISHED})
GROUP BY time, target ORDER BY time"""  # noqa: S608

_EVALUATED = "FROM capacities_v WHERE $__timeFilter(started_at) AND service IN (${service:sqlstring})"
CAPACITIES = f"""SELECT started_at, service, target, state, safe_per_s, low_per_s, high_per_s, limiting, reason, run
{_EVALUATED} ORDER BY started_at DESC LIMIT 100"""
LATENCY_OVER_LOAD = f"""SELECT rate_per_s, median(s.p50_ms) AS p50, median(s.p90_ms) AS p90,
    median(s.p99_ms) AS p99
FROM capacity_steps_v AS s WHERE s.run = (SELECT argMax(run, started_at) {_EVALUATED}) AND s.phase != 'recover' AND s.state != 'void'
GROUP BY rate_per_s ORDER BY rate_per_s"""  # noqa: S608
