"""A share as the sentences of a finding write it."""

from __future__ import annotations


def percent(share: float, form: str = ".0%") -> str:
    """0.234 -> "23 %"; `form` is a format of Python that ends in %, such as ".1%" or "+.0%"."""
    return format(share, form).replace("%", " %")
