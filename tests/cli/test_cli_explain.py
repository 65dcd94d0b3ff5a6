"""explain, and the cards that documentation is made of."""

from __future__ import annotations

import pytest

from curvelab import cards
from curvelab.catalogue import detectors, importers
from curvelab.rules import HEADINGS

PATTERNS = [one.pattern for one in detectors()]


def test_table_has_every_pattern(call):
    answer = call("explain")
    assert answer.code == 0
    assert [line.split()[0] for line in answer.out.splitlines()[1 : len(PATTERNS) + 1]] == PATTERNS
    table = call("explain", "--md").out
    assert all(f"| `{pattern}` |" in table for pattern in PATTERNS)


@pytest.mark.parametrize("one", detectors(), ids=lambda one: one.pattern)
def test_card_has_everything(call, one):
    text, markdown = call("explain", one.pattern), call("explain", one.pattern, "--md")
    assert text.code == markdown.code == 0
    for heading in HEADINGS:
        assert f"\n{heading}\n" in text.out
        assert f"\n## {heading}\n" in markdown.out
    for limit in cards.limits(one):
        assert f"--set {limit.setting}={limit.default:g}" in text.out
        assert f"| `{limit.setting}` |" in markdown.out
        assert limit.source.split()[0] in text.out
    for number, remedy in enumerate(one.remedies, 1):
        assert f"\n  {number}. {remedy.title.split()[0]}" in text.out
    assert text.out.count("When not:") == len(one.remedies)
    assert "{" not in text.out + markdown.out


def test_unknown_pattern_offers_the_nearest(call):
    answer = call("explain", "clip_saturation")
    assert answer.code == 2
    assert answer.out == ""
    assert 'did you mean "clip-saturation"?' in answer.err


@pytest.mark.parametrize("one", importers(), ids=lambda one: one.format)
def test_importer_card(one):
    text = cards.importer_markdown(one)
    assert text.startswith(f"# {one.format}: {one.title}\n")
    assert all(f"`{glob}`" in text for glob in one.globs)


def test_angle_brackets_do_not_become_tags():
    assert cards._escaped("eval_<set>_loss") == r"eval\_\<set>\_loss"
    assert cards._escaped("a_b, `run-*.wandb`, c_d `e_f`") == r"a\_b, `run-*.wandb`, c\_d `e_f`"
    assert cards._general("from step {start_step:,} on, {share:.0%}") == "from step <start step> on, <share>"
