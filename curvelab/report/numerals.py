"""Numbers, steps, shares and durations as a person writes them."""

from __future__ import annotations

import json
import math
import re
from datetime import UTC, datetime
from typing import Any

from curvelab.model.finding import Measured
from curvelab.model.strict_json import strict
from curvelab.report.plain import clean

PERCENT = "\u202f%"  # a narrow space that does not break
UNKNOWN = "not in the log"
_PLURAL = re.compile(r"^((?:train )?(?:eval|step|value|point|turn|log|sigma|standard error|token|sample|episode|time))s\b")
LONGEST_SETTING = 160


def count(number: int) -> str:
    """1234567 -> "1,234,567"."""
    return f"{number:,}"


def plural(number: int, noun: str) -> str:
    """ "1 point", "1,200 points"."""
    return f"{count(number)} {noun}" if number == 1 else f"{count(number)} {noun}s"


def ordinal(number: int) -> str:
    """1 -> "1st", 12 -> "12th"."""
    ending = "th" if number % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{count(number)}{ending}"


def value(number: float) -> str:
    """Four significant digits, thousands grouped, "2e-5" for the very small and "1.2e9" for the very large."""
    if not math.isfinite(number):
        return "NaN" if math.isnan(number) else ("Inf" if number > 0 else "-Inf")
    size = abs(number)
    if number == int(number) and size < 1e7:
        return f"{int(number):,}"
    if size >= 1e6 or size < 1e-3:
        return scientific(number)
    return f"{number:,.0f}" if size >= 1000 else f"{number:.4g}"


def scientific(number: float, digits: int = 3) -> str:
    """2e-05 -> "2e-5"."""
    mantissa, _, exponent = f"{number:.{digits - 1}e}".partition("e")
    mantissa = mantissa.rstrip("0").rstrip(".") if "." in mantissa else mantissa
    return f"{mantissa}e{int(exponent)}"


def percent(share: float) -> str:
    """0.895 -> "89.5 %"; shares near 0 or 1 are not rounded to it."""
    hundred = 100 * share
    if not math.isfinite(hundred) or abs(hundred) >= 1e6:
        return value(hundred if math.isfinite(hundred) else share) + PERCENT
    if abs(hundred) >= 1000:
        return f"{hundred:,.0f}{PERCENT}"
    rounded = round(hundred, 1 if abs(hundred) >= 1 else 2) + 0.0  # -0.0 is 0
    if rounded == 100 and hundred < 100:
        rounded = 99.9
    return f"{rounded:,.10g}{PERCENT}"


def steps(start: int | None, end: int | None = None) -> str:
    """ "step 224", "steps 24–420", or an empty string when no step is known."""
    if start is None:
        return "" if end is None else f"up to step {count(end)}"
    if end is None or end == start:
        return f"step {count(start)}"
    return f"steps {count(start)}–{count(end)}"


def duration(seconds: float) -> str:
    """Two largest units: "2 h 13 min", "3 d 4 h", "45 s"."""
    left = max(0, round(seconds)) if math.isfinite(seconds) else 0
    parts: list[tuple[int, str]] = []
    for name, size in (("d", 86400), ("h", 3600), ("min", 60), ("s", 1)):
        number, left = divmod(left, size)
        if number or parts:
            parts.append((number, name))
    return " ".join(f"{count(number)} {name}" for number, name in parts[:2] if number) or "0 s"


def moment(seconds: float | None, day: bool = False) -> str:
    """Unix seconds -> "2026-11-12 02:14 UTC", or the day alone; an empty string for what is no time of this calendar."""
    try:
        return "" if seconds is None else datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d" if day else "%Y-%m-%d %H:%M UTC")
    except (ValueError, OverflowError, OSError):
        return ""


def age(seconds: float) -> str:
    """The largest unit alone: "3 d", "5 h", "20 min", "now" below a minute."""
    return "now" if not seconds >= 60 else " ".join(duration(seconds).split(" ")[:2])


def money(cost: float) -> str:
    """Two decimals below a thousand, none above: "4.20", "12,300". In whose currency only the user knows."""
    if not math.isfinite(cost):
        return value(cost)
    return f"{cost:,.0f}" if abs(cost) >= 1000 else f"{cost:.2f}"


def amount(number: float, unit: str) -> str:
    """A number as its unit wants it: in percent where the unit begins with "of ", whatever its size."""
    return percent(number) if unit.startswith("of ") else value(number)


def measured(one: Measured) -> tuple[str, str, str]:
    """(value, unit, what it takes: "≥ 5 %") in words; the last is empty where there is no threshold."""
    unit = clean(one.unit, 60)
    if one.value == 1:
        unit = _PLURAL.sub(r"\1", unit, count=1)
    return amount(one.value, one.unit).replace("-", "−", 1 if one.value < 0 else 0), unit, needed(one)


def needed(one: Measured) -> str:
    """What a number must be to make its finding: "≥ 5 %", "< 4"; empty where there is no threshold."""
    if one.threshold is None:
        return ""
    above = one.value >= one.threshold if not one.fires else one.fires == "above"
    return f"{'≥' if above else '<'}\N{NARROW NO-BREAK SPACE}{amount(one.threshold, one.unit)}"


def setting(given: Any) -> str:
    """A hyperparameter's value in short: true, 2e-5, ["q_proj", "v_proj"]; NaN and infinities as the JSON has them."""
    given = strict(given)
    if given is None:
        return "null"
    if isinstance(given, bool):
        return "true" if given else "false"
    if isinstance(given, int):
        return clean(given, LONGEST_SETTING)
    if isinstance(given, float):
        exact = repr(given)
        return exact.removesuffix(".0") if "e" not in exact else exact.replace("e-0", "e-").replace("e+", "e")
    if isinstance(given, str):
        return clean(given, LONGEST_SETTING)
    return clean(json.dumps(given, ensure_ascii=False, default=str), LONGEST_SETTING)
