"""audit: formats, exit codes, where things go, who is told, and what it says on the terminal."""

from __future__ import annotations

import json
import sqlite3
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from auditing.projects import broken, healthy, overfitted, put
from receiver import Receiver, receiving

from curvelab.model.audit import AuditResult

LFS = "version https://git-lfs.github.com/spec/v1\noid sha256:0000\nsize 12345\n"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    root = tmp_path / "outputs"
    put(root, "good", healthy(1))
    put(root, "over", overfitted(2))
    return root


def test_pages_history_and_a_summary(call, project, tmp_path):
    put(project, "nan", broken(3))
    first, second = call("audit", "outputs"), call("audit", "outputs")
    assert (first.code, second.code) == (1, 0)
    assert "2 findings in 3 runs" in first.out
    assert first.out.rstrip().endswith("-> reports/audit/index.html")
    assert "Nothing new in 3 runs" in second.out
    folder = tmp_path / "reports" / "audit"
    assert "Nothing new in 3 runs" in (folder / "index.html").read_text()
    assert sqlite3.connect(folder / "curvelab.db").execute("select count(*) from sqlite_master").fetchone()[0] > 3
    assert len(list((folder / "runs").glob("*.html"))) == 2


def test_the_output_is_not_audited(call, project, tmp_path):
    for _ in range(2):
        assert call("audit", ".", "-o", "outputs/pages", "--format", "html").code == 0
    assert len(call("audit", ".", "--format", "json").json()["runs"]) == 2


def test_json(call, project):
    told = call("audit", "outputs", "--format", "json").json()
    assert list(told) == ["schema", "curvelab", "runs", "errors", "audit"]
    assert {run["verdict"] for run in told["runs"]} == {"healthy", "overfitting"}
    assert all("series" not in run for run in told["runs"])
    assert [one["pattern"] for one in told["audit"]["new"]] == ["overfitting"]
    assert told["audit"]["new_runs"] == ["good", "over"]
    assert AuditResult.from_document(told).number == 1
    again = call("audit", "outputs", "--format", "json").json()
    assert [again["audit"][state] for state in ("new", "fixed")] == [[], []]
    assert [one["pattern"] for one in again["audit"]["known"]] == ["overfitting"]


@pytest.mark.parametrize(
    ("level", "codes"),
    [("never", (0, 0)), ("new-critical", (0, 0)), ("new-warning", (1, 0)), ("warning", (1, 1)), ("critical", (0, 0))],
)
def test_fail_on(call, project, level, codes):
    assert tuple(call("audit", "outputs", "--fail-on", level).code for _ in codes) == codes


def test_accepting_what_is_there(call, project):
    assert call("audit", "outputs", "--accept-current", "--fail-on", "new-warning").code == 0
    assert call("audit", "outputs", "--fail-on", "new-warning").code == 0


def test_muting_a_finding(call, project):
    call("audit", "outputs", "--accept-current")
    assert call("mute", "over", "overfitting", "--until", "30d", "--reason", "known data").code == 0
    told = call("audit", "outputs", "--format", "json", "--fail-on", "warning")
    assert told.code == 0
    assert [one["mute_reason"] for one in told.json()["audit"]["muted"]] == ["known data"]


def test_some_unreadable_and_nothing_readable(call, project, tmp_path):
    (project / "bad").mkdir()
    (project / "bad" / "trainer_state.json").write_text(LFS)
    answer = call("audit", "outputs")
    assert answer.code == 3
    assert answer.err.count("\n") == 1
    assert "bad/trainer_state.json" in answer.err
    assert call("audit", "absent").code == 4
    (tmp_path / "empty").mkdir()
    assert call("audit", "empty").code == 4


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["--fail-on", "new-critcal"], 'did you mean "new-critical"'),
        (["-o", "page.html"], "name a folder"),
        (["--history", "mysql://u:secret@h/db"], "mysql"),
        (["--jobs", "0"], "from 1 to"),
        (["--live-minutes", "-1"], "above 0"),
        (["--notify-on", "loud"], "info, warning, critical"),
        (["--set", "overfitting.rize=0.1"], "rise"),
    ],
)
def test_wrong_use(call, project, arguments, word):
    answer = call("audit", "outputs", *arguments)
    assert answer.code == 2
    assert word in answer.err
    assert "secret" not in answer.err
    assert answer.err.count("\n") == 1


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("[audit]\nhistori = 'x'", 'did you mean "history"'),
        ("[audit]\njobs = true", "whole number"),
        ("[[audit.rules]]\nname = 'a'", "says of no run"),
        ("[[audit.rules]]\nruns = 'a'\nfail = ['overfiting']", "overfitting"),
        ("[[audit.rules]]\nwhere = { model_typ = 'x' }", "model_type"),
        ("[[audit.rules]]\nruns = 'a'\nfail-on = 'sometimes'", "new-critical"),
        ("[[audit.rules]]\nruns = 'a'\n[audit.rules.thresholds.overfitting]\nrise = 'x'", "takes a number"),
        ("[[audit.rules]]\nname = 'a'\nruns = 'a'\n[[audit.rules]]\nname = 'a'\nruns = 'b'", "two rules"),
        ("[audit.rules]\nruns = 'a'", "[[audit.rules]]"),
        ("audit = 3", "table"),
    ],
)
def test_wrong_settings_name_their_file(call, project, tmp_path, text, word):
    (tmp_path / "curvelab.toml").write_text(text)
    answer = call("audit", "outputs")
    assert (answer.code, "curvelab.toml" in answer.err, word in answer.err) == (2, True, True), answer.err


