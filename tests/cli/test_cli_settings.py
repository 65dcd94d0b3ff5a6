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
        ("gpus = 0", "gpus takes a whole number from 1 to 1,000,000, not 0"),
        ("gpus = 2.5", "gpus takes a whole number"),
        ("gpus = true", "gpus takes a whole number"),
        ('gpu-price = "2"', "gpu-price takes a number above 0, up to 1,000,000, not '2'"),
        ("gpu-price = nan", "gpu-price takes a number above 0"),
        ("patience = -1", "patience takes a whole number"),
        ("min-gain = -0.1", "min-gain takes a number from 0 to 1,000,000"),
        ("gpu_price = 2", 'did you mean "gpu-price"?'),
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


def test_numbers_of_all_places():
    assert (settled().options.gpus, settled().options.patience, settled().options.min_gain) == (None, 3, 0.001)
    Path("curvelab.toml").write_text("gpus = 4\ngpu-price = 2\npatience = 5\nmin-gain = 0\n")
    options = settled(None, {"CURVELAB_GPUS": "8", "CURVELAB_GPU_PRICE": "2.5"}).options
    assert (options.gpus, options.gpu_price, options.patience, options.min_gain) == (8, 2.5, 5, 0)
    options = settled(Wishes(gpus=1, gpu_price=9.0), {"CURVELAB_GPUS": "8"}).options
    assert (options.gpus, options.gpu_price) == (1, 9.0)


@pytest.mark.parametrize(("name", "word"), [("GPUS", "two"), ("GPUS", "2.5"), ("GPU_PRICE", "inf"), ("GPU_PRICE", "-1")])
def test_wrong_numbers_in_the_environment(name, word):
    with pytest.raises(UsageError, match=rf"^environment: {name.lower().replace('_', '-')} takes a .*, not "):
        settled(None, {f"CURVELAB_{name}": word})


@pytest.mark.parametrize("flags", [["--gpus", "0"], ["--gpu-price", "nan"], ["--patience", "0"], ["--min-gain", "-1"]])
def test_wrong_numbers_as_flags(call, state, flags):
    answer = call("postmortem", "--format", "json", *flags, state)
    assert (answer.code, answer.out) == (2, "")
    assert answer.err.startswith(f"curvelab: {flags[0]} takes a ")


def test_the_price_of_a_broken_run(call, write_state):
    log = [{"loss": float("nan") if i > 20 else 3.0 - i / 20, "step": 5 * i} for i in range(1, 41)]
    state = write_state("dear", log=[*log, {"train_runtime": 7200.0, "step": 200}])
    waste = call("postmortem", "--format", "json", "--gpus", "4", "--gpu-price", "2", state).json()["runs"][0]["wasted"]
    assert (waste["since_step"], waste["steps"], waste["seconds"], waste["seconds_from"]) == (105, 95, 3420.0, "train_runtime")
    assert (waste["gpus"], waste["gpus_from"], waste["gpu_hours"], waste["money"]) == (4, "--gpus", 3.8, 7.6)
    shown = call("postmortem", "--format", "text", "--gpus", "4", "--gpu-price", "2", state).out
    told = "57 min, 3.8 GPU-hours, a cost of 7.60 after step 105 (non-finite); 4 GPUs at 2.00 an hour (--gpus)"
    assert told in " ".join(shown.split())
