"""compare: formats, exit codes, where the result goes, and what a post-mortem of several runs says of it."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from curvelab.model.comparison import Comparison

COMPARISON_KEYS = {
    "sentence", "caveats", "axis", "ranking", "rows", "groups", "differences", "also_differ", "partings", "effects",
    "associations", "baseline", "aligned",
}  # fmt: skip


def falling(floor: float) -> list[dict[str, float]]:
    """A loss that falls to `floor`, with evals."""
    history = []
    for i in range(1, 61):
        step, loss = 5 * i, floor + 1.5 * math.exp(-i / 12) + 0.01 * (i % 3)
        history.append({"loss": loss, "grad_norm": 0.5, "learning_rate": 1e-4, "step": step, "epoch": i / 30})
        if i % 6 == 0:
            history.append({"eval_loss": floor + 1.5 * math.exp(-i / 12) + 0.1, "step": step, "epoch": i / 30})
    return history


@pytest.fixture
def pair(write_state) -> tuple[Path, Path]:
    """A good run and a worse one."""
    fields = {"max_steps": 300, "global_step": 300, "train_batch_size": 8}
    return write_state("good", falling(1.5), **fields), write_state("worse", falling(2.0), **fields)


def test_json_is_the_contract_of_a_postmortem_with_the_comparison(call, pair):
    answer = call("compare", "--format", "json", *pair)
    assert (answer.code, answer.err) == (0, "")
    told = answer.json()
    assert list(told) == ["schema", "curvelab", "runs", "errors", "comparison"]
    assert set(told["comparison"]) == COMPARISON_KEYS
    assert [row["name"] for row in told["comparison"]["rows"]] == ["good", "worse"]
    assert [run["verdict"] for run in told["runs"]] == ["healthy", "healthy"]
    assert "train/loss" in told["runs"][0]["series"]
    assert Comparison.from_dict(told).sentence.startswith("good is the best of 2")


def test_the_page_goes_to_reports_with_a_summary(call, pair, tmp_path):
    answer = call("compare", *pair)
    assert answer.code == 0
    assert "good is the best of 2" in answer.out
    assert answer.out.rstrip().endswith("-> reports/compare.html")
    assert "good is the best" in (tmp_path / "reports" / "compare.html").read_text()


def test_the_page_may_have_a_name_or_a_folder_of_its_own(call, pair, tmp_path):
    assert call("compare", *pair, "-o", "two.html").code == 0
    assert call("compare", *pair, "-o", "out").code == 0
    assert (tmp_path / "two.html").is_file()
    assert (tmp_path / "out" / "compare.html").is_file()


@pytest.mark.parametrize("format_", ["text", "md"])
def test_text_and_markdown_have_the_answer_the_table_and_what_differs(call, pair, format_):
    answer = call("compare", "--format", format_, *pair)
    assert answer.code == 0
    assert "good is the best of 2, one seed each: eval/loss 1.6" in answer.out
    assert "Best eval loss" in answer.out
    assert "Where they part" in answer.out
    call("compare", "--format", format_, *pair, "-o", "told")
    assert Path("told").read_text() == answer.out


def test_a_narrow_terminal_gets_what_matters_most(call, pair, monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    answer = call("compare", "--format", "text", *pair)
    assert max(map(len, answer.out.splitlines())) <= 60
    assert "Perplexity" not in answer.out
    assert "Verdict" in answer.out


def test_a_regression_against_the_baseline_fails_on_demand(call, pair):
    assert call("compare", "--format", "md", *pair, "--baseline", "good", "--fail-on", "regression").code == 1
    assert call("compare", "--format", "md", *pair, "--baseline", str(pair[1]), "--fail-on", "regression").code == 0
    assert call("compare", "--format", "md", *pair, "--baseline", "good").code == 0
    missing = call("compare", *pair, "--fail-on", "regression")
    assert (missing.code, "--baseline RUN" in missing.err) == (2, True)


def test_a_baseline_that_cannot_be_held_against_is_not_passed_over_in_silence(call, write_state):
    few = write_state("few", falling(1.5)[:7], max_steps=35, global_step=35)
    other = write_state("other", falling(1.6), max_steps=300, global_step=300)
    answer = call("compare", "--format", "md", few, other, "--baseline", "few", "--fail-on", "regression")
    assert answer.code == 1
    assert "the baseline cannot be judged (few: logged eval/loss too seldom)" in answer.err


def test_fail_on_a_severity_looks_at_the_findings(call, pair, broken):
    assert call("compare", "--format", "md", *pair, "--fail-on", "warning").code == 0
    assert call("compare", "--format", "md", pair[0], broken, "--fail-on", "critical").code == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--align", "stepp"], 'did you mean "step"'),
        (["--rank-by", "eval/los"], 'did you mean "eval/loss"'),
        (["--goal", "less"], "--goal takes min or max"),
        (["--baseline", "goood"], 'did you mean "good"'),
        (["--fail-on", "regresion"], 'did you mean "regression"'),
        (["--select", "spike"], 'did you mean "spikes"'),
    ],
)
def test_wrong_words_are_told_with_the_nearest_right_one(call, pair, words, message):
    answer = call("compare", *pair, *words)
    assert answer.code == 2
    assert message in answer.err
    assert not Path("reports").exists()


def test_one_run_is_wrong_use_and_none_is_nothing_readable(call, pair, tmp_path):
    assert call("compare", pair[0]).code == 2
    assert call("compare", tmp_path / "absent").code == 4
    answer = call("compare", "--format", "json", tmp_path / "absent")
    assert (answer.code, answer.json()["runs"]) == (4, [])


def test_what_cannot_be_read_stops_no_other(call, pair, tmp_path):
    bad = tmp_path / "bad" / "trainer_state.json"
    bad.parent.mkdir()
    bad.write_text("no json")
    answer = call("compare", "--format", "json", *pair, bad)
    assert answer.code == 3
    assert len(answer.json()["errors"]) == 1
    assert json.loads(answer.out)["comparison"]["rows"]


def test_a_postmortem_of_several_runs_names_this_command_once(call, pair):
    assert "curvelab compare" in call("postmortem", *pair).err
    assert "curvelab compare" not in call("postmortem", pair[0]).err
    assert call("postmortem", "--format", "json", *pair).err == ""


def test_a_gate_that_can_judge_no_run_is_closed(call, write_state):
    good = write_state("good", falling(1.5), max_steps=300, global_step=300)
    few = [write_state(name, falling(1.5)[:7], max_steps=35, global_step=35) for name in ("few", "fewer")]
    answer = call("compare", "--format", "md", good, *few, "--baseline", "good", "--fail-on", "regression")
    assert answer.code == 1
    assert "no run can be judged (few and fewer:" in answer.err
    assert "nothing was checked" in answer.err


def test_a_gate_names_the_runs_that_it_cannot_judge(call, pair, write_state):
    few = write_state("few", falling(1.5)[:7], max_steps=35, global_step=35)
    answer = call("compare", "--format", "md", *pair, few, "--baseline", "worse", "--fail-on", "regression")
    assert answer.code == 0
    assert "1 of 2 cannot be judged (few)" in answer.err


def test_the_options_may_stand_in_the_settings_file(call, pair, tmp_path):
    (tmp_path / "curvelab.toml").write_text('[compare]\nrank-by = "train/loss"\nalign = "epoch"\nbaseline = "good"\n')
    told = call("compare", "--format", "json", *pair).json()["comparison"]
    assert (told["ranking"]["metric"], told["axis"]["name"], told["baseline"]["name"]) == ("train/loss", "epoch", "good")
    told = call("compare", "--format", "json", *pair, "--align", "step").json()["comparison"]
    assert told["axis"]["name"] == "step"
    assert call("compare", "--format", "md", *pair, "--fail-on", "regression").code == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[compare]\nrank_by = "eval/loss"', 'compare has no setting "rank_by"; did you mean "rank-by"'),
        ("[compare]\nbaseline = 3", "compare.baseline takes a text, not 3"),
        ('compare = "main"', "compare takes a table"),
        ('[compare]\nalign = "stepp"', 'did you mean "step"'),
    ],
)
def test_wrong_options_in_the_settings_file_are_errors(call, pair, tmp_path, text, message):
    (tmp_path / "curvelab.toml").write_text(text)
    answer = call("compare", *pair)
    assert answer.code == 2
    assert message in answer.err


def test_a_damaged_log_without_a_number_is_an_unreadable_input(call, pair, tmp_path):
    bad = tmp_path / "bad" / "trainer_state.json"
    bad.parent.mkdir()
    bad.write_text('{"log_history": [{"step":1,"lo')
    answer = call("compare", "--format", "json", *pair, bad.parent)
    told = answer.json()
    assert (answer.code, len(told["runs"]), len(told["errors"])) == (3, 2, 1)
    alone = call("compare", "--format", "json", pair[0], bad.parent)
    assert (alone.code, alone.json()["comparison"], len(alone.json()["errors"])) == (3, None, 1)
    assert "only good could be read" in alone.err


def test_one_run_and_a_missing_path_are_no_wrong_use(call, pair, tmp_path):
    answer = call("compare", "--format", "text", pair[0], tmp_path / "nowhere")
    assert (answer.code, answer.out) == (3, "")
