"""What only real processes show: two audits at once, an audit that is killed, what an import costs."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from nights import NOW, everything, found, record, tonight

from curvelab.history import History

TESTS = Path(__file__).parents[1]
ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join((str(TESTS.parent), str(TESTS)))}
RUNS = 20

BEGIN = """
import json, os, signal, sys
from nights import NOW, everything, found, record, tonight
from curvelab.history import History, Mute
where, which = sys.argv[1], int(sys.argv[2])
runs = [record(f"run {i}", [found()]) for i in range(20)]
told = [tonight(found(), found(700, 800, severity="critical"), key=one.run.key, renewed="its log has changed") for one in runs]
"""

AUDIT = """
sys.stdin.readline()
with History.open(where) as history:
    history.keep("p", runs if which % 2 else runs[::-1])
    settled = history.settle("p", told if which % 2 else told[::-1], now=NOW + which, tree="", wanted=everything)
    history.mute(Mute(project="p", run=str(which), pattern="*"))
print(json.dumps([settled.number, [[one.run, one.fingerprint] for one in settled.findings if one.counts]]))
"""

KILLED = """
from sqlalchemy import event
from sqlalchemy.engine import Engine
left = which
with History.open(where) as history:
    @event.listens_for(Engine, "after_cursor_execute")
    @event.listens_for(Engine, "commit")
    def count(*_):
        global left
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)
    {call}
"""


def start(code, where, which=0, **options):
    command = [sys.executable, "-c", BEGIN + code, where, str(which)]
    return subprocess.Popen(command, env=ENVIRONMENT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, **options)


def test_audits_at_once_tell_each_finding_once(where):
    """They begin in the same moment, with no database there: who is first makes the tables, and who settles first tells."""
    running = [start(AUDIT, where, i) for i in range(5)]
    for one in running:
        one.stdin.write("go\n")
        one.stdin.flush()
    answers = [json.loads(one.communicate(timeout=120)[0]) for one in running]
    assert [one.returncode for one in running] == [0] * 5
    assert sorted(number for number, _ in answers) == [1, 2, 3, 4, 5]
    counted = [tuple(one) for _, those in answers for one in those]
    assert len(counted) == len(set(counted)) == 2 * RUNS
    assert sorted(len(those) for _, those in answers) == [0, 0, 0, 0, 2 * RUNS]
    with History.open(where) as history:
        assert len(history.records("p")) == RUNS
        assert [one.told for one in history.audits("p")] == [2 * RUNS, 0, 0, 0, 0]
        assert sorted(one.run for one in history.mutes("p")) == ["0", "1", "2", "3", "4"]


def killed_at(call, where, statement):
    """Whether a process lived to the end of a call that was to be killed after so many statements."""
    done = start(KILLED.format(call=call), where, statement)
    done.communicate(timeout=120)
    assert done.returncode in (0, -signal.SIGKILL)
    return done.returncode == 0


def test_killed_while_keeping(where):
    """Before the commit nothing of it is there, after it everything; what was there before always is."""
    with History.open(where) as history:
        history.keep("p", [record("before", [found()])])
    seen = set()
    for statement in range(30):
        lived = killed_at('history.keep("p", runs)', where, statement)
        with History.open(where) as history:
            kept = history.records("p")
            assert "before" in kept
            assert len(kept) - 1 in ({RUNS} if lived else {0, RUNS})
            seen.add(len(kept) - 1)
        if lived:
            break
    assert lived
    assert seen == {0, RUNS}


def test_killed_while_settling(where):
    """An audit that was not written down has told nothing: the next one tells it all. One that was, told it."""
    with History.open(where) as history:
        history.keep("p", [record(f"run {i}") for i in range(RUNS)])
        history.settle("p", [tonight(found(), key="run 0")], now=NOW - 1, tree="before", wanted=everything)
    call = 'history.settle("p", told, now=NOW, tree="killed", wanted=everything, gone={"run x"})'
    seen = set()
    for statement in range(40):
        killed_at(call, where, statement)
        with History.open(where) as history:
            audits = history.audits("p")
            assert history.tree("p") == ("killed" if len(audits) == 2 else "before")
            assert len(history.records("p")) == RUNS
            seen.add(len(audits))
            if len(audits) == 2:
                break
    assert seen == {1, 2}
    with History.open(where) as history:
        again = history.settle(
            "p", [tonight(found(), found(700, 800), key=f"run {i}") for i in range(RUNS)], now=NOW + 1, tree="", wanted=everything
        )
        assert {one.state for one in again.findings} == {"known"}
        assert again.number == 3


def test_killed_while_the_tables_are_made(tmp_path):
    code = """
import sqlite3
from curvelab.history import migrating
from sqlalchemy import event
from sqlalchemy.engine import Engine
left = which
@event.listens_for(Engine, "after_cursor_execute")
def count(*_):
    global left
    left -= 1
    if left < 0:
        os.kill(os.getpid(), signal.SIGKILL)
History.open(where)
"""
    for statement in (0, 1, 3, 5, 7, 9, 11):
        file = tmp_path / f"{statement}.db"
        running = start(code, str(file), statement)
        running.communicate(timeout=120)
        assert running.returncode == -signal.SIGKILL
        with History.open(file) as history:
            history.keep("p", [record()])
            assert list(history.records("p")) == ["runs/a"]


@pytest.mark.parametrize("module", ["curvelab", "curvelab.cli", "curvelab.states", "curvelab.model.tracking"])
def test_the_database_is_imported_by_the_history_only(module):
    code = f"import sys, {module}\nprint([name for name in ('sqlalchemy', 'alembic', 'psycopg') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], env=ENVIRONMENT, capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "[]\n"


def test_a_file_needs_no_driver_of_servers_and_an_old_one_no_migrations(tmp_path):
    History.open(tmp_path / "h.db").close()
    code = (
        f"import sys\nfrom curvelab.history import History\nHistory.open({str(tmp_path / 'h.db')!r}).close()\n"
        "print([name for name in ('alembic', 'psycopg', 'pandas', 'matplotlib') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], env=ENVIRONMENT, capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "[]\n"
