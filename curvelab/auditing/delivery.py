"""What was settled and not told yet: an audit that dies before its page is written leaves word to the next.

The memo is written in the transaction that settles, and cleared when page and messages are out. For a while it may be that
of an audit which is still at work beside this one; after that, its findings are new again.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from curvelab.model.strict_json import encoded

TELLING = "telling"
UNDELIVERED = "undelivered"
PATIENCE = 900.0  # seconds after which an audit that has settled and not told is dead: messages are bounded to a minute


class Telling(msgspec.Struct, frozen=True, kw_only=True):
    """Fingerprints that an audit is about to tell of, and when it settled them."""

    settled: float
    fingerprints: tuple[str, ...]


def noted(before: str | None, fingerprints: Iterable[str], now: float) -> str:
    """The memo of an audit that settles now; what an earlier one left and nobody has told yet stays in it."""
    left = [one for one in _read(before) if one.fingerprints]
    own = Telling(settled=now, fingerprints=tuple(fingerprints))
    return encoded(msgspec.to_builtins([*left, own])).decode()


def untold(memo: str | None, now: float) -> frozenset[str]:
    """What audits have left that have long been dead."""
    return frozenset(name for one in _read(memo) if now - one.settled > PATIENCE for name in one.fingerprints)


def told(memo: str | None, settled: float, fingerprints: Iterable[str]) -> str:
    """The memo without what one audit has told."""
    gone = frozenset(fingerprints)
    left = [msgspec.structs.replace(one, fingerprints=tuple(n for n in one.fingerprints if n not in gone)) for one in _read(memo)]
    return encoded(msgspec.to_builtins([one for one in left if one.fingerprints and one.settled != settled])).decode()


def given_up(memo: str | None, settled: float) -> str:
    """The memo when an audit knows that it could not tell: the next one need not wait."""
    left = [msgspec.structs.replace(one, settled=0.0) if one.settled == settled else one for one in _read(memo)]
    return encoded(msgspec.to_builtins(left)).decode()


def _read(memo: str | None) -> list[Telling]:
    try:
        return [] if memo is None else msgspec.json.decode(memo, type=list[Telling])
    except (msgspec.MsgspecError, UnicodeError):
        return []


def read_missed(memo: str | None) -> dict[str, list[str]]:
    """What targets have missed, of the memo: key of a target -> fingerprints."""
    try:
        return {} if memo is None else msgspec.json.decode(memo, type=dict[str, list[str]])
    except (msgspec.MsgspecError, UnicodeError):
        return {}
