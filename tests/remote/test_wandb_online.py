"""W&B online, against a local service: every row, the axes of the `.wandb` reader, and failures that cost one run only."""

from __future__ import annotations

import base64
import json
import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from wandb_service import KEY, RunThere, Service, running

from curvelab.ingest import gather
from curvelab.model.errors import UsageError
from curvelab.remote import _wandb_account as account
from curvelab.remote.wandb_online import parts_of

ROOT = Path(__file__).parents[2]

STEP_METRIC = {"m": [{"1": "train/global_step", "6": [3]}, {"2": "*", "5": 1, "6": [1]}]}  # as Transformers defines it


def trained(name: str = "good", rows: int = 2_500, **facts) -> RunThere:
    """A run as the Transformers callback logs it: a row every ten steps, an eval row now and then, NaN once."""
    history = []
    for i in range(rows):
        row = {"_step": i, "_timestamp": 1.7e9 + i, "_runtime": i, "train/global_step": 10 * (i + 1)}
        if i % 100 == 99:
            history.append({**row, "eval/loss": 2.5 / (1 + i / 500)})
        else:
            loss = "NaN" if i == 50 else 3 / (1 + i / 500)
            history.append({**row, "train/loss": loss, "train/epoch": i / 1000, "train/layers": {"a": {"b": i}}})
    facts = {"config": {"max_steps": 10 * rows, "learning_rate": 5e-5}, "internal": STEP_METRIC} | facts
    return RunThere(name, history, **facts)


@pytest.fixture
def there(monkeypatch, tmp_path):
    """Start a service with some runs and point the SDK at it."""
    pytest.importorskip("wandb")
    started = []

    def start(*runs: RunThere) -> Service:
        started.append(running(*runs))
        service = started[-1].__enter__()
        for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "WANDB_IDENTITY_TOKEN_FILE"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("WANDB_BASE_URL", service.url)
        monkeypatch.setenv("WANDB_API_KEY", KEY)
        monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
        monkeypatch.setenv("HOME", str(tmp_path))
        monkeypatch.setattr(account, "RETRIES", account.Retries(most=2, first_wait=1, longest_wait=1, timeout=10))
        return service

    yield start
    for each in started:
        each.__exit__(None, None, None)


def test_every_row_of_every_page_on_the_right_step(there):
    service = there(trained())
    gathered = gather(["wandb://team/project"])
    assert not gathered.errors
    (run,) = gathered.runs
    loss = run.curve("train/loss")
    assert service.asked["HistoryPage"] == 3
    assert len(loss) == 2_475
    assert loss.step.tolist() == [10 * (i + 1) for i in range(2_500) if i % 100 != 99]
    assert math.isnan(loss.value[50])
    assert np.isfinite(np.delete(loss.value, 50)).all()
    assert run.curve("eval/loss").step.tolist() == [1000 * (i + 1) for i in range(25)]
    assert loss.epoch[1] == 0.001
    assert loss.wall_time[0] == 1.7e9
    assert run.curve("train/layers.a.b").value[3] == 3


def test_what_the_run_says_of_itself(there):
    there(trained())
    (run,) = gather(["wandb://team/project/good"]).runs
    assert (run.id, run.name, run.project, run.format) == ("good", "shown good", "project", "wandb-online")
    assert run.path == "wandb://team/project/good"
    assert run.setting("learning_rate") == 5e-5
    assert run.config["learning_rate"].origin == "W&B config"
    assert run.planned_steps == 25_000
    assert run.state == "finished"
    assert {origin for curve in run.logged.values() for origin in curve.origins} == {run.path}
    assert [str(log.path) for log in run.logs] == [run.path]


def test_a_failing_run_and_an_empty_one_do_not_stop_the_others(there):
    there(trained(rows=1_500), trained("failing", 30, broken=True), RunThere("empty"), trained("last", 20))
    gathered = gather(["wandb://team/project"])
    assert [run.name for run in gathered.runs] == ["shown good", "shown empty", "shown last"]
    (error,) = gathered.errors
    assert error.path == "wandb://team/project/failing"
    assert "500" in error.message
    empty = gathered.runs[1]
    assert not empty.logged
    assert any("no numbers were logged" in note.text for note in empty.notes)


