"""postmortem: the JSON contract, exit codes, where results go, what is said about what could not be read."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest

from curvelab import cli
from curvelab.commands.pages import page_names
from curvelab.diagnosis import diagnose
from curvelab.ingest import load

RUN_KEYS = {
    "id", "name", "path", "format", "state", "first_step", "last_step", "planned_steps", "points", "metrics", "verdict",
    "best_step", "notes", "outcomes", "findings", "config", "wasted", "seams", "series", "provenance",
}  # fmt: skip
FINDING_KEYS = {
    "pattern", "severity", "confidence", "metric", "headline", "start_step", "end_step", "measured", "evidence",
    "fixes", "explained_by",
}  # fmt: skip


def one_line(text: str) -> str:
    assert text.count("\n") == 1
    assert "Traceback" not in text
    return text.strip()


def test_json_has_every_key_of_the_contract(call, broken):
    answer = call("postmortem", "--format", "json", broken)
    assert answer.code == 0
    told = answer.json()
    assert list(told) == ["schema", "curvelab", "runs", "errors"]
    assert told["schema"] == 1
    assert told["errors"] == []
    (run,) = told["runs"]
    assert set(run) >= RUN_KEYS
    assert run["path"] == str(broken)
    assert (run["first_step"], run["last_step"], run["planned_steps"], run["points"]) == (5, 200, 200, 40)
    assert run["metrics"]["train/loss"] == 40
    assert all(set(outcome) == {"pattern", "status", "reason"} for outcome in run["outcomes"])
    assert all(set(finding) >= FINDING_KEYS for finding in run["findings"])
    assert run["verdict"] == "non-finite"
    assert "NaN" in run["series"]["train/loss"]["value"]


def test_json_goes_to_stdout_alone_and_writes_no_page(call, state, tmp_path):
    answer = call("postmortem", "--format", "json", state)
    assert answer.err == ""
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run"]


def test_salvaged_file_is_done_with_a_note(call, state):
    text = state.read_text()
    state.write_text(text[: int(len(text) * 0.6)])
    answer = call("postmortem", "--format", "json", state)
    assert answer.code == 0
    (note,) = answer.json()["runs"][0]["notes"]
    assert note["level"] == "warning"
    assert note["file"] == str(state)


@pytest.mark.parametrize(
    ("fail_on", "code"), [("never", 0), ("info", 1), ("warning", 1), ("critical", 1), (None, 0)], ids=str
)
def test_fail_on_counts_findings_at_or_above(call, broken, fail_on, code):
    arguments = [] if fail_on is None else ["--fail-on", fail_on]
    assert call("postmortem", "--format", "json", *arguments, broken).code == code


def test_fail_on_critical_lets_a_warning_pass(call, write_state):
    clipped = write_state("clipped", norm=3.0)
    answer = call("postmortem", "--format", "json", "--select", "clip-saturation", "--fail-on", "critical", clipped)
    assert [finding["severity"] for finding in answer.json()["runs"][0]["findings"]] == ["warning"]
    assert answer.code == 0


def test_select_and_ignore_are_repeatable_and_comma_separated(call, broken):
    def patterns(*arguments: str) -> set[str]:
        told = call("postmortem", "--format", "json", *arguments, broken).json()
        return {outcome["pattern"] for outcome in told["runs"][0]["outcomes"]}

    everything = patterns()
    assert patterns("--select", "non-finite,clip-saturation") == {"non-finite", "clip-saturation"}
    assert patterns("--select", "non-finite", "--select", "clip-saturation") == {"non-finite", "clip-saturation"}
    assert patterns("--ignore", "non-finite") == everything - {"non-finite"}


def test_set_changes_a_threshold_and_is_recorded(call, write_state):
    state = write_state(norm=0.85)  # half of the norms are above the assumed threshold of 1.0
    lenient = call("postmortem", "--format", "json", "--set", "clip-saturation.share=0.4", state).json()["runs"][0]
    strict = call("postmortem", "--format", "json", state).json()["runs"][0]
    assert "clip-saturation" in {finding["pattern"] for finding in lenient["findings"]}
    assert "clip-saturation" not in {finding["pattern"] for finding in strict["findings"]}
    assert lenient["provenance"]["thresholds_changed"] == {"clip-saturation": {"share": 0.4}}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--select", "non-finit"], 'did you mean "non-finite"?'),
        (["--ignore", "clip-saturaton"], 'did you mean "clip-saturation"?'),
        (["--set", "clip-saturation.shar=0.9"], 'did you mean "share"?'),
        (["--set", "clipsaturation.share=0.9"], 'did you mean "clip-saturation"?'),
        (["--set", "clip-saturation.share=7"], "out of bounds"),
        (["--set", "clip-saturation.share=nan"], "out of bounds"),
        (["--set", "clip-saturation.share"], "pattern.threshold=number"),
        (["--set", "share=0.5"], "pattern.threshold=number"),
        (["--format", "jsn"], 'did you mean "json"?'),
        (["--fail-on", "criticl"], 'did you mean "critical"?'),
        (["--metric", "loss"], "NAME=CANONICAL"),
        (["--fromat", "json"], "--format"),
        (["--config", "absent.toml"], "absent.toml"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_wrong_use_is_one_line_with_the_nearest_name(call, state, arguments, words):
    answer = call("postmortem", "--format", "json", *arguments, state)
    assert answer.code == 2
    assert answer.out == ""
    assert words in one_line(answer.err)


@pytest.mark.parametrize(
    "arguments", [["postmortem"], ["postmortum", "x"], ["inspect"], ["inspect", "a", "b"], ["--nope"]]
)
def test_wrong_arguments_are_wrong_use(call, arguments):
    answer = call(*arguments)
    assert answer.code == 2
    one_line(answer.err)


def test_some_unreadable_is_3_and_the_others_are_analysed(call, state, tmp_path):
    bad = tmp_path / "bad" / "trainer_state.json"
    bad.parent.mkdir()
    bad.write_text("{}")
    answer = call("postmortem", "--format", "json", "--fail-on", "info", state, bad, tmp_path / "absent")
    told = answer.json()
    assert answer.code == 3
    assert [run["path"] for run in told["runs"]] == [str(state)]
    assert [error["path"] for error in told["errors"]] == [str(bad), str(tmp_path / "absent")]
    assert all(set(error) == {"path", "message"} for error in told["errors"])
    lines = answer.err.splitlines()
    assert len(lines) == 2
    assert lines[0].startswith(f"{bad}: ")
    assert "Traceback" not in answer.err


def test_unreadable_goes_before_findings(call, broken, tmp_path):
    assert call("postmortem", "--format", "json", "--fail-on", "info", broken, tmp_path / "absent").code == 3


def test_wrong_use_goes_before_unreadable(call, tmp_path):
    assert call("postmortem", "--format", "json", "--select", "nope", tmp_path / "absent").code == 2


@pytest.mark.parametrize(
    "kind", ["absent", "empty folder", "no logs", "fifo", "empty file", "folder as log", "unknown file"]
)
def test_nothing_readable_is_4(call, tmp_path, kind):
    path = tmp_path / "input"
    if kind == "empty folder":
        path.mkdir()
    elif kind == "no logs":
        path.mkdir()
        (path / "README.md").write_text("no log")
    elif kind == "fifo":
        path = tmp_path / "trainer_state.json"
        os.mkfifo(path)
    elif kind == "empty file":
        path = tmp_path / "trainer_state.json"
        path.touch()
    elif kind == "folder as log":
        path = tmp_path / "trainer_state.json"
        path.mkdir()
    elif kind == "unknown file":
        path.write_text("1,2,3")
    answer = call("postmortem", "--format", "json", path)
    assert answer.code == 4
    assert one_line(answer.err).startswith(f"{path}: ")
    assert answer.json()["runs"] == []
    assert [error["path"] for error in answer.json()["errors"]] == [str(path)]


def test_nothing_readable_writes_nothing(call, tmp_path):
    for arguments in ([], ["--format", "text", "-o", "out.txt"], ["--format", "md"]):
        answer = call("postmortem", *arguments, tmp_path / "absent")
        assert answer.code == 4
        assert answer.out == ""
    assert list(tmp_path.iterdir()) == []


def test_internal_error_is_5_and_one_line(call, state, monkeypatch):
    def fail(*arguments: object) -> None:
        raise RuntimeError("a bug\nwith two lines")

    monkeypatch.setattr("curvelab.diagnosis.diagnose", fail)
    answer = call("postmortem", "--format", "json", state)
    assert answer.code == 5
    line = one_line(answer.err)
    assert line.startswith("curvelab: internal error: RuntimeError: a bug with two lines;")
    assert "--debug" in line
    with pytest.raises(RuntimeError):
        cli.run(["postmortem", "--format", "json", str(state), "--debug"])


def test_interrupt_is_130_without_a_traceback(call, state, monkeypatch):
    def interrupt(*arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("curvelab.diagnosis.diagnose", interrupt)
    answer = call("postmortem", "--format", "json", state)
    assert (answer.code, answer.out, answer.err) == (130, "", "")


def test_pages_go_to_reports_with_a_summary(call, state, tmp_path):
    answer = call("postmortem", state)
    assert answer.code == 0
    assert [path.name for path in (tmp_path / "reports").iterdir()] == ["run.html"]
    assert str(Path("reports/run.html")) in answer.out


def test_several_runs_get_an_index_and_many_a_table(call, write_state, tmp_path):
    for i in range(6):
        write_state(f"runs/r{i}")
    answer = call("postmortem", tmp_path / "runs", "-o", "site")
    assert answer.code == 0
    names = {path.name for path in (tmp_path / "site").iterdir()}
    assert names == {"index.html", *(f"r{i}.html" for i in range(6))}
    assert str(Path("site/index.html")) in answer.out
    assert all(f"r{i}.html" in answer.out for i in range(6))


def test_one_html_file_takes_exactly_one_page(call, write_state, tmp_path):
    one = write_state("one")
    write_state("other")
    assert call("postmortem", one, "-o", "page.html").code == 0
    assert (tmp_path / "page.html").is_file()
    answer = call("postmortem", tmp_path, "-o", "pages.html")
    assert answer.code == 2
    assert "2 runs" in one_line(answer.err)
    assert not (tmp_path / "pages.html").exists()


@pytest.mark.parametrize("format_", ["text", "json", "md"])
def test_text_formats_go_to_one_file_or_stdout(call, state, tmp_path, format_):
    printed = call("postmortem", "--format", format_, state)
    written = call("postmortem", "--format", format_, state, "-o", "out/result")
    assert printed.code == written.code == 0
    assert written.out == ""
    assert (tmp_path / "out/result").read_text() == printed.out
    assert not list(tmp_path.rglob("*.html"))


def test_output_that_cannot_be_meant_is_wrong_use(call, state, tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file.txt").touch()
    for arguments in (
        ["--format", "json", "-o", "folder"],
        ["--format", "text", "-o", os.devnull],
        ["-o", "file.txt"],
        ["-o", "file.txt/below"],
        ["--format", "md", "-o", "file.txt/below"],
    ):
        answer = call("postmortem", state, *arguments)
        assert answer.code == 2, arguments
        one_line(answer.err)


def test_page_names_collide_with_each_other_and_the_index_whatever_their_case(monkeypatch, write_state):
    diagnosis = diagnose(load(write_state()))

    def named(name: str, path: str):
        import msgspec

        return msgspec.structs.replace(diagnosis, name=name, path=path)

    monkeypatch.setattr("curvelab.report.write.slug", lambda name: name)
    runs = [named("a", "1"), named("A", "2"), named("b", "3"), named("Index", "4")]
    names = page_names(runs)
    assert names[2] == "b.html"
    assert len({name.lower() for name in names}) == 4
    assert "index.html" not in {name.lower() for name in names}
    assert names[0].startswith("a-")
    assert names[1].startswith("A-")
    assert page_names(runs[::-1]) == names[::-1]


def test_hostile_names_stay_in_one_line(call, write_state, tmp_path):
    name = "evil\x1b[31m\x07\nrun\u202egnp"
    write_state(name)
    bad = tmp_path / "bad\x1b]0;x\x07\nsecond line"
    for format_ in ("html", "text", "md", "json"):
        answer = call("postmortem", "--format", format_, tmp_path / name, bad)
        assert answer.code == 3
        assert "\x1b" not in answer.out + answer.err
        assert "\x07" not in answer.out + answer.err
        assert "\u202e" not in answer.err
        one_line(answer.err)
    page = next((tmp_path / "reports").iterdir())
    assert page.parent == tmp_path / "reports"
    assert page.name.isprintable()


def test_names_that_are_no_utf_8_make_valid_json(call, write_state, tmp_path):
    state = write_state("plain")
    folder = state.parent.rename(tmp_path / os.fsdecode(b"caf\xe9"))
    answer = call("postmortem", "--format", "json", folder)
    assert answer.code == 0
    answer.out.encode("utf-8")
    assert json.loads(answer.out)["runs"][0]["name"] == "caf\ufffd"


def test_metric_names_of_ones_own(call, write_state):
    log = [{"my_score": 3.0 - 0.01 * i, "step": i} for i in range(1, 40)]
    state = write_state(log=log)
    plain = call("postmortem", "--format", "json", state).json()["runs"][0]
    assert (plain["points"], plain["metrics"]) == (0, {"train/my_score": 39})
    for name in ("my_score", "train/my_score"):
        named = call("postmortem", "--format", "json", "--metric", f"{name}=train/loss", state)
        assert named.json()["runs"][0]["metrics"] == {"train/loss": 39}
        assert named.err == ""


def test_metric_name_that_no_log_has_is_said(call, state):
    answer = call("postmortem", "--format", "json", "--metric", "los=train/loss", state)
    assert answer.code == 0
    assert 'did you mean "loss"?' in one_line(answer.err)


def test_a_name_that_is_nearly_canonical_is_asked_about(call, state):
    answer = call("postmortem", "--format", "json", "--metric", "loss=train/los", state)
    assert answer.code == 0
    assert 'did you mean "train/loss"?' in one_line(answer.err)
    for name in ("eval/code/loss", "my/own", "train/loss"):
        assert "did you mean" not in call("postmortem", "--format", "json", "--metric", f"loss={name}", state).err


def test_a_folder_given_as_a_point_has_its_name(call, write_state, monkeypatch):
    folder = write_state("lr-2e-4").parent
    monkeypatch.chdir(folder)
    for path in (".", "trainer_state.json", "../lr-2e-4"):
        answer = call("postmortem", path, "--format", "json")
        assert json.loads(answer.out)["runs"][0]["name"] == "lr-2e-4"


def test_json_has_no_control_code_that_a_terminal_would_obey(call, write_state):
    name = "a\x9b31m\u202eb\u2066c\x7f"
    answer = call("postmortem", write_state(name), "--format", "json")
    assert not re.search("[\x7f-\x9f\u202a-\u202e\u2066-\u2069]", answer.out)
    assert name in json.loads(answer.out)["runs"][0]["path"]