def test_rules_of_the_settings_file(call, project, tmp_path):
    put(project, "prod/over", overfitted(5))
    (tmp_path / "curvelab.toml").write_text(
        """
        [audit]
        fail-on = "never"
        [[audit.rules]]
        name = "production"
        runs = ["prod/*"]
        fail-on = "new-warning"
        fail = ["overfitting"]
        [[audit.rules]]
        runs = ["*"]
        ignore = ["overfitting"]
        """
    )
    answer = call("audit", "outputs", "--format", "json")
    assert answer.code == 1
    assert [(one["run"], one["fails"]) for one in answer.json()["audit"]["new"]] == [("prod/over", True)]


def bodies(told: Receiver) -> list[str]:
    return [body.decode() for _, _, body in told.told]


def test_people_are_told_once(call, project, tmp_path):
    put(project, "prod/nan", broken(5))
    with receiving() as everybody, receiving() as team:
        (tmp_path / "curvelab.toml").write_text(
            f"""
            [audit]
            notify = ["json://{everybody.host}/"]
            link = "https://pages.example/audit/"
            [[audit.rules]]
            runs = ["prod/*"]
            notify = ["json://{team.host}/"]
            """
        )
        for _ in range(2):
            call("audit", "outputs")
        assert len(bodies(everybody)) == len(bodies(team)) == 1
        assert "over" in bodies(everybody)[0] and "prod" not in bodies(everybody)[0]
        assert "nan" in bodies(team)[0] and "https://pages.example/audit/" in bodies(team)[0]


def test_who_cannot_be_told_is_a_warning(call, project):
    answer = call("audit", "outputs", "--notify", "json://user:hunter2secret@127.0.0.1:9/")
    assert answer.code == 0
    assert "could not notify" in answer.err
    assert "hunter2secret" not in answer.err + answer.out


def test_files_for_machines(call, project, tmp_path):
    assert call("audit", "outputs", "--junit", "j/unit.xml", "--sarif", "s.sarif", "--fail-on", "new-warning").code == 1
    suite = ET.parse(tmp_path / "j" / "unit.xml").getroot()
    assert sum(1 for _ in suite.iter("failure")) == 1
    sarif = json.loads((tmp_path / "s.sarif").read_text())
    assert [one["ruleId"] for one in sarif["runs"][0]["results"]] == ["overfitting"]


def test_inside_github_actions(call, project, tmp_path, monkeypatch):
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary.md"))
    answer = call("audit", "outputs", "--format", "json")
    assert answer.json()["audit"]["number"] == 1
    assert "::warning" in answer.err
    assert "over" in (tmp_path / "summary.md").read_text()
    (tmp_path / "reports" / "audit" / "curvelab.db").unlink()
    monkeypatch.setenv("GITHUB_ACTIONS", "")
    assert "::" not in call("audit", "outputs", "--format", "json").err


def test_the_dead_mans_switch(call, project, tmp_path):
    with receiving() as switch:
        call("audit", "outputs", "--ping", f"http://{switch.host}/uuid")
        assert switch.paths == ["/uuid/start", "/uuid"]
        (tmp_path / "empty").mkdir()
        call("audit", "empty", "--ping", f"http://{switch.host}/uuid")
        assert switch.paths[2:] == ["/uuid/start", "/uuid/fail"]


def test_settings_of_the_environment(call, project, tmp_path, monkeypatch):
    monkeypatch.setenv("CURVELAB_HISTORY", str(tmp_path / "elsewhere.db"))
    monkeypatch.setenv("CURVELAB_FAIL_ON", "new-warning")
    assert call("audit", "outputs").code == 1
    assert (tmp_path / "elsewhere.db").is_file()
    assert not (tmp_path / "reports" / "audit" / "curvelab.db").exists()


def test_a_failed_audit_leaves_the_old_pages(call, project, tmp_path, monkeypatch):
    call("audit", "outputs")
    page = tmp_path / "reports" / "audit" / "index.html"
    before = page.read_bytes()
    put(project, "later", overfitted(9))
    monkeypatch.setattr("curvelab.report.audited.page.page", lambda result: 1 / 0)
    assert call("audit", "outputs").code == 5
    assert page.read_bytes() == before
    assert list(page.parent.glob(".*.tmp")) == []


