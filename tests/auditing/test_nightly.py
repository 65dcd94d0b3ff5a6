"""Nights over a project: what is new, known, worse, fixed; what is looked at again; what a kill leaves behind."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from auditing.projects import DAY, NOW, broken, healthy, overfitted, put, unfinished

from curvelab import nightly
from curvelab.auditing import inventory, night
from curvelab.auditing.policies import Policy, Rule
from curvelab.ingest import gather
from curvelab.model.audit import AuditResult, Unread
from curvelab.model.errors import UnreadableError
from curvelab.model.options import Options
from curvelab.model.tracking import Mute
from curvelab.nightly import Request, delivered


def audited(request: Request) -> AuditResult:
    """A whole night: the result, and everybody told."""
    result = nightly.audited(request)
    delivered(request, result)
    return result


LFS = "version https://git-lfs.github.com/spec/v1\noid sha256:0000\nsize 12345\n"  # a log that was never fetched


@pytest.fixture
def project(tmp_path: Path) -> Path:
    root = tmp_path / "project"
    put(root, "good", healthy(1))
    put(root, "over", overfitted(2))
    put(root, "nan", broken(3))
    return root


@pytest.fixture
def request_for(tmp_path: Path, project: Path):
    """A request for the project on the night so many days after the first one."""

    def make(night: float = 0, **told) -> Request:
        return replace(Request(root=project, history=tmp_path / "h.db", now=NOW + night * DAY), **told)

    return make


def states(result: AuditResult) -> dict[tuple[str, str], str]:
    return {(one.run, one.pattern): one.state for one in result.findings}


def test_two_nights(request_for):
    first, second = audited(request_for()), audited(request_for(1))
    assert {run.key: run.verdict for run in first.runs} == {"good": "healthy", "over": "overfitting", "nan": "non-finite"}
    assert states(first) == {("over", "overfitting"): "new", ("nan", "non-finite"): "new"}
    assert [one.run for one in first.failing] == ["nan"]
    assert (first.number, first.previous, first.diagnosed) == (1, None, 3)
    assert {run.seen for run in first.runs} == {"new"}
    assert set(states(second).values()) == {"known"}
    assert (second.number, second.previous, second.diagnosed, second.failing) == (2, NOW, 0, ())
    assert {run.seen for run in second.runs} == {"unchanged"}
    assert [one.first_seen for one in second.findings] == [NOW, NOW]


def test_nothing_is_opened_when_nothing_has_changed(request_for, monkeypatch):
    audited(request_for())
    monkeypatch.setattr(night, "take", lambda *args, **told: pytest.fail("logs were read again"))
    assert audited(request_for(1)).diagnosed == 0


def test_only_what_has_changed_is_looked_at_again(project, request_for):
    audited(request_for())
    put(project, "good", overfitted(1), age=-DAY)
    put(project, "later", healthy(5), age=-DAY)
    second = audited(request_for(2))
    assert second.diagnosed == 2
    assert {run.key: run.seen for run in second.runs} == {
        "good": "changed", "later": "new", "over": "unchanged", "nan": "unchanged",
    }  # fmt: skip
    assert states(second)["good", "overfitting"] == "new"
    assert states(second)["over", "overfitting"] == "known"


def test_the_same_runs_as_a_post_mortem(project, request_for):
    found = {(run.id, run.name) for run in gather([project]).runs}
    told = {(json.loads(bytes(text))["id"], json.loads(bytes(text))["name"]) for text in audited(request_for()).diagnoses.values()}
    assert told == found


def test_a_finding_that_is_gone_is_fixed_once(project, request_for):
    audited(request_for())
    put(project, "over", healthy(2), age=-DAY)
    fixed = next(one for one in audited(request_for(2)).findings if one.run == "over")
    assert (fixed.state, fixed.was) == ("fixed", "its log has changed")
    assert ("over", "overfitting") not in states(audited(request_for(3)))
    put(project, "over", overfitted(2), age=-3 * DAY)
    assert states(audited(request_for(4)))["over", "overfitting"] == "new"


def test_a_pattern_that_is_no_longer_looked_for_is_not_fixed(request_for):
    audited(request_for())
    second = audited(request_for(1, policy=Policy(Options(ignore=("overfitting",)))))
    assert states(second).get(("over", "overfitting")) in (None, "known")
    assert second.diagnosed == 3


def test_a_run_that_is_gone_is_not_fixed(project, request_for):
    audited(request_for())
    shutil.rmtree(project / "over")
    second = audited(request_for(1))
    assert {run.key: run.seen for run in second.runs}["over"] == "gone"
    assert ("over", "overfitting") not in states(second)
    assert "over" not in {run.key for run in audited(request_for(2)).runs}
    put(project, "over", overfitted(2))
    assert states(audited(request_for(3)))["over", "overfitting"] == "known"


def test_a_run_that_cannot_be_read_costs_no_other(project, request_for):
    audited(request_for())
    log = project / "over" / "trainer_state.json"
    log.write_text(LFS)
    second = audited(request_for(1))
    assert {Path(error.path).parent.name for error in second.errors} == {"over"}
    assert [run.key for run in second.runs if run.seen == "gone"] == []
    assert "fixed" not in states(second).values()
    third = audited(request_for(2))
    assert [error.path for error in third.errors] == [error.path for error in second.errors], "also when nothing is read"
    assert [[error.new for error in night.errors] for night in (second, third)] == [[True], [False]]
    for night_ in (second, third):
        assert [run.key for run in night_.runs if run.unread] == ["over"], "as it was last seen"
        assert "over" not in night_.diagnoses


def test_a_live_run_is_provisional(project, request_for):
    put(project, "live", unfinished(overfitted(7), 4000), age=60)
    first = audited(request_for())
    live = next(run for run in first.runs if run.key == "live")
    found = next(one for one in first.findings if one.run == "live" and one.pattern == "overfitting")
    assert live.live and live.state == "running"
    assert (found.state, found.provisional, found.counts) == ("new", True, False)
    second = audited(request_for(1))
    run = next(run for run in second.runs if run.key == "live")
    final = next(one for one in second.findings if one.run == "live" and one.pattern == "overfitting")
    assert not run.live and run.state != "running"
    assert (final.state, final.provisional, final.counts) == ("new", False, True)
    assert second.diagnosed == 1


def test_a_critical_finding_of_a_live_run_counts(project, request_for):
    put(project, "live", unfinished(broken(7), 4000), age=60)
    result = audited(request_for())
    assert ("live", True) in {(one.run, one.provisional) for one in result.failing}


def test_times_in_the_log_are_believed_before_those_of_the_files(project, request_for):
    """A copy makes every file new: a run whose log ended long ago is not running."""
    rows = ["step,loss,time"] + [f"{step},{3 - step / 400},{NOW - 30 * DAY + 60 * step}" for step in range(1, 200)]
    (project / "copied").mkdir()
    (project / "copied" / "metrics.csv").write_text("\n".join(rows))
    run = next(run for run in audited(request_for(now=None)).runs if run.key.startswith("copied"))
    assert run.ended is not None and run.ended < NOW - 29 * DAY, "the log's times were read"
    assert not run.live


def test_accepting_what_is_there(request_for):
    first = audited(request_for(accept=True))
    assert first.accepted and first.failing == () and first.told == ()
    assert set(states(audited(request_for(1))).values()) == {"known"}


def test_a_rule_holds_for_its_runs(project, request_for):
    rule = Rule("lenient", runs=("ov*",), ignore=("overfitting",))
    policy = Policy(rules=(rule, Rule("strict", runs=("*",), fail_on="new-warning")))
    result = audited(request_for(policy=policy))
    assert ("over", "overfitting") not in states(result)
    assert {run.key: run.rule for run in result.runs} == {"good": "strict", "over": "lenient", "nan": "strict"}


def test_a_rule_that_asks_for_a_setting(project, request_for):
    put(project, "tiny", overfitted(4), settings={"model_type": "llama", "vocab_size": 100})
    policy = Policy(rules=(Rule("llamas", where={"model_type": ("lla*",)}, fail_on="new-warning"),))
    result = audited(request_for(policy=policy))
    assert {one.run for one in result.failing} == {"tiny", "nan"}


def test_thresholds_of_a_rule(project, request_for):
    policy = Policy(rules=(Rule("patient", runs=("over",), thresholds={"overfitting": {"rise": 0.9}}),))
    assert ("over", "overfitting") not in states(audited(request_for(policy=policy)))


def test_reports_of_runs_with_findings(tmp_path, project, request_for):
    pages = tmp_path / "pages"
    first = audited(request_for(pages=pages))
    drawn = {run.key: run.page for run in first.runs}
    assert drawn["good"] is None
    assert "Overfitting" in (pages / drawn["over"]).read_text()
    (pages / drawn["over"]).unlink()
    second = audited(request_for(1, pages=pages))
    assert (second.diagnosed, (pages / drawn["over"]).is_file()) == (1, True)
    assert set(states(second).values()) == {"known"}


def test_what_was_judged_before_a_kill_is_kept(request_for, monkeypatch):
    """The run of the first night dies before its findings are settled: nothing is judged twice, and all of it is new."""

    def die(*args, **told):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(night.History, "settle", die)
        with pytest.raises(KeyboardInterrupt):
            audited(request_for())
    result = audited(request_for(1))
    assert (result.number, result.diagnosed) == (1, 0)
    assert set(states(result).values()) == {"new"}


def test_a_run_whose_place_changes_keeps_its_findings(tmp_path):
    """One checkpoint alone is a run at its own folder; with a second one the run is the folder above."""
    root = tmp_path / "project"
    state = overfitted(2)
    put(root, "a/checkpoint-600", state)
    first = audited(Request(root=root, history=tmp_path / "h.db", now=NOW))
    put(root, "a", state)
    second = audited(Request(root=root, history=tmp_path / "h.db", now=NOW + DAY))
    assert len(first.runs) == len(second.runs) == 1
    assert set(states(second).values()) == {"known"}
    assert [run.seen for run in second.runs] == ["changed"]


def test_a_new_edition_looks_at_everything_again(request_for, monkeypatch):
    audited(request_for())
    monkeypatch.setattr(night, "edition", lambda: "another")
    second = audited(request_for(1))
    assert second.diagnosed == 3
    assert set(states(second).values()) == {"known"}
    assert {run.seen for run in second.runs} == {"unchanged"}


def test_in_two_processes_as_in_one(tmp_path):
    root = tmp_path / "project"
    for i in range(20):
        put(root, f"run{i}", (healthy, overfitted, broken)[i % 3](i))
    (root / "bad").mkdir()
    (root / "bad" / "trainer_state.json").write_text(LFS)
    results = [audited(Request(root=root, history=tmp_path / f"{n}.db", now=NOW, processes=n)) for n in (1, 2)]
    one, two = (result.to_dict() for result in results)
    assert one == two
    assert (len(one["runs"]), len(one["errors"])) == (20, 1)


def test_no_such_folder(tmp_path):
    with pytest.raises(UnreadableError, match="no such folder"):
        audited(Request(root=tmp_path / "absent", history=tmp_path / "h.db"))


def test_an_empty_project(tmp_path):
    (tmp_path / "empty").mkdir()
    result = audited(Request(root=tmp_path / "empty", history=tmp_path / "h.db", now=NOW))
    assert (result.runs, result.findings) == ((), ())
    assert [error.message.partition(";")[0] for error in result.errors] == ["no training log among 0 files"]


def test_the_document_draws_the_same_result(request_for):
    result = audited(request_for())
    document = json.loads(json.dumps(result.document(), allow_nan=False))
    assert AuditResult.from_document(document).to_dict() == result.to_dict()
    assert {run["verdict"] for run in document["runs"]} == {"healthy", "overfitting", "non-finite"}
    assert "series" not in document["runs"][0]
    assert [one["pattern"] for one in document["audit"]["new"]] == [one.pattern for one in result.of("new")]


def test_new_times_alone_are_no_change(project, request_for):
    """A checkout makes every file new; nothing is judged again, and nothing is called changed."""
    audited(request_for())
    for log in project.rglob("trainer_state.json"):
        os.utime(log, (NOW + DAY, NOW + DAY))
    second = audited(request_for(2))
    assert second.diagnosed == 0
    assert {run.seen for run in second.runs} == {"unchanged"}


def test_a_change_in_the_middle_is_seen(project, request_for):
    audited(request_for())
    log = project / "good" / "trainer_state.json"
    content = bytearray(log.read_bytes())
    at = content.index(b'"loss": ', len(content) // 2) + 8
    content[at : at + 1] = b"9"
    log.write_bytes(content)
    os.utime(log, (NOW + DAY, NOW + DAY))
    second = audited(request_for(2))
    assert {run.key: run.seen for run in second.runs}["good"] == "changed"
    assert second.diagnosed == 1


def test_an_unfinished_run_in_a_checkout_is_not_running_for_ever(project, request_for):
    put(project, "half", unfinished(overfitted(7), 4000), age=60)
    assert next(run for run in audited(request_for()).runs if run.key == "half").live
    for later in (1, 2):
        os.utime(project / "half" / "trainer_state.json", (NOW + later * DAY - 60,) * 2)
        result = audited(request_for(later))
        assert not next(run for run in result.runs if run.key == "half").live


def slow(root: Path, count: int, speed: float, first: int = 0) -> None:
    """Runs of one kind, one a day, that log their throughput."""
    for i in range(first, first + count):
        state = healthy(i)
        for row in state["log_history"]:
            if "train_runtime" in row:
                row["train_samples_per_second"] = speed
        put(root, f"sweep/{i}", state, age=(60 - i) * DAY, settings={"model_type": "llama", "vocab_size": 9})


def test_a_slow_run_is_told_once_and_can_be_muted(tmp_path):
    root = tmp_path / "project"
    slow(root, 8, 100.0)
    request = Request(root=root, history=tmp_path / "h.db", now=NOW)
    assert audited(request).departures == ()
    slow(root, 1, 60.0, first=8)
    nights = [audited(replace(request, now=NOW + i * DAY)) for i in (1, 2)]
    assert [[(one.run, one.pattern, one.state) for one in night_.departures] for night_ in nights] == [
        [("sweep/8", "unusual:throughput", "new")],
        [("sweep/8", "unusual:throughput", "known")],
    ]
    assert all(not one.pattern.startswith("unusual") for night_ in nights for one in night_.findings)
    with night.History.open(tmp_path / "h.db") as history:
        history.mute(Mute(project=str(root), run="sweep/8", pattern="unusual:*", reason="old node"))
    assert [one.state for one in audited(replace(request, now=NOW + 3 * DAY)).departures] == ["muted"]


def test_a_log_that_lost_all_it_held(project, request_for):
    audited(request_for())
    (project / "good" / "trainer_state.json").write_text('{"log_history": [{')
    second = audited(request_for(1))
    assert [(one.run, one.pattern, one.counts) for one in second.of("new")] == [("good", "log-lost", True)]
    assert "saw 120 points" in second.of("new")[0].headline
    assert ("good", "log-lost") in states(audited(request_for(2)))
    put(project, "good", healthy(1))
    assert states(audited(request_for(3)))["good", "log-lost"] == "fixed"


def test_a_pattern_that_is_turned_off_fails_nothing(request_for):
    audited(request_for())
    policy = Policy(Options(ignore=("non-finite",)), fail_on="critical")
    second = audited(request_for(1, policy=policy))
    assert second.failing == () and ("nan", "non-finite") not in states(second)
    again = audited(request_for(2, policy=Policy(fail_on="critical")))
    assert states(again)["nan", "non-finite"] == "known"


def test_a_renamed_folder_is_the_same_run(project, request_for):
    audited(request_for())
    (project / "archive").mkdir()
    (project / "nan").rename(project / "archive" / "nan-old")
    second = audited(request_for(1))
    assert states(second)["archive/nan-old", "non-finite"] == "known"
    assert {run.key: run.seen for run in second.runs}["archive/nan-old"] == "unchanged"
    assert not [run for run in second.runs if run.seen == "gone"]


def test_a_copy_is_a_run_of_its_own(project, request_for):
    audited(request_for())
    shutil.copytree(project / "nan", project / "copy")
    assert states(audited(request_for(1))) == {
        ("nan", "non-finite"): "known", ("copy", "non-finite"): "new", ("over", "overfitting"): "known",
    }  # fmt: skip


def test_a_moved_project_is_looked_at_again(tmp_path, project, request_for):
    audited(request_for(project="p"))
    project.rename(tmp_path / "elsewhere")
    second = audited(request_for(1, project="p", root=tmp_path / "elsewhere"))
    assert set(states(second).values()) == {"known"}
    assert {Path(run.path).parent for run in second.runs} == {tmp_path / "elsewhere"}


def test_what_settled_and_was_not_told_is_new_again(project, request_for):
    """The process dies when its page is begun: the next night tells it, the next audit at once does not."""
    nightly.audited(request_for())
    soon = audited(request_for(now=NOW + 60))
    assert set(states(soon).values()) == {"known"}
    assert {one.state for one in audited(request_for(1)).findings} == {"new"}
    assert set(states(audited(request_for(2))).values()) == {"known"}


def test_a_look_changes_nothing(tmp_path, project, request_for):
    audited(request_for())
    put(project, "later", overfitted(9), age=-DAY)
    looks = [audited(request_for(1, rehearsed=True)) for _ in range(2)]
    assert [states(one)["later", "overfitting"] for one in looks] == ["new", "new"]
    assert states(audited(request_for(1)))["later", "overfitting"] == "new"


def test_what_went_wrong_in_passing_is_tried_again(tmp_path, project, request_for, monkeypatch):
    real = night.judge

    def full(jobs, errand):
        return [Unread(path=str(job.group.path), message="disk full") if job.key == "nan" else one for job, one in zip(jobs, real(jobs, errand), strict=True)]

    with monkeypatch.context() as patched:
        patched.setattr(night, "judge", full)
        assert len(audited(request_for()).errors) == 1
    second = audited(request_for(1))
    assert (second.errors, second.diagnosed) == ((), 1)


def test_a_log_whose_reader_was_killed_is_tried_again(project, request_for, monkeypatch):
    real = inventory.sketch_files

    def killed(files, named):
        died = Unread(path="x", message=inventory.KILLED)
        return [died if path.parent.name == "nan" else one for (path, _), one in zip(files, real(files, named), strict=True)]

    with monkeypatch.context() as patched:
        patched.setattr(inventory, "sketch_files", killed)
        assert len(audited(request_for()).runs) == 2
    second = audited(request_for(1))
    assert (len(second.runs), second.errors) == (3, ())


def test_a_run_whose_files_are_part_of_another_is_gone(tmp_path):
    """A checkpoint alone, and then the trainer's own state above it from another training: one run, and no ghost of the other."""
    root = tmp_path / "project"
    put(root, "a/one", overfitted(2))
    put(root, "b/two", healthy(3))
    audited(Request(root=root, history=tmp_path / "h.db", now=NOW))
    (root / "a" / "one" / "trainer_state.json").write_bytes((root / "b" / "two" / "trainer_state.json").read_bytes())
    shutil.rmtree(root / "b")
    second = audited(Request(root=root, history=tmp_path / "h.db", now=NOW + DAY))
    fresh = audited(Request(root=root, history=tmp_path / "fresh.db", now=NOW + DAY))
    assert {run.key for run in second.runs if run.seen != "gone"} == {run.key for run in fresh.runs}
    assert not any(run.unread for run in second.runs)


def test_names_that_are_no_utf8(project, request_for):
    folder = os.fsdecode(os.fsencode(project) + b"/bad\xff")
    put(Path(folder).parent, Path(folder).name, broken(4))
    Path(folder, "lfs").mkdir()
    Path(folder, "lfs", "trainer_state.json").write_text(LFS)
    for i in range(2):
        result = audited(request_for(i))
        assert len(result.errors) == 1
        json.dumps(result.document(), allow_nan=False).encode()


def test_reports_that_nothing_leads_to_are_taken_away(tmp_path, project, request_for):
    pages = tmp_path / "pages"
    first = {run.key: run.page for run in audited(request_for(pages=pages)).runs}
    put(project, "over", healthy(2), age=-DAY)
    shutil.rmtree(project / "nan")
    (pages / "runs" / "mine.html").write_text("of a user")
    audited(request_for(2, pages=pages))
    assert not (pages / first["over"]).exists()
    audited(request_for(3, pages=pages))
    assert sorted(path.name for path in (pages / "runs").iterdir()) == ["mine.html"]
