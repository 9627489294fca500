"""The chances that a verdict rests on: exact tests of counts, and the false discoveries among them. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import lru_cache

Q_MAX = 0.01
"""A finding on basis ``tested`` is a regression up to this share of expected false discoveries."""


@lru_cache(maxsize=4096)
def mcnemar(only_x: int, only_control: int) -> float:
    """One-sided exact p: how likely at least ``only_x`` of the discordant exchanges fall on x's side by chance."""
    return at_least(only_x, only_x + only_control, 0.5)


@lru_cache(maxsize=4096)
def at_least(count: int, n: int, chance: float) -> float:
    """How likely at least ``count`` of ``n`` draws succeed, each with that chance below 1; exact, in time of the root of n."""
    if count <= 0:
        return 1.0
    if count > n or chance <= 0:
        return 0.0
    if count == n:
        return chance**n
    if count > n * chance:
        return min(1.0, _tail(n, count, 1, chance))
    return max(0.0, 1.0 - _tail(n, count - 1, -1, chance))


def _tail(n: int, start: int, step: int, chance: float) -> float:
    """The sum of Bin(n, chance) from ``start`` away from the middle: terms shrink, so it ends when they no longer count."""
    odds = chance / (1 - chance)
    ways = math.lgamma(n + 1) - math.lgamma(start + 1) - math.lgamma(n - start + 1)
    term = math.exp(ways + start * math.log(chance) + (n - start) * math.log1p(-chance))
    total, k = 0.0, start
    while 0 <= k <= n and term > total * 1e-18:
        total += term
        term *= (n - k) / (k + 1) * odds if step > 0 else k / (n - k + 1) / odds
        k += step
    return total


def benjamini_hochberg(p_values: Sequence[float]) -> list[float]:
    """q-values in the order of the p-values (the step-up procedure, made monotone)."""
    count = len(p_values)
    q_values = [1.0] * count
    smallest = 1.0
    ranked = sorted(range(count), key=lambda i: p_values[i])
    for rank in range(count, 0, -1):
        smallest = min(smallest, p_values[ranked[rank - 1]] * count / rank)
        q_values[ranked[rank - 1]] = smallest
    return q_values


def family(p_values: Mapping[object, tuple[float, float]]) -> dict[object, float]:
    """q-values of tests given as (p, smallest p they could have had).

    A test that could not reject however its exchanges fell is no chance of a false discovery and stays outside of the family
    (Tarone 1990; Gilbert 2005 for the false discovery rate of discrete tests): much noise must not drown a real change.
    """
    able = [name for name, (_, least) in p_values.items() if least <= Q_MAX]
    found = dict(zip(able, benjamini_hochberg([p_values[name][0] for name in able]), strict=True))
    return {name: found.get(name, 1.0) for name in p_values}


@lru_cache(maxsize=4096)
def drawn(x: int, m: int, a: int, n: int) -> float:
    """One-sided exact p (Fisher 1935): how likely at least ``x`` of ``x + a`` that differ are among ``m`` of ``m + n`` by chance."""
    total = x + a
    low, high = max(0, total - n), min(m, total)
    if x <= low:
        return 1.0
    if x * (m + n) > total * m:
        return min(1.0, _urn_tail(x, high, 1, (m, n, total)))
    return max(0.0, 1.0 - _urn_tail(x - 1, low, -1, (m, n, total)))


def _urn_tail(start: int, end: int, step: int, urn: tuple[int, int, int]) -> float:
    """The sum of the hypergeometric chances from ``start`` to ``end``, away from the middle, until they no longer count."""
    m, n, total = urn
    logarithm = _ways(m, start) + _ways(n, total - start) - _ways(m + n, total)
    term, found, k = math.exp(logarithm), 0.0, start
    while (k - end) * step <= 0 and term > found * 1e-18:
        found += term
        if step > 0:
            term *= (m - k) * (total - k) / ((k + 1) * (n - total + k + 1))
        else:
            term *= k * (n - total + k) / ((m - k + 1) * (total - k + 1))
        k += step
    return found


def _ways(n: int, k: int) -> float:
    """The logarithm of how many ways there are to take k of n."""
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
