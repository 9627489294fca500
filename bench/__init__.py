"""Speed, measured against the peers: ``make bench`` or ``python -m bench [capture firing comparing storing chain] [--rounds N]``.

Floor plan::

    __main__.py   runs the tables and writes bench/RESULTS.md
    peers.py      where the peers are, how they are installed, their versions
    pool.py       distinct answers for everybody, more than any memory of ours holds
    parts.py      servers as processes, their CPU time, wrk, medians, tables
    capture.py    1. recording proxies (proxies.py: how each is started)
    firing.py     2. the replayer (shooting.py: ours; clients.py: the peers; sink.py: who notes the arrivals)
    comparing.py  3. the differ (forms.py: its compiled form, in a process of its own)
    storing.py    4. journal and store
    chain.py      5. the whole chain
    capacity.py   8. the limit of a target (limited.py: one whose limit is known exactly)

Each table runs the peers and us interleaved in one invocation and gives medians over rounds; ratios of one invocation count, absolute
numbers of shared machines do not. A peer that is not installed has a row that says so.
"""

from __future__ import annotations

import os

os.environ.setdefault("ECHOLANE_PURE", "1")  # the reference is measured; the compiled form has its own columns
