"""Room capture: records what production said, and takes in what other tools recorded.

Floor plan, in the order in which an exchange walks::

    record.py      `echolane record`: starts relay and recorder, keeps the recorder going, drains (the way in)
    relay.py       bytes in, bytes out: the only part on a client's path
    exchanging.py  pairs requests and answers of a connection      framing.py   where messages end (both pure)
    pipe.py        relay to recorder: bounded, never waited for
    recorder.py    the process beside the relay
    parsing.py     heads and bodies to the vocabulary's words      filters.py   what is recorded at all (both pure)
    storing.py     mask, seal, frame, and leave at a sink    appending.py   the sink that waits for the journal
    outbox.py      the sink before Kafka: memory, then disk   shipping.py    its thread, which sends
    spool.py       frames on the disk                         carrier.py     whose they are, and what became of them
    account.py     who counts what, and why it balances after any kill
    importing/     HAR and GoReplay files, by the same way into the journal
"""
