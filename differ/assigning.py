"""The cheapest one-to-one assignment of rows to columns. Pure; cubic in the worst case, so callers bound what they ask for."""

from __future__ import annotations

from collections.abc import Sequence

FREE = -1
_FAR = float("inf")


def assigned(costs: Sequence[Sequence[int]]) -> list[int]:
    """The column of each row such that the sum of costs is least; there are no more rows than columns.

    Shortest augmenting paths over reduced costs: Jonker and Volgenant (Computing 38, 1987), for rectangles as in Crouse (IEEE
    Transactions on Aerospace and Electronic Systems 52, 2016). At most rows x rows x columns steps.
    """
    columns = len(costs[0]) if costs else 0
    owners, prices, dues = [FREE] * columns, [0] * columns, [0] * len(costs)
    for row in range(len(costs)):
        _augment(row, costs, owners, prices, dues)
    found = [FREE] * len(costs)
    for column, row in enumerate(owners):
        if row != FREE:
            found[row] = column
    return found


def _augment(row: int, costs: Sequence[Sequence[int]], owners: list[int], prices: list[int], dues: list[int]) -> None:
    """Give one more row a column: the shortest path to a free one moves the rows that are on it."""
    least: list[float] = [_FAR] * len(prices)
    via = [row] * len(prices)
    left, taken = list(range(len(prices))), list[int]()
    at, spent = row, 0
    while True:
        line, base = costs[at], spent - dues[at]
        near: float = _FAR
        end = FREE
        for column in left:
            reach = base + line[column] - prices[column]
            if reach < least[column]:
                least[column] = reach
                via[column] = at
            if least[column] < near or (least[column] == near and owners[column] == FREE):
                near, end = least[column], column
        spent = int(near)
        if owners[end] == FREE:
            break
        left.remove(end)
        taken.append(end)
        at = owners[end]
    dues[row] += spent
    for column in taken:
        gain = spent - int(least[column])
        dues[owners[column]] += gain
        prices[column] -= gain
    while True:
        at = via[end]
        # The column that the row had before is the next to change hands.
        before = owners.index(at) if at != row else FREE
        owners[end] = at
        if at == row:
            return
        end = before
