"""What only a process of its own shows: imports, streams, signals, the console script."""

from __future__ import annotations

import json
import os
import pkgutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from curvelab import commands
from curvelab.cli import COMMANDS

PARTS = {"inputs", "pages", "plots", "terminal"}  # of the commands, and none themselves
HEAVY = ("numpy", "pandas", "scipy", "matplotlib", "rich", "jinja2", "msgspec", "sqlalchemy", "alembic")
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
MODULE = ("-m", "curvelab")

Done = subprocess.CompletedProcess[str]


def python(*arguments: str | Path, **environment: str) -> Done:
    """Run Python with arguments to its end."""
    command = [sys.executable, *map(str, arguments)]
    environment = {**ENVIRONMENT, **environment}
    return subprocess.run(command, check=False, capture_output=True, text=True, env=environment, timeout=120)


def curvelab(*arguments: str | Path) -> Done:
    return python(*MODULE, *arguments)


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"], ["--version"], ["postmortem", "--help"], ["export", "--help"], ["nope"], ["postmortem"],
        ["postmortem", "--fromat", "x"], ["postmortem", "--format", "x", "y"], ["postmortem", "--set", "x", "y"],
        ["export", "--format", "x", "y"], ["inspect", "--format", "x", "y"],
        ["bench", "--format", "x", "y"], ["mute", "--help"], ["mute"], ["mute", "a", "b", "--list"],
    ],
    ids=" ".join,
)  # fmt: skip
def test_help_and_wrong_use_import_nothing_heavy(arguments):
    code = (
        f"import sys\nfrom curvelab import cli\ncli.run({arguments!r})\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)"
    )
    assert python("-c", code).stderr.splitlines()[-1] == "[]"


def test_help_names_every_command():
    done = curvelab("--help")
    assert done.returncode == 0
    assert done.stderr == ""
    assert set(COMMANDS) == {module.name for module in pkgutil.iter_modules(commands.__path__)} - PARTS
    for command, summary in COMMANDS.items():
        assert command in done.stdout
        assert " ".join(summary.split()[:4]) in done.stdout
        own = curvelab(command, "--help")
        assert own.returncode == 0
        assert f"Usage: curvelab {command} [OPTIONS]" in own.stdout


def test_completion_knows_the_options_of_a_command():
    asked = {"_CURVELAB_COMPLETE": "complete_bash", "COMP_WORDS": "curvelab postmortem --fa", "COMP_CWORD": "2"}
    assert python(*MODULE, **asked).stdout.split() == ["--fail-on"]


def test_version():
    done = curvelab("--version")
    assert done.returncode == 0
    assert done.stdout.startswith("curvelab ")


def test_no_arguments_show_the_help_as_wrong_use():
    done = curvelab()
    assert done.returncode == 2
    assert "postmortem" in done.stderr


def test_exit_codes_of_the_process(state, broken, tmp_path):
    assert curvelab("postmortem", "--format", "json", state).returncode == 0
    assert curvelab("postmortem", "--format", "json", "--fail-on", "critical", broken).returncode == 1
    assert curvelab("postmortem", "--format", "nope", state).returncode == 2
    assert curvelab("postmortem", "--format", "json", state, tmp_path / "absent").returncode == 3
    assert curvelab("postmortem", "--format", "json", tmp_path / "absent").returncode == 4


@pytest.mark.parametrize("debug", [False, True])
def test_internal_error_shows_its_traceback_only_with_debug(state, debug):
    code = (
        "import curvelab.diagnosis\nfrom curvelab import cli\n"
        "def fail(*a): raise RuntimeError('a bug')\n"
        "curvelab.diagnosis.diagnose = fail\ncli.main()"
    )
    done = python("-c", code, "postmortem", "--format", "json", state, *(["--debug"] if debug else []))
    assert done.returncode == 5
    assert ("Traceback" in done.stderr) is debug


def test_a_reader_that_goes_away_is_no_error(write_state):
    state = write_state(steps=4000)  # more than a pipe holds
    command = [sys.executable, *MODULE, "export", str(state)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=ENVIRONMENT) as running:
        assert running.stdout is not None
        assert running.stderr is not None
        assert running.stdout.readline().startswith(b"run,metric")
        running.stdout.close()
        assert running.stderr.read() == b""
    assert running.returncode == 0


def test_interrupt_leaves_130_and_no_traceback(state):
    code = (
        "import time, curvelab.diagnosis\nfrom curvelab import cli\n"
        "def wait(*a): print('waiting', flush=True); time.sleep(60)\n"
        "curvelab.diagnosis.diagnose = wait\ncli.main()"
    )
    command = [sys.executable, "-c", code, "postmortem", "--format", "json", str(state)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=ENVIRONMENT) as running:
        assert running.stdout is not None
        assert running.stderr is not None
        assert running.stdout.readline() == b"waiting\n"
        time.sleep(0.1)
        running.send_signal(signal.SIGINT)
        assert running.stderr.read() == b""
    assert running.returncode == 130


def test_stdout_that_cannot_show_a_name_is_no_error(write_state, tmp_path):
    write_state("läuf ✓")
    done = python(*MODULE, "inspect", tmp_path, PYTHONIOENCODING="ascii")
    assert done.returncode == 0
    assert done.stderr == ""


def test_nothing_but_json_on_stdout(state, tmp_path):
    done = curvelab("postmortem", "--format", "json", state, tmp_path / "absent")
    json.loads(done.stdout)
    assert done.stderr.count("\n") == 1
