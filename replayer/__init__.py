"""The replayer: says again what production said, to every target at the same instant, on time.

Walk the rooms in this order::

    plan         a recording becomes work: in order (order), with due times (pace), and with reasons where it is skipped
    fire         replay(): reads the work, fires it, writes observations; stops, pauses and resumes (options: its words)
    firing       the volleys: every target at the same instant, no task and no timer per request
    parts        what the volleys work with (connecting gets connections, partners names who is told; sparing: which targets a flight
                 leaves out; limits: places at each target; restraint: targets that ask for time; stopping, switch: what ends a run)
    feeding      work → flights, made ready for the wire ahead of time (wire)
    schedule     which flight may go now: due (timer), predecessors answered, a place free at every target
    flight       one exchange on its way to all its targets
    connection   keep-alive connections to one target; framing tells where an answer ends, answer what it is
    linking      what ties a request to an earlier answer of its session (places, pieces, origins read them; jsonspans, markup the
                 bodies), affinity and deciding which ties are real
    carrying     what a target gave carries over to what follows there, where it may stand (fitting) and with no secret said of it
                 (hiding); rewrite does it for cookies
    keeping      what answers gave and is masked in them, sealed for whoever goes on
    keeper       credentials of a target's own (identities, sources, providers, tokens, resigning; wearing puts them in), and keys and
                 digests that follow (idempotency, digests)
    dryrun       writes as a dry run: only where the answers echo it; probing proves a lane
    breaker      is a target down, or does it answer badly? (health probes it)
    intents      the durable word before an unsafe request
    observing    four answers → one observation, masked, → the journal
    targets      where a run may fire
    capacity/    how much one target bears, with the same volleys
    copies       fresh copies of two versions, started and ended with the run (guard ends them even when we are killed)

What decides is pure: pace, order, linking, framing, answer, breaker, rewrite, schedule. The rest is a thin rim of sockets and files.
"""
