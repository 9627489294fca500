"""The replayer: says again what production said, to every target at the same instant, on time.

Walk the rooms in this order::

    plan         a recording becomes work: in order (order), with due times (pace), and with reasons where it is skipped
    fire         replay(): reads the work, fires it, writes observations; stops, pauses and resumes (options: its words)
    firing       the volleys: every target at the same instant, no task and no timer per request
    feeding      work → flights, made ready for the wire ahead of time (wire)
    schedule     which flight may go now: due (timer), predecessors answered, a place free at every target
    flight       one exchange on its way to all its targets
    connection   keep-alive connections to one target; framing tells where an answer ends, answer what it is
    linking      what ties a request to an earlier answer of its session (places, pieces, origins read them; jsonspans, markup the
                 bodies), affinity and deciding which ties are real
    carrying     what a target gave carries over to what follows there, where it may stand (fitting) and with no secret said of it
                 (hiding); rewrite does it for cookies
    breaker      is a target down, or does it answer badly? (health probes it)
    intents      the durable word before an unsafe request
    observing    four answers → one observation, masked, → the journal
    targets      where a run may fire
    copies       fresh copies of two versions, started and ended with the run (guard ends them even when we are killed)

What decides is pure: pace, order, linking, framing, answer, breaker, rewrite, schedule. The rest is a thin rim of sockets and files.
"""
