"""Telling people, against receivers on this machine: it arrives, or a masked warning says why not, and nothing is raised."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import threading
import time

import pytest
from receiver import receiving

from curvelab import notify
from curvelab.notify import Failure, ping, send, targets

SECRET = "T0kenThatOpensTheDoor"
WORDS = "# Two new findings\n\n- **run-7** diverged after step 1,200"


def told(urls, **more):
    return send("2 new findings in outputs", WORDS, urls, "critical", **more)


@pytest.fixture
def everything_logged(caplog):
    """What a program that logs everything would have in its log."""
    caplog.set_level(logging.NOTSET)
    return caplog


def test_a_message_arrives_with_title_text_and_kind():
    with receiving(200) as here:
        assert told([f"json://{here.host}/hook"]) == []
    (method, path, body), *others = here.told
    plain = json.loads(body)
    assert (method, path, others) == ("POST", "/hook", [])
    assert plain["title"] == "2 new findings in outputs"
    assert "diverged after step 1,200" in plain["message"]
    assert plain["type"] == "failure"


@pytest.mark.parametrize(("severity", "kind"), [("info", "info"), ("warning", "warning"), ("critical", "failure")])
def test_severity_becomes_the_kind(severity, kind):
    with receiving(200) as here:
        assert send("t", "b", [f"json://{here.host}"], severity) == []
    assert json.loads(here.told[0][2])["type"] == kind


def test_a_refusal_is_a_failure_that_names_the_masked_target(everything_logged, capfd):
    with receiving(500) as here:
        (failure,) = told([f"json://me:{SECRET}@{here.host}/{SECRET}?+X-Auth={SECRET}"])
    assert here.told, "it was not even tried"
    assert failure.target.startswith("json://") and here.host in failure.target
    assert "500" in failure.reason and "\n" not in failure.reason
    assert_hidden(failure, everything_logged, capfd)


@pytest.mark.parametrize("answer", ["close", 302, 404])
def test_other_refusals_are_failures_too(answer):
    with receiving(answer) as here:
        (failure,) = told([f"json://{here.host}"])
    assert failure.reason


def test_nobody_waits_for_a_receiver_that_never_answers():
    with receiving("silence") as silent, receiving(200) as fine:
        begins = time.monotonic()
        (failure,) = told([f"json://{silent.host}/{SECRET}", f"json://{fine.host}"], seconds=1.0)
        assert time.monotonic() - begins < 3
    assert "1 s" in failure.reason and SECRET not in str(failure)
    assert len(fine.told) == 1, "the other target was not told"


def test_a_services_own_patience_is_bounded():
    with receiving("silence") as silent:
        begins = time.monotonic()
        (failure,) = told([f"json://{silent.host}?rto=0.3"])
        assert time.monotonic() - begins < 10
    assert failure.reason


def test_targets_are_told_side_by_side():
    with receiving("silence") as silent:
        begins = time.monotonic()
        failures = told([f"json://{silent.host}/{n}" for n in range(8)], seconds=1.0)
        assert time.monotonic() - begins < 4
    assert len(failures) == 8


@pytest.mark.parametrize(
    "url",
    [
        f"json://127.0.0.1:1/{SECRET}",  # nobody listens
        f"json://no-such-host.invalid/{SECRET}",
        f"slack://{SECRET}",
        f"nosuchservice://{SECRET}@host/{SECRET}",
        f"mailto://me:{SECRET}@",
        f"https://:{SECRET}:bad:port/{SECRET}",
        f"json://[{SECRET}",
        SECRET,
        f"json://me:{SECRET}@127.0.0.1:1/a b/%ff\udcff{SECRET}",
        f"\x1b[31m{SECRET}\n{SECRET}",
        "",
        "://",
    ],
)
def test_a_bad_target_is_a_masked_failure_and_raises_nothing(url, everything_logged, capfd):
    failures = told([url])
    assert len(failures) == (1 if url else 0)
    for failure in failures:
        assert failure.target and failure.reason
        assert_hidden(failure, everything_logged, capfd)


@pytest.mark.parametrize(
    "url",
    [
        f"slack://AAAAAAAAA/BBBBBBBBB/{SECRET}abc/#channel",
        f"mailto://me:{SECRET}@example.org?to=you@example.org",
        f"workflow://prod.example:443/{'a' * 32}/{'c' * 32}/",
        f"tgram://123456789:{SECRET}abcdefghijklmn/12315544/",
        f"discord://4174216298/{SECRET}jHiu9dM2kdwxP/",
        f"json://{SECRET}@localhost/path/{SECRET}?-key={SECRET}",
    ],
)
def test_services_are_shown_without_what_opens_them(url):
    import apprise

    service = apprise.Apprise.instantiate(url)
    assert service is not None
    shown, _ = notify._shown(service, url)
    assert shown.startswith(url.partition("://")[0]) and SECRET not in shown
    for part in ("a" * 12, "b" * 12, "c" * 12):
        assert part not in shown


def test_an_exception_of_a_plugin_is_a_failure(monkeypatch, everything_logged, capfd):
    from apprise.plugins.custom_json import NotifyJSON

    def broken(*_, **__):
        raise RuntimeError(f"could not post to http://host/{SECRET}")

    monkeypatch.setattr(NotifyJSON, "notify", broken)
    (failure,) = told([f"json://host/{SECRET}"])
    assert failure.reason
    assert_hidden(failure, everything_logged, capfd)


def test_even_an_exit_in_a_plugin_is_a_failure(monkeypatch):
    from apprise.plugins.custom_json import NotifyJSON

    monkeypatch.setattr(NotifyJSON, "notify", lambda *_, **__: sys.exit(3))
    (failure,) = told(["json://host"])
    assert failure.reason


def test_apprise_that_is_missing_is_a_failure(monkeypatch):
    monkeypatch.setitem(sys.modules, "apprise", None)
    (failure,) = told([f"slack://{SECRET}"])
    assert failure == Failure(target="slack://****", reason="apprise is not installed (pip install apprise)")


def test_nothing_is_logged_when_all_goes_well(everything_logged, capfd):
    with receiving(200) as here:
        assert told([f"json://me:{SECRET}@{here.host}/{SECRET}"]) == []
    assert_hidden(None, everything_logged, capfd)


def test_others_may_go_on_logging(everything_logged):
    with receiving(500) as here:
        told([f"json://{here.host}"])
    logging.getLogger("apprise").warning("of someone else")
    assert [record.getMessage() for record in everything_logged.records if record.name == "apprise"] == ["of someone else"]


def test_a_message_for_a_small_service_is_cut_and_for_a_large_one_split():
    import apprise

    small = apprise.Apprise.instantiate("bulksms://user:password@+15555555555")
    large = apprise.Apprise.instantiate(f"discord://4174216298/{SECRET}jHiu9dM2kdwxP/")
    own = apprise.Apprise.instantiate(f"discord://4174216298/{SECRET}jHiu9dM2kdwxP/?overflow=upstream")
    for service, query in ((small, ""), (large, ""), (own, "?overflow=upstream")):
        notify._bound(service, f"x://y{query}")
    assert (small.overflow_mode, large.overflow_mode) == ("truncate", "split")
    assert own.overflow_mode == "upstream"


def test_hostile_words_arrive_as_text():
    with receiving(200) as here:
        assert send("a\nb\x1b[31m\udcff" * 200, "x\udcff\x00y", [f"json://{here.host}"], "info") == []
    assert len(json.loads(here.told[0][2])["title"]) <= 250


def test_a_process_that_told_nobody_in_time_can_end():
    code = (
        "from curvelab.notify import send; import sys\n"
        "print(send('t', 'b', [sys.argv[1]], 'info', seconds=0.5)[0].reason)"
    )
    with receiving("silence") as silent:
        done = subprocess.run(  # noqa: PLW1510
            [sys.executable, "-c", code, f"json://{silent.host}?rto=50"], capture_output=True, text=True, timeout=20
        )
    assert (done.returncode, done.stderr) == (0, "")
    assert "0.5 s" in done.stdout


class TestWhere:
    """Whom to tell: flags, then the environment, then the settings."""

    def test_the_first_that_names_someone(self):
        environ = {"CURVELAB_NOTIFY": "json://b\n  json://c json://b"}
        assert targets(["json://a", "json://a"], ["json://d"], environ) == ("json://a",)
        assert targets([], ["json://d"], environ) == ("json://b", "json://c")
        assert targets([], ["json://d"], {}) == ("json://d",)
        assert targets([], [], {}) == ()

    def test_an_empty_variable_is_as_good_as_none(self):
        assert targets([], ["json://d"], {"CURVELAB_NOTIFY": " "}) == ("json://d",)

    @pytest.mark.parametrize("form", ["env:HOOK", "$HOOK", "${HOOK}"])
    def test_a_value_may_name_a_variable(self, form):
        with receiving(200) as here:
            assert told([form], environ={"HOOK": f"json://{here.host}/one json://{here.host}/two"}) == []
        assert sorted(here.paths) == ["/one", "/two"]

    def test_a_variable_that_is_not_there_is_a_failure_and_the_others_are_told(self):
        with receiving(200) as here:
            (failure,) = told(["$HOOK", f"json://{here.host}"], environ={})
        assert str(failure) == "$HOOK: the environment variable HOOK is not set"
        assert len(here.told) == 1

    def test_a_variable_that_is_empty_is_nobody(self):
        assert told(["env:HOOK"], environ={"HOOK": ""}) == []


class TestPing:
    """The dead-man's switch."""

    @pytest.fixture(autouse=True)
    def at_once(self, monkeypatch):
        monkeypatch.setattr(notify, "PING_PAUSE", 0.0)

    @pytest.mark.parametrize(("ok", "path"), [(None, "/id/start"), (True, "/id"), (False, "/id/fail")])
    def test_each_ending_has_its_address(self, ok, path):
        with receiving(200) as here:
            assert ping(f"http://{here.host}/id", ok) is None
            assert ping(f"http://{here.host}/id/?rid=1#part", ok) is None
        assert here.told[0] == ("GET", path, b"")
        assert here.paths == [path, f"{path}?rid=1"]

    @pytest.mark.parametrize("first", [500, "close", 429])
    def test_a_second_try(self, first):
        with receiving(first, 200) as here:
            assert ping(f"http://{here.host}/id", True) is None
        assert len(here.told) == 2

    def test_a_refusal_is_a_masked_failure(self, everything_logged, capfd):
        with receiving(500) as here:
            failure = ping(f"http://{here.host}/{SECRET}", True)
        assert failure is not None and failure.target == f"http://{here.host}/T...r"
        assert "500" in failure.reason
        assert len(here.told) == 2
        assert_hidden(failure, everything_logged, capfd)

    def test_an_address_that_is_not_there_is_not_tried_again(self):
        with receiving(404) as here:
            failure = ping(f"http://{here.host}/id", True)
        assert failure is not None and "404" in failure.reason
        assert len(here.told) == 1

    def test_nobody_waits_for_a_switch_that_never_answers(self, monkeypatch):
        monkeypatch.setattr(notify, "PING_SECONDS", 0.3)
        begins = time.monotonic()
        with receiving("silence") as here:
            failure = ping(f"http://{here.host}/id", True)
        assert failure is not None and time.monotonic() - begins < 5

    @pytest.mark.parametrize(
        "url",
        [f"file:///etc/{SECRET}", f"ftp://host/{SECRET}", f"http:///{SECRET}", SECRET, f"http://[{SECRET}", f"http://h:{SECRET}/",
         f"http://127.0.0.1:1/{SECRET}", f"http://127.0.0.1:1/a b\n{SECRET}", f"http://\udcff/{SECRET}", "http://.../x"],
    )  # fmt: skip
    def test_a_bad_address_is_a_masked_failure(self, url, everything_logged, capfd):
        failure = ping(url, None)
        assert failure is not None and failure.target and failure.reason
        assert_hidden(failure, everything_logged, capfd)

    def test_the_address_may_stand_in_the_environment(self):
        with receiving(200) as here:
            assert ping("env:PING", True, environ={"PING": f"http://{here.host}/id"}) is None
        assert here.paths == ["/id"]
        assert ping("env:PING", True, environ={"PING": ""}) is None
        missing = ping("env:PING", True, environ={})
        assert missing is not None and "PING is not set" in missing.reason


def assert_hidden(failure, caplog, capfd):
    """The secret is in no message, no log, on neither stream, and no failure is more than a line."""
    out, err = capfd.readouterr()
    logged = "".join(record.getMessage() + str(record.exc_info) for record in caplog.records)
    for text in (str(failure), repr(failure), logged, out, err):
        assert SECRET not in text and SECRET.lower() not in text.lower()
        assert "\x1b" not in text
    assert out == "" and err == ""
    assert failure is None or "\n" not in str(failure)
    assert threading.current_thread().is_alive()