def test_a_target_that_could_not_be_told_is_told_the_next_time(call, project):
    with receiving() as fine, receiving(500, 500, 500, 200) as broken_:
        targets = ["--notify", f"json://{fine.host}/", "--notify", f"json://{broken_.host}/"]
        first = call("audit", "outputs", *targets)
        assert "could not notify" in first.err
        told = len(broken_.told)
        broken_.answers[:] = [200]
        for _ in range(2):
            assert "could not notify" not in call("audit", "outputs", *targets).err
        assert len(broken_.told) == told + 1, "once more, and not again"
        assert len(fine.told) == 1
        assert "over" in bodies(broken_)[-1]


def test_an_input_that_can_no_longer_be_read_is_told_once(call, project):
    with receiving() as everybody:
        call("audit", "outputs", "--accept-current")
        (project / "good" / "trainer_state.json").write_text(LFS)
        codes = [call("audit", "outputs", "--notify", f"json://{everybody.host}/").code for _ in range(2)]
        assert codes == [3, 3]
        assert len(everybody.told) == 1
        assert "good/trainer_state.json" in bodies(everybody)[0]


def test_unreadable_inputs_may_be_allowed(call, project):
    put(project, "nan", broken(3))
    (project / "bad").mkdir()
    (project / "bad" / "trainer_state.json").write_text(LFS)
    assert call("audit", "outputs", "--allow-unreadable").code == 1
    assert call("audit", "outputs", "--allow-unreadable").code == 0


def test_a_flag_overrules_the_rules(call, project, tmp_path):
    (tmp_path / "curvelab.toml").write_text("[[audit.rules]]\nruns = '*'\nfail-on = 'new-warning'\n")
    assert call("audit", "outputs", "--fail-on", "never", "--look").code == 0
    assert call("audit", "outputs", "--look").code == 1


def test_a_look_takes_no_news_away(call, project, tmp_path):
    with receiving() as everybody:
        looks = [call("audit", "outputs", "--look", "--notify", f"json://{everybody.host}/") for _ in range(2)]
        assert everybody.told == []
    assert ["(new)" in look.out for look in looks] == [True, True]
    assert not (tmp_path / "reports" / "audit" / "index.html").exists()
    assert "(new)" in call("audit", "outputs").out


def test_every_format_has_the_same_history(call, project, tmp_path):
    (tmp_path / "curvelab.toml").write_text('output = "out"\n')
    call("audit", "outputs")
    told = call("audit", "outputs", "--format", "json").json()
    assert (told["audit"]["number"], told["audit"]["new"]) == (2, [])
    assert call("mute", "over", "overfitting").code == 0
    assert not (tmp_path / "reports").exists()


def test_files_besides_the_page(call, project, tmp_path):
    call("audit", "outputs", "--json", "night.json", "--md", "night.md")
    assert json.loads((tmp_path / "night.json").read_text())["audit"]["number"] == 1
    assert "over" in (tmp_path / "night.md").read_text()
    assert (tmp_path / "reports" / "audit" / "index.html").is_file()


@pytest.mark.parametrize(
    "text",
    [
        'ping = ["https://hc-ping.com/SECRET"]',
        'notify = ["slack://T/B/SECRET", ""]',
        'notify = { slack = "slack://SECRET" }',
        'history = ["postgresql://u:SECRET@h/d"]',
        'history = "postgresql:/u:SECRET@h/d"',
        'history = "postgres//u:SECRET@h/d"',
        'history = "host=127.0.0.1 password=SECRET"',
        '[[audit.rules]]\nruns = "a"\nnotify = [["slack://SECRET"]]',
    ],
)
def test_no_secret_of_the_settings_is_shown(call, project, tmp_path, text):
    (tmp_path / "curvelab.toml").write_text(f"[audit]\n{text}\n")
    for answer in (call("audit", "outputs"), call("mute", "over", "overfitting")):
        assert answer.code == 2
        assert "SECRET" not in answer.out + answer.err
    assert {path.name for path in tmp_path.iterdir()} == {"outputs", "curvelab.toml"}


def test_no_folder_as_json(call):
    answer = call("audit", "absent", "--format", "json")
    assert answer.code == 4
    assert [error["path"] for error in answer.json()["errors"]] == ["absent"]


def test_what_could_not_be_written_is_told_by_the_next_audit(call, project, tmp_path):
    (tmp_path / "file").write_text("")
    failed = call("audit", "outputs", "--json", "file/x.json")
    assert failed.code == 2
    assert "(new)" in call("audit", "outputs").out
    assert "(new)" not in call("audit", "outputs").out


def test_a_project_of_which_nothing_can_be_read_any_more(call, project):
    call("audit", "outputs")
    for name in ("good", "over"):
        (project / name / "trainer_state.json").write_text(LFS)
    for _ in range(2):
        answer = call("audit", "outputs")
        assert (answer.code, "No run could be read" in answer.out) == (4, True)
