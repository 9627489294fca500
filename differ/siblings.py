"""Which members make up one container that was rewritten, told by the endpoints at which they changed. Pure.

The containers of one name at two endpoints are two things: the top of every document is called ``body:$``. What is one thing there is
known by its members: where several changed at one endpoint, their container did, and endpoints are of one container where a member changed
at both.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence


def containers(endpoints: Sequence[frozenset[str]], least: int) -> list[tuple[str, list[int]]]:
    """The containers that were rewritten: the first endpoint of each, and its members; ``endpoints``: at which each member changed.

    ``least`` members at one endpoint are a container. A member that changed mostly where its container was left alone belongs to none.
    """
    counts = Counter(endpoint for each in endpoints for endpoint in each)
    leaders = {endpoint: endpoint for endpoint, count in counts.items() if count >= least}
    homes: dict[int, str] = {}
    for member, each in enumerate(endpoints):
        within = leaders.keys() & each
        if within and 2 * len(within) >= len(each):
            joined = {_leader(leaders, endpoint) for endpoint in within}
            homes[member] = first = min(joined)
            leaders |= dict.fromkeys(joined, first)
    found: dict[str, list[int]] = defaultdict(list)
    for member, endpoint in homes.items():
        found[_leader(leaders, endpoint)].append(member)
    return [(endpoint, members) for endpoint, members in sorted(found.items()) if len(members) >= least]


def _leader(leaders: dict[str, str], endpoint: str) -> str:
    """The first endpoint of the container at this one; the way there is made shorter for whoever asks next."""
    while (above := leaders[endpoint]) != endpoint:
        leaders[endpoint] = leaders[above]
        endpoint = above
    return endpoint
