"""Writes the README's generated tables: python tests/update_readme.py

Patterns and formats come from the cards of the detectors and importers, what the fixes did from the logs in
sample_runs/. Accuracy and reliability were measured and are
kept in tests/data: accuracy.json by `curvelab bench TRAINED WILD --format json`, reliability.json by
tests/benchmarks/calibrate.py --write.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

import msgspec

from curvelab.cards import format_table_markdown, pattern_table_markdown
from curvelab.reliability import Bin, calibration_error
from curvelab.report.scores import score_markdown
from curvelab.scoring import Benchmark

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"
DATA = ROOT / "tests" / "data"


def accuracy() -> str:
    """The tables of `curvelab bench --format md` over the two labelled sets."""
    return score_markdown(msgspec.json.decode((DATA / "accuracy.json").read_bytes(), type=Benchmark))


def reliability() -> str:
    """What findings on synthetic runs said, and how often that was right."""
    table = msgspec.json.decode((DATA / "reliability.json").read_bytes(), type=tuple[Bin, ...])
    lines = ["| confidence | findings | mean | right |", "|---|---:|---:|---:|"]
    lines += [f"| {one.low:.1f} to {one.high:.1f} | {one.findings} | {one.confidence:.2f} | {one.right:.2f} |" for one in table]
    return "\n".join([*lines, "", f"Expected calibration error {calibration_error(table):.3f}."]) + "\n"


def fixes() -> str:
    """The sample runs with a fault before and after their fix."""
    sys.path.insert(0, str(ROOT / "sample_runs"))
    from before_after import before_after_table

    return before_after_table()


def updated(text: str) -> str:
    """The README with its generated tables as the cards and the measured data have them now."""
    tables = {
        "patterns": pattern_table_markdown(),
        "accuracy": accuracy(),
        "reliability": reliability(),
        "formats": format_table_markdown(),
        "fixes": fixes(),
    }
    for name, table in tables.items():
        text, count = re.subn(
            rf"(<!-- {name}: [^\n]*-->\n).*?(<!-- end of {name} -->)", lambda m: m[1] + table + m[2], text, flags=re.S  # noqa: B023
        )
        if count != 1:
            raise ValueError(f"README.md has no block for {name}")
    return text


if __name__ == "__main__":
    README.write_text(updated(README.read_text()))
