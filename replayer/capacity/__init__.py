"""Capacity: how much of the recorded traffic one target bears, found by raising the load until a health rule breaks.

Floor plan::

    rules.py       pure: what one interval showed, the health rules, and the judgement
    search.py      pure: judgements in, next level out: climb, bisect, hold
    confidence.py  pure: between which levels the limit lies, from all judgements
    lever.py       the seam: what turns the load of a target (by rate here; by weight, once lanes shift it)
    rate.py        the lever of this room: fires the recording at a rate
    rhythm.py      which request is due when, at a rate that changes from interval to interval
    meter.py       what the answers of an interval came to
    prometheus.py  the door to a Prometheus server: the target's own metrics
    evaluate.py    the conversation of them all, and what is told of it
"""
