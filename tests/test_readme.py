"""What the README says is true: its commands run, its Python runs, its tables are those of the cards."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from states import ROOT, SAMPLES
from update_readme import updated

README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", README, flags=re.M | re.S)


def blocks(language: str) -> list[str]:
    return [text for kind, text in BLOCKS if kind == language]


def test_the_first_block_is_two_commands_that_set_themselves_up():
    """The commands themselves are run by .ci/run, in a fresh clone; here their last part, in this environment."""
    lines = blocks("sh")[0].strip().splitlines()
    assert len(lines) == 2
    assert all(line.startswith("python3 -m venv .venv && .venv/bin/pip install") for line in lines)
    assert "pytest" in lines[1]


def run(command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    words = shlex.split(command, comments=True)
    assert words[0].endswith("curvelab")
    return subprocess.run(
        [sys.executable, "-m", "curvelab", *words[1:]], cwd=folder, capture_output=True, text=True, timeout=300, check=False
    )


def test_the_first_command_writes_the_report_it_names(tmp_path):
    (tmp_path / "sample_runs").symlink_to(SAMPLES)
    command = blocks("sh")[0].splitlines()[0].split("&&")[-1].strip()
    assert run(command, tmp_path).returncode == 0
    assert "overfitting" in (tmp_path / "reports" / "overfitting.html").read_text()


def test_the_second_block_begins_where_a_new_shell_does():
    first = blocks("sh")[1].splitlines()[0]
    assert first.split("#")[0].strip() == ". .venv/bin/activate"
    assert "python3 -m venv .venv" in blocks("sh")[0]


@pytest.mark.parametrize("command", blocks("sh")[1].strip().splitlines()[1:], ids=lambda c: " ".join(c.split()[1:3]))
def test_every_other_command_runs_on_a_folder_of_runs(command, tmp_path):
    outputs = tmp_path / "outputs"
    outputs.mkdir()
    (outputs / "my-run").symlink_to(SAMPLES / "overfitting")
    (tmp_path / "run.wandb").symlink_to(next((SAMPLES / "overfitting").rglob("*.wandb")))
    command = command.replace("postmortem outputs ", f"postmortem {SAMPLES / 'overfitting'} ")
    command = command.replace("export outputs ", f"export {SAMPLES / 'overfitting'} ")
    command = command.replace("compare outputs ", f"compare {SAMPLES / 'overfitting'} {SAMPLES / 'healthy'} ")
    if "saved.json" in command:
        saved = run(f"curvelab postmortem {SAMPLES / 'overfitting'} --format json -o saved.json", tmp_path)
        assert saved.returncode == 0, saved.stderr
    if "parquet" in command:
        pytest.importorskip("pyarrow")
    done = run(command, tmp_path)
    assert done.returncode == (1 if "--fail-on" in command else 0), done.stderr


def test_the_python_example_says_what_it_says(capsys, monkeypatch):
    monkeypatch.chdir(ROOT)
    (code,) = blocks("python")
    names: dict = {}
    exec(code, names)  # our own README
    assert names["result"].verdict == "overfitting"
    options = names["lenient"]
    again = names["curvelab"].diagnose(names["run"], options)
    assert (again.verdict, again.provenance["left_out"]) == ("healthy", ["sparse-eval"])
    assert "180 eval/loss rose" in capsys.readouterr().out


def test_the_settings_example_is_accepted_and_obeyed(tmp_path):
    text = blocks("toml")[-1]
    assert tomllib.loads(text)
    (tmp_path / "curvelab.toml").write_text(text)
    done = run(f"curvelab postmortem --format text {SAMPLES / 'overfitting'}", tmp_path)
    assert done.returncode == 1, done.stderr
    assert re.search(r"it takes ≥\s10\s%", done.stdout)


def lines_of(command: str) -> list[str]:
    """The lines of the blocks that show one command, in their order."""
    lines = [line for text in blocks("text") for line in text.splitlines()]
    return [line for line in lines if line.startswith(f"curvelab {command}")]


@pytest.fixture
def outputs(tmp_path) -> Path:
    """Runs under the names that the README uses."""
    for name, sample in {"lr-1": "healthy", "lr-2": "overfitting", "main": "healthy", "legacy-a": "spikes"}.items():
        (tmp_path / "outputs" / name).mkdir(parents=True)
        for log in (SAMPLES / sample).glob("trainer_state.json"):
            (tmp_path / "outputs" / name / log.name).write_bytes(log.read_bytes())
    return tmp_path


@pytest.mark.parametrize("line", lines_of("compare"), ids=lambda line: line.split("#")[0].strip())
def test_every_line_of_compare(line, outputs):
    done = run(line.replace("eval/accuracy --goal max", "eval/loss --goal min"), outputs)  # the samples log no accuracy
    assert done.returncode in ((0, 1) if "--fail-on" in line else (0,)), done.stderr
    assert done.stdout


def test_every_line_of_the_audit(outputs):
    """One after the other, as a user would: the first night accepts, so that the later ones find nothing new."""
    lines = [line for text in blocks("text") if "curvelab audit" in text for line in text.splitlines()]
    assert len(lines) > 3
    for line in lines:
        done = run(line.replace("slack://…", "json://127.0.0.1:9/"), outputs)
        assert done.returncode == 0, (line, done.stderr)
        assert done.stdout


def test_the_rules_of_the_audit_are_accepted_and_obeyed(outputs):
    (text,) = (text for text in blocks("toml") if "audit.rules" in text)
    (outputs / "curvelab.toml").write_text(text.replace('"prod/*"', '"lr-*"').replace("where = {", "# where = {"))
    done = run("curvelab audit outputs --format json", outputs)
    assert done.returncode == 1, done.stderr
    told = json.loads(done.stdout)["audit"]
    assert {one["run"] for one in told["new"] if one["fails"]} == {"lr-2"}
    assert {run["key"]: run["rule"] for run in told["runs"]}["lr-2"] == "production"


def test_the_tables_are_those_of_the_cards():
    assert updated(README) == README, "run: python tests/update_readme.py"


def test_every_link_leads_somewhere():
    for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", README):
        assert (ROOT / target).exists(), target
