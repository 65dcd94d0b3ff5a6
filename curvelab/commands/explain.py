"""curvelab explain: the card of a pattern, or the table of all of them."""

from __future__ import annotations

from typing import Annotated

import typer

from curvelab.commands.terminal import print_result


def explain(
    pattern: Annotated[str | None, typer.Argument(metavar="[PATTERN]", help="A pattern; without one, a table.")] = None,
    markdown: Annotated[bool, typer.Option("--md", help="Print Markdown.")] = False,
) -> None:
    """The card of a pattern.

    What it looks for, its look-alikes, its thresholds and their sources, its fixes.
    """
    from curvelab import cards
    from curvelab.catalogue import detector

    if pattern is None:
        print_result(cards.pattern_table_markdown() if markdown else cards.pattern_table())
    else:
        one = detector(pattern)
        print_result(cards.card_markdown(one) if markdown else cards.card_text(one))
