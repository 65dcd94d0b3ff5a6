"""Settings: flags before environment before curvelab.toml or pyproject.toml, and what a wrong key says."""

from __future__ import annotations

from pathlib import Path

import pytest

from curvelab.model.errors import UsageError
from curvelab.user_settings import UserSettings, Wishes, metrics_in, names_in, settle, thresholds_in


def settled(flags: Wishes | None = None, environment: dict[str, str] | None = None) -> UserSettings:
    return settle(flags or Wishes(), None, environment or {}, Path())


def test_defaults():
    settings = settled()
    assert (settings.format, settings.output, settings.fail_on) == ("html", None, "never")
    assert settings.options.select == settings.options.ignore == ()


def test_flags_go_before_environment_before_file(tmp_path):
    Path("curvelab.toml").write_text(
        'format = "md"\nfail-on = "info"\nselect = "spikes,plateau"\nignore = ["sawtooth"]\n'
    )
    assert settled().format == "md"
    assert settled().options.select == ("spikes", "plateau")
    environment = {"CURVELAB_FORMAT": "text", "CURVELAB_SELECT": "plateau", "CURVELAB_IGNORE": ""}
    assert settled(None, environment).format == "text"
    assert settled(None, environment).options.select == ("plateau",)
    assert settled(None, environment).options.ignore == ("sawtooth",)
    flags = Wishes(format="json", select=("overfitting",))
    assert settled(flags, environment).format == "json"
    assert settled(flags, environment).options.select == ("overfitting",)
    assert settled(flags, environment).fail_on == "info"


def test_thresholds_and_metrics_of_all_places_are_put_together():
    Path("curvelab.toml").write_text(
        '[thresholds.clip-saturation]\nshare = 0.9\ntolerance = 0\n[metrics]\n"Valid MSE" = "eval/loss"\na = "b"\n'
    )
    flags = Wishes(thresholds={"clip-saturation": {"share": 0.5}}, metrics={"a": "c"})
    settings = settled(flags)
    assert settings.options.thresholds == {"clip-saturation": {"share": 0.5, "tolerance": 0.0}}
    assert settings.metrics == {"Valid MSE": "eval/loss", "a": "c"}


def test_pyproject_is_read_when_there_is_no_curvelab_toml():
    Path("pyproject.toml").write_text('[tool.other]\nx = 1\n[tool.curvelab]\nformat = "text"\n')
    assert settled().format == "text"
    Path("curvelab.toml").write_text('format = "md"\n')
    assert settled().format == "md"


def test_config_file_by_flag_and_by_environment():
    Path("mine.toml").write_text('format = "text"\n')
    Path("curvelab.toml").write_text('format = "md"\n')
    assert settled(None, {"CURVELAB_CONFIG": "mine.toml"}).format == "text"
    assert settle(Wishes(), Path("curvelab.toml"), {"CURVELAB_CONFIG": "mine.toml"}, Path()).format == "md"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('formt = "text"', 'no setting is called "formt"; did you mean "format"?'),
        ('format = "htm"', 'did you mean "html"?'),
        ('fail-on = "worning"', 'did you mean "warning"?'),
        ("format = 3", "format takes a text"),
        ("select = 3", "select takes a list"),
        ("select = [3]", "select takes a list"),
        ("thresholds = 3", "thresholds takes tables"),
        ("thresholds.share = 0.5", "thresholds takes tables"),
        ('thresholds.spikes.height = "x"', "thresholds.spikes.height takes a number"),
        ("thresholds.spikes.height = true", "thresholds.spikes.height takes a number"),
        ("metrics.a = 3", "metrics takes a table of texts"),
        ("format = ", "cannot be read"),
    ],
)
def test_wrong_file_says_which_and_what(text, words):
    Path("curvelab.toml").write_text(text)
    with pytest.raises(UsageError) as caught:
        settled()
    assert str(caught.value).startswith("curvelab.toml: ")
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('select = ["non-finit"]', 'did you mean "non-finite"?'),
        ("thresholds.clip-saturatio.share = 1", 'did you mean "clip-saturation"?'),
        ("thresholds.clip-saturation.shar = 1", 'did you mean "share"?'),
        ("thresholds.clip-saturation.share = 100", "out of bounds"),
    ],
)
def test_wrong_pattern_in_a_file_names_the_file(call, state, text, words):
    Path("curvelab.toml").write_text(text)
    answer = call("postmortem", "--format", "json", state)
    assert answer.code == 2
    assert answer.err.startswith("curvelab: curvelab.toml: ")
    assert words in answer.err


def test_wrong_environment_is_named(call, state, monkeypatch):
    monkeypatch.setenv("CURVELAB_SELECT", "nope")
    answer = call("postmortem", "--format", "json", state)
    assert answer.code == 2
    assert answer.err.startswith("curvelab: environment: ")


def test_output_of_a_file_goes_with_its_format(call, state, tmp_path):
    Path("curvelab.toml").write_text('output = "site"\n')
    assert call("postmortem", "--format", "json", state).json()["runs"]
    assert not (tmp_path / "site").exists()
    assert call("postmortem", "--format", "html", state).code == 0
    assert (tmp_path / "site" / "run.html").is_file()
    Path("curvelab.toml").write_text('format = "text"\noutput = "verdict.txt"\n')
    assert call("postmortem", state).out == ""
    assert (tmp_path / "verdict.txt").is_file()


def test_fail_on_from_the_environment(call, broken, monkeypatch):
    monkeypatch.setenv("CURVELAB_FAIL_ON", "critical")
    assert call("postmortem", "--format", "json", broken).code == 1
    assert call("postmortem", "--format", "json", "--fail-on", "never", broken).code == 0


def test_metrics_of_a_file_are_used(call, write_state):
    state = write_state(log=[{"my_score": 3.0 - 0.01 * i, "step": i} for i in range(1, 40)])
    Path("curvelab.toml").write_text('[metrics]\nmy_score = "train/loss"\nabsent = "eval/loss"\n')
    answer = call("inspect", "--format", "json", state)
    assert answer.json()["runs"][0]["metrics"] == {"train/loss": 39}
    assert answer.err == ""


def test_words():
    assert names_in(None) is None
    assert names_in(["a, b", "b,c,"]) == ("a", "b", "c")
    assert thresholds_in(["a.b=1", "a.c=2e-1", "x.y.z=3"]) == {"a": {"b": 1.0, "c": 0.2}, "x.y": {"z": 3.0}}
    assert metrics_in(["a=b=eval/loss"]) == {"a=b": "eval/loss"}