def test_runs_come_in_pages(there):
    service = there(*(trained(f"run{i}", 5) for i in range(7)))
    service.per_page = 3
    assert len(gather(["wandb://team/project"]).runs) == 7
    assert service.asked["Runs"] == 3


def test_a_502_is_tried_again(there):
    service = there(trained(rows=1_100))
    service.failing["HistoryPage"] = [502, 502]
    gathered = gather(["wandb://team/project/good"])
    assert not gathered.errors
    assert len(gathered.runs[0].curve("train/loss")) == 1_089
    assert service.asked["HistoryPage"] == 4


@pytest.mark.parametrize(
    ("state", "expected"),
    [("finished", "finished"), ("crashed", "crashed"), ("failed", "crashed"), ("running", "running"), ("odd", "unknown")],
)
def test_the_state_is_the_services_where_no_plan_is_known(there, state, expected):
    there(trained(rows=20, state=state, config={}))
    assert gather(["wandb://team/project"]).runs[0].state == expected


def test_finished_short_of_the_plan_is_not_finished_but_for_the_trainers_mark(there):
    there(
        trained("early", 20, config={"max_steps": 5_000}),
        trained("marked", 20, config={"max_steps": 5_000}, summary={"train/train_runtime": 9}),
    )
    early, marked = gather(["wandb://team/project"]).runs
    assert (early.state, marked.state) == ("crashed", "finished")


def test_system_metrics_are_kept_when_they_are_all_there_are(there, monkeypatch):
    events = [{"_runtime": i, "_timestamp": 1.7e9 + i, "system.gpu.0.gpu": 50 + i % 3} for i in range(300)]
    there(trained(rows=500, events=events))
    (run,) = gather(["wandb://team/project"]).runs
    (timed,) = run.logs[0].timed
    assert timed.name == "system.gpu.0.gpu"
    assert len(timed.value) == 300
    monkeypatch.setattr("curvelab.remote.wandb_online.MOST_SYSTEM_ROWS", 300)
    (run,) = gather(["wandb://team/project"]).runs
    assert run.logs[0].timed == ()
    assert any("sampled" in note.text for note in run.notes)


def test_system_metrics_that_fail_cost_nothing_else(there):
    service = there(trained(rows=50))
    service.failing["RunFullHistory"] = [500] * 9
    gathered = gather(["wandb://team/project"])
    assert not gathered.errors
    assert any("system metrics could not be read" in note.text for note in gathered.runs[0].notes)


def test_an_exported_history_is_read_too(there, tmp_path):
    """The service keeps finished histories as Parquet; the SDK fetches the file instead of pages."""
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet

    rows = 1_200
    table = pa.table(
        {
            "_step": pa.array(range(rows), pa.int64()),
            "_timestamp": [1.7e9 + i for i in range(rows)],
            "loss": [1 / (1 + i) if i % 2 else None for i in range(rows)],
        }
    )
    pyarrow.parquet.write_table(table, tmp_path / "history.parquet")
    there(RunThere("old", [{"_step": rows - 1}], parquet=(tmp_path / "history.parquet").read_bytes()))
    gathered = gather(["wandb://team/project"])
    assert not gathered.errors
    series = gathered.runs[0].logs[0].find("loss")
    assert series.step.tolist() == list(range(1, rows, 2))


def test_a_refused_key_is_one_line_without_the_key(there):
    service = there(trained())
    service.failing["Viewer"] = [401] * 9
    gathered = gather(["wandb://team/project"])
    (error,) = gathered.errors
    assert "refuses the API key (401)" in error.message
    assert KEY not in str(error)
    assert "\n" not in str(error)


