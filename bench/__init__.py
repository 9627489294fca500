"""Speed, measured against the peers: ``make bench`` or ``python -m bench [capture firing comparing storing chain]``.

Each table runs the peers and us interleaved in one invocation and gives medians over rounds; ratios of one invocation count, absolute numbers
of these machines do not. A peer that is not installed has a row that says so. Results go to ``bench/RESULTS.md``.
"""
