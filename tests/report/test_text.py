"""Terminal and Markdown: width, colour, escaping, and nothing of matplotlib."""

from __future__ import annotations

import io
import math
import re
import subprocess
import sys

import pytest
from rich.cells import cell_len
from rich.console import Console

from curvelab.model.result import Diagnosis
from curvelab.report.markdown import markdown
from curvelab.report.text import plain, show

from . import diagnoses as made

CONTROL = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


@pytest.mark.parametrize("width", [60, 120])
@pytest.mark.parametrize("text", [None, *made.HOSTILE])
def test_no_line_is_wider_than_the_terminal_and_no_control_code_gets_through(width: int, text: str | None) -> None:
    diagnosis = made.ten_findings() if text is None else made.hostile(text)
    shown = plain([diagnosis, made.diagnosis()], width)
    assert max(cell_len(line) for line in shown.splitlines()) <= width
    assert not CONTROL.search(shown)
    assert all(line == line.rstrip() for line in shown.splitlines())


def test_the_summary_has_verdict_findings_fixes_and_what_was_not_checked() -> None:
    shown = plain([made.ten_findings()], 100)
    for expected in (
        "■ sft-llama-8b-lora-r16: Divergence since step 700",
        "critical, very likely (88\u202f%)",
        "crashed · 1,000 of 1,500 planned steps · 200 train points",
        "wasted: 650 steps, 65\u202f% of the run, 2 h 36 min after step 350 (the best eval)",
        "early stopping: would have stopped at step 500 with step 350 kept (eval/loss 1.662), 500 steps,",
        "checkpoint: Use checkpoint-350: eval/loss 1.662 (perplexity 5.27); the final model is 22 % worse",
        "4 ▲ warning overfitting",
        "steps 350–1,000 · eval/loss · very likely (93\u202f%)",
        "eval/loss rose 22 % after step 350 while train/loss fell.",
        "load_best_model_at_end: false → true; costs a rerun",
        "A consequence of divergence: treat that first.",
        "kl-blowup (train/kl was not logged)",
        "length-explosion (ZeroDivisionError: division by zero)",
        "a.json @byte 812: the last record is cut off",
    ):
        assert expected.replace("\u202f", " ") in shown.replace("\u202f", " "), expected


def test_a_healthy_run_says_so() -> None:
    shown = plain([made.diagnosis()], 80)
    assert shown.startswith("✓ sft-llama-8b-lora-r16: Looks healthy\n  7 checks looked at 200 train points")
    assert "not checked" in shown


def test_colour_only_where_the_console_has_it_and_ascii_where_it_must_be() -> None:
    out = io.StringIO()
    show(made.ten_findings(), Console(file=out, width=80, force_terminal=True, color_system="standard"))
    assert "\x1b[" in out.getvalue()
    piped = io.StringIO()
    show(made.ten_findings(), Console(file=piped, width=80))
    assert "\x1b" not in piped.getvalue()
    raw = io.BytesIO()
    narrow = io.TextIOWrapper(raw, encoding="ascii", errors="strict")
    show(made.ten_findings(), Console(file=narrow, width=80))
    narrow.flush()
    assert b"# sft-llama-8b-lora-r16: Divergence" in raw.getvalue()


@pytest.mark.parametrize(
    "values",
    [[1e308, -1e308, 0.0], [math.nan] * 4, [math.inf, 1.0], [2.0], [3.0] * 30, [], [5e-324, 1.0, 1e308]],
)
def test_any_loss_has_a_sparkline(values: list[float]) -> None:
    curves = {"train/loss": made.thinned(range(1, len(values) + 1), values)}
    diagnosis = made.diagnosis(series=curves, first_step=None, last_step=None, best_step=None)
    assert "Looks healthy" in plain([diagnosis], 60)


def test_markdown_has_one_section_a_run_after_a_table() -> None:
    text = markdown([made.diagnosis([made.overfitting()]), made.diagnosis()])
    assert text.startswith("| Run | Verdict | Severity | Points |\n")
    assert "## Overfitting since step 350: `sft-llama-8b-lora-r16`\n" in text
    assert "**Overfitting since step 350, very likely (93\u202f%); what it cost is not known.** *warning*" in text
    assert "| rise | 22.1\u202f% of the minimum | ≥\u202f5\u202f% |" in text
    assert "   - `num_train_epochs`: `5` → `2`\n" in text
    assert "   - `lora_rank`: not in the log → `16`\n" in text
    assert "Cost: no training. Source: Google, Deep Learning Tuning Playbook." in text
    assert "## Looks healthy: `sft-llama-8b-lora-r16`\n" in text
    (blind,) = {line for line in text.splitlines() if line.startswith("- Could not look: ")}  # one line a run
    assert "; `kl-blowup` (train/kl was not logged)" in blind
    assert markdown([]) == "No run was found.\n"


@pytest.mark.parametrize("text", made.HOSTILE)
def test_markdown_of_hostile_names_has_no_markup_of_theirs(text: str) -> None:
    shown = markdown([made.hostile(text)])
    assert not CONTROL.search(shown)
    outside = re.sub(r"(`+)(?!`).*?(?<!`)\1(?!`)", "", re.sub(r"\\.", "", shown))
    assert not re.search(r"<\w|</|\]\(|https?://|\bwww\.|@\w", outside)
    for line in shown.splitlines():
        if line.startswith("|"):
            assert len(re.findall(r"(?<!\\)\|", line)) in (4, 5)


def test_text_and_markdown_need_neither_matplotlib_nor_jinja() -> None:
    code = (
        "import sys, curvelab.report.text, curvelab.report.markdown, curvelab.report.write;"
        "sys.exit(any(m in sys.modules for m in ('matplotlib', 'jinja2', 'pandas', 'scipy')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_it_is_drawn_from_the_json_alone() -> None:
    diagnosis = made.ten_findings()
    again = Diagnosis.from_json(diagnosis.to_json())
    assert plain([again], 80) == plain([diagnosis], 80)
    assert markdown([again]) == markdown([diagnosis])
