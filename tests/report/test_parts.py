"""The parts of a report: clean texts, numbers, axes, file names, writing."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curvelab.report import numerals
from curvelab.report.plain import clean, shortened
from curvelab.report.scale import scale_for, step_ticks
from curvelab.report.svg import short_path
from curvelab.report.wording import sure
from curvelab.report.write import slug, write_atomically


@given(st.text())
def test_clean_text_is_one_printable_line(text: str) -> None:
    plain = clean(text)
    assert not re.search("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]", plain)
    assert clean(plain) == plain
    plain.encode("utf-8")


def test_long_text_loses_its_middle() -> None:
    assert shortened("abcdefghijkl", 7) == "abcd…kl"
    assert len(clean("x" * 10**6)) == 2000


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0.0, "0"), (1.0, "1"), (4.0992, "4.099"), (2e-5, "2e-5"), (1.5e-4, "1.5e-4"), (0.05, "0.05"),
        (1234.6, "1,235"), (65504.0, "65,504"), (12345.6, "12,346"), (1.234e9, "1.23e9"), (1e308, "1e308"),
        (-3.5, "-3.5"), (float("nan"), "NaN"), (float("-inf"), "-Inf"),
    ],
)  # fmt: skip
def test_numbers_are_written_as_a_person_would(number: float, text: str) -> None:
    assert numerals.value(number) == text


def test_shares_durations_steps_and_settings() -> None:
    assert [numerals.percent(s) for s in (0.895, 1.0, 0.99996, 0.0012)] == [
        f"{n}\u202f%" for n in ("89.5", "100", "99.9", "0.12")
    ]
    assert [numerals.duration(s) for s in (0, 59.6, 9412, 3600, 100000)] == [
        "0 s",
        "1 min",
        "2 h 36 min",
        "1 h",
        "1 d 3 h",
    ]
    assert [numerals.steps(*s) for s in ((5, 5), (24, 4200), (7, None), (None, None))] == [
        "step 5", "steps 24–4,200", "step 7", "",
    ]  # fmt: skip
    assert [numerals.setting(s) for s in (True, None, 2e-5, 1.0, 0.0002, ["q", "v"], 10**30)] == [
        "true", "null", "2e-5", "1", "0.0002", '["q", "v"]', "1" + "0" * 30,
    ]  # fmt: skip


def test_confidence_in_words() -> None:
    assert [sure(c).partition(" (")[0] for c in (0.98, 0.9, 0.75, 0.6, 0.5, 0.3, 0.1)] == [
        "almost certain", "very likely", "likely", "more likely than not", "as likely as not", "possible",
        "a weak hint",
    ]  # fmt: skip


def test_ticks_are_round_and_short() -> None:
    assert [text for _, text in step_ticks(0, 8660, 8)] == ["0", "2k", "4k", "6k", "8k"]
    assert [text for _, text in step_ticks(0, 1000, 5)] == ["0", "200", "400", "600", "800", "1,000"]
    assert [text for _, text in step_ticks(3, 3, 5)] == ["3"]
    assert [text for _, text in scale_for(np.array([1.03, 2.4])).ticks(5)] == ["1.0", "1.5", "2.0"]
    assert [text for _, text in scale_for(np.array([0.0, 2e-4])).ticks(4)] == ["0", "1e-4", "2e-4"]
    log = scale_for(np.array([1.0] * 9 + [5e4]))
    assert log.log
    assert [text for _, text in log.ticks(6)] == ["1", "10", "100", "1k", "10k"]


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=30))
def test_every_value_has_a_place_and_ticks_stay_inside(values: list[float]) -> None:
    scale = scale_for(np.array(values))
    placed = scale.place(np.array(values))
    assert np.isfinite(placed).all()
    assert ((placed >= 0) & (placed <= 1)).all()
    ticks = scale.ticks(6)
    assert len(ticks) <= 8
    assert all(0 <= at <= 1 for at, _ in ticks)
    assert len({text for _, text in ticks}) == len(ticks)


def test_a_far_threshold_does_not_squash_the_curve() -> None:
    values = np.array([1.0, 1.2, 1.1])
    assert scale_for(values, [1.5]).place(1.5) <= 1
    assert scale_for(values, [1e6]).place(1e6) > 1


@given(st.lists(st.tuples(st.floats(-2000, 2000), st.floats(-2000, 2000)), min_size=2, max_size=50))
def test_short_paths_lead_to_the_same_place(points: list[tuple[float, float]]) -> None:
    long = " ".join(f"{'L' if i else 'M'} {x:.6f} {y:.6f}" for i, (x, y) in enumerate(points))
    numbers = [float(n) for n in re.findall(r"-?\d*\.?\d+", short_path(long))]
    end = np.array(numbers).reshape(-1, 2).sum(axis=0)
    assert np.allclose(end, points[-1], atol=0.06)


@given(st.text(max_size=300))
def test_slugs_are_safe_file_names(name: str) -> None:
    safe = slug(name)
    assert re.fullmatch(r"[a-z0-9][a-z0-9._-]{0,79}", safe)
    assert ".." not in safe
    assert slug(safe) == safe


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("SFT Llama/8B (r=16)", "sft-llama-8b-r-16"), ("../../etc/passwd", "etc-passwd"), (".hidden", "hidden"),
        ("", "run"), ("Überlauf", "uberlauf"), ("日本", "run"), ("con", "run-con"), ("NUL.txt", "run-nul.txt"),
        ("a" * 200, "a" * 80),
    ],
)  # fmt: skip
def test_slug_examples(name: str, expected: str) -> None:
    assert slug(name) == expected


def test_writing_replaces_whole_files_and_leaves_nothing_behind(tmp_path: Path) -> None:
    path = tmp_path / "new" / "report.html"
    write_atomically(path, "first")
    write_atomically(path, "sécond \ud800\n")
    assert path.read_bytes() == "sécond ?\n".encode()
    assert [p.name for p in path.parent.iterdir()] == ["report.html"]
    assert path.stat().st_mode & 0o777 == 0o666 & ~_umask()


def _umask() -> int:
    import os

    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError):
        write_atomically(tmp_path / "folder", "text")
    assert [p.name for p in tmp_path.iterdir()] == ["folder"]


def test_zeros_stand_at_the_foot_of_a_logarithmic_axis() -> None:
    values = np.array([2.0, 2.5, 3.0, 900.0, 0.0, 0.0])
    scale = scale_for(values)
    assert scale.log
    assert scale.place(values)[-1] == 0
    assert not scale_for(np.array([2e-4, 1e-4, 1e-5, 0.0])).log
