"""The recipes, run as far as a machine allows: the line of cron by sh, the units by systemd's own checks, the workflow
against GitHub's schema and its steps by bash."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import time
from importlib.util import find_spec
from pathlib import Path

import pytest
import yaml

from curvelab import recipes
from curvelab.cli import run as curvelab
from curvelab.model.errors import UsageError

HOSTILE = "a b'c\"d$HOME%n`id`;e&f#g${{ secrets.X }}é"
PROGRAM = "/opt/my env/bin/curvelab"


def stub(folder: Path, name: str, script: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / name
    file.write_text(f"#!/bin/sh\n{script}\n")
    file.chmod(0o755)


def said(path: Path) -> list[list[str]]:
    """The arguments of each call of a stub that writes them with NUL behind each and a newline behind all."""
    return [line.split("\0")[:-1] for line in path.read_text().splitlines()]


class TestCron:
    """The crontab."""

    def line(self, text: str) -> tuple[str, str]:
        """(schedule, what cron gives to the shell): it ends at a bare %, and takes the backslash from an escaped one."""
        (line,) = [line for line in text.splitlines() if re.match(r"\d", line)]
        schedule, command = " ".join(line.split(" ", 5)[:5]), line.split(" ", 5)[5]
        assert not re.search(r"(?<!\\)%", command), "cron would end the command here"
        return schedule, command.replace(r"\%", "%")

    @pytest.fixture
    def here(self, tmp_path):
        """A folder of runs with a hostile name, the recipe for it, and a curvelab that notes how it was called."""
        folder, reports = tmp_path / HOSTILE, tmp_path / f"reports {HOSTILE}" / "audit"
        folder.mkdir()
        calls = tmp_path / "calls"
        stub(tmp_path / "bin", "curvelab", f"printf '%s\\0' \"$@\" >> {calls}; echo >> {calls}; echo said; sleep ${{WAIT:-0}}; exit ${{CODE:-0}}")
        _, command = self.line(recipes.cron(str(folder), str(reports), "2:30", str(tmp_path / "bin" / "curvelab")))

        def start(**more):
            env = {"PATH": f"{tmp_path}/bin:{os.environ['PATH']}", "HOME": "/nowhere", **more}
            return subprocess.Popen(["/bin/sh", "-c", command], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

        return folder, reports, calls, start

    def test_the_line_audits_and_keeps_the_words(self, here):
        folder, reports, calls, start = here
        assert (*start().communicate(), calls.exists()) == ("", "", True)
        assert said(calls) == [["audit", str(folder), "-o", str(reports), "--ping", "env:CURVELAB_PING", "--allow-unreadable"]]
        assert (reports / "audit.log").read_text() == "said\n"

    @pytest.mark.parametrize("code", ["1", "3", "5"])
    def test_what_the_audit_finds_is_no_failure_of_cron(self, here, code):
        *_, start = here
        running = start(CODE=code)
        assert (*running.communicate(), running.returncode) == ("", "", 0)
        assert "not audited" not in (here[1] / "audit.log").read_text()

    def test_two_at_once(self, here):
        if shutil.which("flock") is None:
            pytest.skip("there is no flock here")
        _, reports, calls, start = here
        first = start(WAIT="3", CODE="1")
        ends = time.monotonic() + 10
        while not calls.exists() and time.monotonic() < ends:
            time.sleep(0.02)
        second = start()
        assert (*second.communicate(timeout=10), second.returncode) == ("", "", 0)
        assert first.poll() is None, "the second did not come while the first was running"
        assert "the audit before is still running" in (reports / "audit.log").read_text()
        first.communicate(timeout=20)
        assert len(said(calls)) == 1
        start().communicate(timeout=10)
        assert len(said(calls)) == 2, "the lock was not given back"

    def test_the_settings_go_with_it(self, tmp_path):
        calls, config = tmp_path / "calls", f"/etc/{HOSTILE}/curvelab.toml"
        stub(tmp_path / "bin", "curvelab", f"printf '%s\\0' \"$@\" >> {calls}; echo >> {calls}")
        text = recipes.cron("/r", str(tmp_path / "out"), "2:30", str(tmp_path / "bin" / "curvelab"), settings=["--config", config])
        subprocess.run(["/bin/sh", "-c", self.line(text)[1]], check=True, env={"PATH": f"{tmp_path}/bin:{os.environ['PATH']}"}, cwd="/")
        assert said(calls)[0][4:6] == ["--config", config]
        with pytest.raises(UsageError, match="backslash"):
            recipes.cron("/r", "/o", "2:30", PROGRAM, settings=["--config", "a\\b"])

    def test_the_schedule_and_the_user(self):
        own = recipes.cron("/r", "/o", "02:05", PROGRAM)
        assert self.line(own)[0] == "5 2 * * *" and "crontab -e" in own
        assert "\nPATH=/opt/my env/bin:" in own
        system = recipes.cron("/r", "/o", "23:59", PROGRAM, "trainer")
        assert "\n59 23 * * * trainer mkdir -p /o && " in system and "/etc/cron.d/" in system

    def test_a_backslash_is_refused(self):
        with pytest.raises(UsageError, match="backslash"):
            recipes.cron("/a\\b", "/o", "02:30", PROGRAM)


class TestSystemd:
    """The service and its timer."""

    @pytest.fixture
    def units(self, tmp_path):
        stub(tmp_path, "curvelab", "exit 0")
        made = recipes.systemd("/srv/a b'c\"d$HOME%n\\x", "/srv/re%p o$r\"ts", "02:30", str(tmp_path / "curvelab"), "root")
        for name, text in made.items():
            (tmp_path / name).write_text(text)
        return tmp_path

    def test_systemd_takes_them(self, units):
        if shutil.which("systemd-analyze") is None:
            pytest.skip("there is no systemd-analyze here")
        files = sorted(str(path) for path in units.glob("curvelab-audit.*"))
        done = subprocess.run(["systemd-analyze", "verify", *files], capture_output=True, text=True, check=False, timeout=60)
        ours = [line for line in (done.stdout + done.stderr).splitlines() if "curvelab" in line]
        assert (done.returncode, ours) == (0, []), done.stderr

    def test_systemd_can_say_no(self, units):
        if shutil.which("systemd-analyze") is None:
            pytest.skip("there is no systemd-analyze here")
        file = units / "curvelab-audit.service"
        file.write_text(file.read_text().replace("Type=oneshot", "Type=twoshot"))
        done = subprocess.run(["systemd-analyze", "verify", str(file)], capture_output=True, text=True, check=False, timeout=60)
        assert "twoshot" in done.stderr

    def test_systemd_understands_the_time(self):
        if shutil.which("systemd-analyze") is None:
            pytest.skip("there is no systemd-analyze here")
        timer = recipes.systemd("/r", "/o", "2:05", PROGRAM, "root")["curvelab-audit.timer"]
        (when,) = re.findall(r"^OnCalendar=(.*)$", timer, re.M)
        done = subprocess.run(["systemd-analyze", "calendar", when], capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == 0 and "*-*-* 02:05:00" in done.stdout

    def test_words_are_escaped_for_their_place(self):
        service = recipes.systemd("/a b%c$d\"e\\f", "/o%$", "02:30", PROGRAM, "me")["curvelab-audit.service"]
        assert (
            '\nExecStart="/opt/my env/bin/curvelab" audit "/a b%%c$$d\\"e\\\\f" -o "/o%%$$" --ping env:CURVELAB_PING --allow-unreadable\n' in service
        )
        assert '\nReadWritePaths="/o%%$"\n' in service and "\nUser=me\n" in service

    def test_the_settings_go_with_it(self):
        service = recipes.systemd("/r", "/o", "02:30", PROGRAM, "me", ["--config", "/a b%/curvelab.toml"])["curvelab-audit.service"]
        assert '-o "/o" "--config" "/a b%%/curvelab.toml" --ping env:CURVELAB_PING --allow-unreadable\n' in service

    def test_what_makes_it_bearable(self):
        made = recipes.systemd("/r", "/o", "02:30", PROGRAM, "me")
        for words in ("Type=oneshot", "SuccessExitStatus=1", "Nice=10", "ProtectSystem=strict", "NoNewPrivileges=yes"):
            assert f"\n{words}\n" in made["curvelab-audit.service"]
        for words in ("Persistent=true", "RandomizedDelaySec=10min", "WantedBy=timers.target"):
            assert f"\n{words}\n" in made["curvelab-audit.timer"]


class TestGithub:
    """The workflow."""

    def workflow(self, folder="runs", at="02:30"):
        return yaml.safe_load(recipes.github(folder, at))

    def test_githubs_schema_takes_it(self):
        package = find_spec("check_jsonschema")
        if package is None:
            pytest.skip("check-jsonschema, which carries the schema, is not installed")
        from jsonschema import Draft7Validator

        place = Path(package.submodule_search_locations[0]) / "builtin_schemas" / "vendor" / "github-workflows.json"
        schema = Draft7Validator(json.loads(place.read_text()))
        plain = self.workflow(HOSTILE)
        plain["on"] = plain.pop(True)  # YAML 1.1 reads `on` as yes
        assert [error.message[:200] for error in schema.iter_errors(plain)] == []
        plain["jobs"]["audit"]["steps"][0]["run"] = "both uses and run"
        plain["jobs"]["audit"]["unknown"] = 1
        assert not schema.is_valid(plain)

    def test_it_may_do_no_more_than_it_needs(self):
        assert self.workflow()["permissions"] == {"contents": "read", "security-events": "write", "actions": "read"}
        assert self.workflow()["jobs"]["audit"]["steps"][0]["with"] == {"persist-credentials": False}

    def test_history_pages_and_alerts_outlive_a_failing_audit(self):
        steps = self.workflow()["jobs"]["audit"]["steps"]
        after = steps[[step.get("name") for step in steps].index("Audit") + 1 :]
        assert [step["uses"].partition("@")[0] for step in after] == [
            "actions/cache/save", "actions/upload-artifact", "github/codeql-action/upload-sarif"
        ]  # fmt: skip
        assert all("!cancelled()" in step["if"] for step in after)

    def test_history_is_restored_from_the_newest(self):
        restore, save = (s["with"] for s in self.workflow()["jobs"]["audit"]["steps"] if "cache" in s.get("uses", ""))
        assert save["path"] == restore["path"] and save["key"] == restore["key"]
        assert save["key"].startswith(restore["restore-keys"])

    def test_words_are_no_expressions(self):
        folder = self.workflow(HOSTILE)["jobs"]["audit"]["steps"][4]["env"]["RUNS"]
        assert folder.replace("${{ '${{' }}", "${{") == HOSTILE
        assert folder.count("${{") == 2 * HOSTILE.count("${{")
        assert self.workflow("-rf")["jobs"]["audit"]["steps"][4]["env"]["RUNS"] == "./-rf"
        assert self.workflow(at="7:05")[True]["schedule"] == [{"cron": "5 7 * * *"}]

    @pytest.mark.parametrize(("code", "ends"), [(0, 0), (1, 1), (2, 2), (4, 4), (5, 5)])
    def test_its_steps_run(self, tmp_path, code, ends):
        calls = tmp_path / "calls"
        for name in ("curvelab", "pip"):
            stub(tmp_path / "bin", name, f"printf '%s\\0' {name} \"$@\" >> {calls}; echo >> {calls}; [ {name} = pip ] || exit {code}")
        shown = []
        for step in self.workflow()["jobs"]["audit"]["steps"]:
            if "run" in step:
                env = {"PATH": f"{tmp_path}/bin:{os.environ['PATH']}", "RUNS": HOSTILE}
                done = subprocess.run(["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]], env=env, check=False)
                shown.append(done.returncode)
        assert shown == [0, ends]
        assert said(calls) == [
            ["pip", "install", "curvelab"],
            ["curvelab", "audit", HOSTILE, "-o", "reports/audit", "--github", "--sarif", "curvelab.sarif", "--ping", "env:CURVELAB_PING", "--allow-unreadable"],
        ]


class TestCommand:
    """curvelab recipe."""

    @pytest.mark.parametrize(("kind", "words"), [("cron", "flock -n"), ("systemd", "OnCalendar=*-*-* 04:05:00"), ("github", "cron: \"5 4 * * *\"")])
    def test_it_prints_the_recipe(self, kind, words, capsys):
        assert curvelab(["recipe", kind, "--time", "04:05"]) == 0
        out, err = capsys.readouterr()
        assert words in out and "@@" not in out and err == ""

    def test_values_are_filled_in(self, tmp_path, monkeypatch, capsys):
        monkeypatch.chdir(tmp_path)
        assert curvelab(["recipe", "systemd", "--dir", "runs", "--user", "trainer"]) == 0
        out = capsys.readouterr().out
        assert f'audit "{tmp_path}/runs" -o "{tmp_path}/reports/audit"' in out and "User=trainer" in out

    @pytest.mark.parametrize(
        ("arguments", "words"),
        [
            (["launchd"], 'no recipe is called "launchd"'),
            (["corn"], 'did you mean "cron"?'),
            (["cron", "--time", "25:00"], "no time of day"),
            (["cron", "--user", "me; rm -rf /"], "no name of a user"),
            (["cron", "--dir", "a\nb"], "no schedule can hold"),
            (["systemd", "--dir", "a\x1bb"], "no schedule can hold"),
            (["github", "--dir", "a\nb"], "no schedule can hold"),
            (["github", "--user", "me"], "takes --dir and --time only"),
        ],
    )
    def test_wrong_use_is_one_line(self, arguments, words, capsys):
        assert curvelab(["recipe", *arguments]) == 2
        out, err = capsys.readouterr()
        assert out == "" and words in err and err.count("\n") == 1

    @pytest.mark.parametrize("kind", ["cron", "systemd"])
    def test_the_settings_of_this_folder_are_found_from_anywhere(self, kind, tmp_path, monkeypatch, capsys):
        monkeypatch.chdir(tmp_path)
        assert curvelab(["recipe", kind]) == 0
        assert "--config" not in capsys.readouterr().out
        (tmp_path / "pyproject.toml").write_text('[project]\nname = "x"\n')
        assert curvelab(["recipe", kind]) == 0
        assert "--config" not in capsys.readouterr().out
        (tmp_path / "pyproject.toml").write_text('[tool.curvelab.audit]\nhistory = "past/runs.db"\n')
        assert curvelab(["recipe", kind]) == 0
        out = capsys.readouterr().out
        assert f"{tmp_path}/pyproject.toml" in out and f"{tmp_path}/past/runs.db" in out
        (tmp_path / "curvelab.toml").write_text("[audit]\nhistory = 'postgresql://h/d'\n")
        assert curvelab(["recipe", kind]) == 0
        out = capsys.readouterr().out
        assert f"{tmp_path}/curvelab.toml" in out and "--history" not in out
        (tmp_path / "other.toml").write_text("[audit]\njobs = 2\n")
        assert curvelab(["recipe", kind, "--config", "other.toml"]) == 0
        assert f"{tmp_path}/other.toml" in capsys.readouterr().out

    def test_settings_that_the_audit_would_refuse_make_no_recipe(self, tmp_path, monkeypatch, capsys):
        monkeypatch.chdir(tmp_path)
        assert curvelab(["recipe", "cron", "--config", "absent.toml"]) == 2
        assert "absent.toml: no such settings file" in capsys.readouterr().err
        (tmp_path / "curvelab.toml").write_text("[audit]\nhistori = 'x'\n")
        assert curvelab(["recipe", "cron"]) == 2
        assert 'did you mean "history"' in capsys.readouterr().err
