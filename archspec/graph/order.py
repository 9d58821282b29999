"""Things in an order in which each comes behind those that it needs."""

from __future__ import annotations

import heapq
from collections.abc import Collection, Sequence


def topological(needs: Sequence[Collection[int]]) -> list[int]:
    """Places 0, 1, … as they are, but each behind those that it needs; circles and what needs them are left out."""
    readers: list[list[int]] = [[] for _ in needs]
    for place, need in enumerate(needs):
        for source in need:
            readers[source].append(place)
    missing = [len(need) for need in needs]
    ready = [place for place, count in enumerate(missing) if not count]
    order = []
    while ready:
        place = heapq.heappop(ready)
        order.append(place)
        for reader in readers[place]:
            missing[reader] -= 1
            if not missing[reader]:
                heapq.heappush(ready, reader)
    return order
