"""Which of tonight's findings is which of those known: spans of steps of one run, pattern and metric, matched one to one.

A start step drifts: a live run grows, a detector was mended, a log was thinned. So spans are the same that are equal,
else those that overlap, else those whose starts are near to each other.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

Span = tuple[int, int]  # first and last step

NEAR = 0.1  # of the run's length: starts that far apart may be one finding; judgement
MOST_PAIRS = 250_000  # candidates that are weighed against each other (0.3 s); more are taken in their order


def matched(known: Sequence[Span], tonight: Sequence[Span], length: int) -> dict[int, int]:
    """Index in `tonight` -> index in `known`, one to one; those of no partner are left out.

    length   steps of the run, which says how near is near
    """
    known, tonight = [_upright(one) for one in known], [_upright(one) for one in tonight]
    found: dict[int, int] = {}

    def rest(spans: Sequence[Span], gone: set[int]) -> list[int]:
        return sorted((i for i in range(len(spans)) if i not in gone), key=lambda i: (spans[i], i))

    for match in (_equal, _overlapping, _near):
        left, right = rest(known, set(found.values())), rest(tonight, set(found))
        if not left or not right:
            break
        pairs = match([known[i] for i in left], [tonight[i] for i in right], length)
        found |= {right[j]: left[i] for i, j in pairs}
    return found


def _upright(span: Span) -> Span:
    return span[0], max(span)


def _equal(known: list[Span], tonight: list[Span], length: int) -> Iterator[tuple[int, int]]:
    """Nothing has moved: by far the most common case, and cheap however many there are."""
    places: dict[Span, list[int]] = {}
    for i, span in reversed([*enumerate(known)]):
        places.setdefault(span, []).append(i)
    for j, span in enumerate(tonight):
        if places.get(span):
            yield places[span].pop(), j


def _overlapping(known: list[Span], tonight: list[Span], length: int) -> list[tuple[int, int]]:
    """As many pairs as possible, in the order of their steps, and of those the pairs that overlap best.

    Best by share and not by steps: a short episode inside a long one is no more the long one than it was. Taking the
    greatest overlap first was tried: where all episodes have moved by more than half, each takes its neighbour's name.
    """
    if len(known) * len(tonight) > MOST_PAIRS:
        return [(i, i) for i in range(min(len(known), len(tonight))) if _likeness(known[i], tonight[i])]
    best = [[(0, 0.0)] * (len(tonight) + 1) for _ in range(len(known) + 1)]  # of the first i and the first j
    for i, one in enumerate(known, 1):
        for j, other in enumerate(tonight, 1):
            best[i][j] = max(best[i - 1][j], best[i][j - 1])
            if likeness := _likeness(one, other):
                count, sum_ = best[i - 1][j - 1]
                best[i][j] = max(best[i][j], (count + 1, sum_ + likeness))
    pairs, i, j = [], len(known), len(tonight)
    while i and j:
        if best[i][j] == best[i - 1][j]:
            i -= 1
        elif best[i][j] == best[i][j - 1]:
            j -= 1
        else:
            i, j = i - 1, j - 1
            pairs.append((i, j))
    return pairs


def _likeness(one: Span, other: Span) -> float:
    """Steps in both by steps in either, 0..1."""
    both = min(one[1], other[1]) - max(one[0], other[0]) + 1
    return both / (max(one[1], other[1]) - min(one[0], other[0]) + 1) if both > 0 else 0.0


def _near(known: list[Span], tonight: list[Span], length: int) -> Iterator[tuple[int, int]]:
    """The nearest starts first."""
    if len(known) * len(tonight) > MOST_PAIRS:
        candidates = [(abs(known[i][0] - tonight[i][0]), i, i) for i in range(min(len(known), len(tonight)))]
    else:
        candidates = [(abs(a[0] - b[0]), i, j) for i, a in enumerate(known) for j, b in enumerate(tonight)]
    left, right = set(), set()
    for distance, i, j in sorted(candidates):
        if distance > NEAR * length:
            break
        if i not in left and j not in right:
            left.add(i)
            right.add(j)
            yield i, j
