"""What GitHub Actions is told: annotations that it reads as meant, and a summary that it takes."""

from __future__ import annotations

import re
import sys
import types

import msgspec
import pytest
from results import ROOT, finding, hostile, night

from curvelab.model.audit import Departure, Unread
from curvelab.report.audited import github
from curvelab.report.audited.github import annotations, append_summary, summary

COMMAND = re.compile(r"::(?P<level>error|warning|notice) (?P<properties>[^\r\n]*?)::(?P<message>[^\r\n]*)")


def read(line):
    """A workflow command as GitHub's runner reads it."""
    level, properties, message = COMMAND.fullmatch(line).groups()

    def plain(text):
        for code, character in (("%0D", "\r"), ("%0A", "\n"), ("%3A", ":"), ("%2C", ","), ("%25", "%")):
            text = text.replace(code, character)
        return text

    return level, {name: plain(value) for name, value in (one.split("=", 1) for one in properties.split(","))}, plain(message)


def many(severity, count):
    fails = severity == "critical"
    return tuple(finding(f"r{n}", "spikes", "new", severity=severity, counts=True, fails=fails) for n in range(count))


def test_what_is_told_of_is_annotated_and_nothing_else():
    told = [read(line) for line in annotations(night(), "/data/team")]
    assert [(level, where.get("file"), where["title"]) for level, where, _ in told] == [
        ("error", "outputs/a", "divergence: a"),
        ("warning", "outputs/sub/c.d", "spikes: c.d"),
        ("warning", "outputs/x/trainer_state.json", "cannot be read"),
    ]
    assert told[0][2] == "eval/loss rose 8 % after step 1,200 while train/loss fell Fix: Lower learning_rate."


def test_only_what_fails_the_audit_is_an_error():
    """A rule with fail-on never must not make red errors."""
    lenient = finding("a", "divergence", "new", severity="critical", counts=True, fails=False)
    (line,) = annotations(night(findings=(lenient,), errors=()), ROOT)
    assert read(line)[0] == "warning"


def test_the_file_is_the_log_of_the_run():
    logged = tuple(msgspec.structs.replace(one, log=f"{one.key}/trainer\x1b[31m_state.json") for one in night().runs)
    (line,) = annotations(night(runs=logged, findings=night().findings[:1], errors=()), "/data/team")
    assert read(line)[1]["file"] == "outputs/a/trainer[31m_state.json"
    above = tuple(msgspec.structs.replace(one, log="../../../etc/passwd") for one in night().runs)
    (line,) = annotations(night(runs=above, findings=night().findings[:1], errors=()), "/data/team")
    assert read(line)[1]["file"] == "outputs/a"


def test_departures_and_inputs_are_annotated_once():
    departure = Departure(
        run="d", run_name="d", what="samples_per_second", value=14, median=21, share=-0.3, among=12, alike="", severity="warning",
        sentence="throughput is 30 % below the median", pattern="unusual:throughput", fingerprint="0" * 16,
    )  # fmt: skip
    known = msgspec.structs.replace(departure, state="known")
    before = Unread(path=f"{ROOT}/x", message="is empty", new=False)
    (line,) = annotations(night(findings=(), departures=(departure, known), errors=(before,)), ROOT)
    level, where, message = read(line)
    assert (level, where["title"], where["file"]) == ("warning", "unusual:throughput: d", "d")
    assert message == "Throughput is 30\u202f% below the median."


def test_a_run_outside_of_the_repository_has_no_file():
    assert all("file=" not in line for line in annotations(night(), "/home/runner/work"))


def test_the_workspace_is_the_jobs(monkeypatch):
    monkeypatch.setenv("GITHUB_WORKSPACE", ROOT)
    assert "file=a::" in annotations(night())[0]


def test_no_more_than_github_shows_and_a_word_of_the_others():
    lines = annotations(night(findings=many("critical", 13) + many("warning", 11) + many("info", 2), errors=()), ROOT)
    levels = [read(line)[0] for line in lines]
    assert levels == ["error"] * 10 + ["warning"] * 10 + ["notice"]
    assert read(lines[-1])[2] == "and 3 errors, 1 warning, 2 notices more: see the summary"


def test_a_quiet_night_says_nothing():
    assert annotations(night(findings=(finding("d", "plateau", "known"),), errors=()), ROOT) == []


def test_a_finding_that_fails_is_an_error_whatever_its_severity():
    one = finding("a", "spikes", "new", severity="warning", counts=True, fails=True)
    assert read(annotations(night(findings=(one,), errors=()), ROOT)[0])[0] == "error"


def test_hostile_words_stay_one_command():
    for line in annotations(hostile(), "/data"):
        _, where, message = read(line)
        assert set(where) <= {"title", "file"} and message
        assert "\n" not in line
        line.encode()


class TestSummary:
    """The step's summary."""

    @pytest.fixture
    def long(self, monkeypatch):
        page = types.ModuleType("curvelab.report.audited.markdown")
        page.markdown = lambda result, link="", limit=4000, only=None: f"# Audit {link}\n" + "ä finding\n" * (limit // 5)
        monkeypatch.setitem(sys.modules, "curvelab.report.audited.markdown", page)

    def test_it_fits(self, long):
        text = summary(night(), "https://host/page")
        assert text.startswith("# Audit https://host/page\n") and text.endswith(github.CUT)
        assert 1_000_000 < len(text.encode()) <= 1024 * 1024
        assert text.removesuffix(github.CUT).endswith("ä finding")

    def test_it_is_appended(self, tmp_path):
        file = tmp_path / "summary"
        for text in ("one\n", "two\n"):
            assert append_summary(text, {"GITHUB_STEP_SUMMARY": str(file)}) is None
        assert file.read_text() == "one\ntwo\n"

    def test_all_of_a_step_fits_together(self, tmp_path):
        file = tmp_path / "summary"
        file.write_bytes(b"x" * (github.SUMMARY_BYTES - 100))
        assert append_summary("line\n" * 1000, {"GITHUB_STEP_SUMMARY": str(file)}) is None
        assert file.stat().st_size <= github.SUMMARY_BYTES
        assert file.read_text().endswith(github.CUT)

    @pytest.mark.parametrize("environ", [{}, {"GITHUB_STEP_SUMMARY": ""}, {"GITHUB_STEP_SUMMARY": "/no/such/folder/file"}])
    def test_no_file_is_one_line(self, environ):
        problem = append_summary("text", environ)
        assert problem and "\n" not in problem