def test_no_error_shows_the_key_even_when_the_service_repeats_it(there, monkeypatch):
    service = there(trained())
    coded = base64.b64encode(f"api:{KEY}".encode()).decode()
    monkeypatch.setattr(
        service, "answer", lambda *_: (400, {"errors": [{"message": f"bad {KEY} in http://x:{KEY}@y, {coded}"}]})
    )
    (error,) = gather(["wandb://team/project"]).errors
    assert KEY not in str(error)
    assert coded not in str(error)
    assert "[redacted]" in str(error)


def test_the_key_may_stand_in_netrc(there, monkeypatch, tmp_path):
    service = there(trained(rows=5))
    monkeypatch.delenv("WANDB_API_KEY")
    host = service.url.removeprefix("http://")
    (tmp_path / "netrc").write_text(f"machine {host}\n  login user\n  password {KEY}\n")
    (tmp_path / "netrc").chmod(0o600)
    assert len(gather(["wandb://team/project"]).runs) == 1
    assert service.keys_seen == {"Basic " + base64.b64encode(f"api:{KEY}".encode()).decode()}


def test_without_a_key_nothing_is_asked(there, monkeypatch):
    service = there(trained())
    monkeypatch.delenv("WANDB_API_KEY")
    (error,) = gather(["wandb://team/project"]).errors
    assert "no W&B API key" in error.message
    assert not service.asked


def test_what_is_not_there(there):
    there(trained(rows=5))
    (error,) = gather(["wandb://team/nothing"]).errors
    assert "Could not find project nothing" in error.message
    (error,) = gather(["wandb://team/project/nothing"]).errors
    assert "Could not find run" in error.message
    there()
    (error,) = gather(["wandb://team/project"]).errors
    assert "holds no runs" in error.message


@pytest.mark.parametrize("url", ["wandb://team", "wandb://", "wandb://a/b/c/d", "wandb://a//b", "wandb://a/.."])
def test_an_address_that_names_no_project_is_wrong_use(url):
    with pytest.raises(UsageError, match=r"wandb://entity/project"):
        parts_of(url)


def test_a_missing_sdk_is_one_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "wandb", None)
    (error,) = gather(["wandb://team/project"]).errors
    assert error.message == "needs W&B's SDK: pip install 'curvelab[wandb]'"


def test_the_sdk_leaves_nothing_behind(there, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    there(trained(rows=5))
    gather(["wandb://team/project"])
    assert sorted(path.name for path in tmp_path.iterdir()) == []
    assert "WANDB_DIR" not in os.environ


def curvelab(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "curvelab", *arguments],
        capture_output=True, text=True, timeout=120, check=False, cwd=ROOT, env={**os.environ, **environment},
    )  # fmt: skip


def test_the_command_line_reads_a_project(there):
    there(trained(rows=300), trained("bare", 40, state="crashed"))
    done = curvelab("postmortem", "wandb://team/project", "--format", "json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert [run["path"] for run in told["runs"]] == ["wandb://team/project/good", "wandb://team/project/bare"]
    assert KEY not in done.stdout + done.stderr
    assert done.stderr == ""
    checked = curvelab("inspect", "wandb://team/project/good", "--verify", "--metric", "train/loss=train/loss")
    assert checked.returncode == 0, checked.stderr
    assert "no reference reader" in checked.stdout


def test_an_offline_machine_gets_one_clear_line(there):
    there()
    done = curvelab("postmortem", "wandb://team/project", WANDB_BASE_URL="http://127.0.0.1:9")
    assert done.returncode == 4
    assert "cannot be reached" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_names_of_the_service_are_made_safe(there):
    rows = [{"_step": i, "loss": 1.0, "\x1b[31mx": 1} for i in range(20)]
    there(RunThere("odd", rows))
    (run,) = gather(["wandb://team/project/odd"]).runs
    assert "[31mx" in run.metrics and not any("\x1b" in metric for metric in run.metrics)
    assert any("cannot be shown" in note.text for note in run.notes)


def test_a_403_is_a_refused_key(there):
    service = there(trained(rows=20))
    service.failing["HistoryPage"] = [403]
    (error,) = gather(["wandb://team/project/good"]).errors
    assert "refuses the API key (403)" in error.message
