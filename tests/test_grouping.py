"""Which logs are one run: by their place, and by the values that they hold at the same steps."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from events import write_events
from states import SAMPLES, state_of

from curvelab import grouping
from curvelab.ingest import discover, load
from curvelab.model.log import Log, RawSeries

ARGS = {"output_dir": "out/run", "learning_rate": 1e-4, "seed": 1, "max_steps": 2000}


def falling(steps, *, start: float = 3.0, rate: float = 0.995, tag: str = "train/loss"):
    return [(step, {tag: start * rate**step + 1}) for step in steps]


def written(path: Path, state: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(state))


def noisy(count: int, seed: int) -> list[float]:
    return (3 * 0.98 ** np.arange(count) + np.random.default_rng(seed).normal(0, 0.05, count)).round(4).tolist()


# Where a file lives


@pytest.mark.parametrize("parent", ["runs", "logs", "tb"])
def test_a_parent_folder_named_like_an_event_root_splits_no_training(tmp_path, parent):
    shutil.copytree(SAMPLES / "overfitting", tmp_path / parent / "myrun")
    run = load(tmp_path)
    assert (run.name, run.path) == ("myrun", str(tmp_path / parent / "myrun"))
    assert set(run.format.split("+")) == {"trainer-state", "tensorboard", "wandb-file"}


def test_every_training_of_the_corpus_is_one_run_from_one_level_above(corpus):
    runs = discover(corpus / "trained")
    folders = {str(path) for path in (corpus / "trained" / "runs").iterdir() if path.is_dir()}
    assert {run.path for run in runs} == folders
    assert len(runs) == len({run.id for run in runs}) == len(folders)


def test_an_event_file_beside_the_state_of_its_run_stays_there(write_state, tmp_path):
    folder = write_state("runs/a", losses=noisy(20, 1)).parent
    write_events(folder, [(10 * (i + 1), {"train/loss": loss}) for i, loss in enumerate(noisy(20, 1))])
    write_state("runs/b", losses=noisy(20, 2))
    assert [(run.name, run.format) for run in discover(tmp_path)] == [
        ("a", "trainer-state+tensorboard"),
        ("b", "trainer-state"),
    ]


def test_the_logs_of_a_policy_without_a_signal_are_one_run(tmp_path):
    """Its loss and its norms are zero in every log; its entropy is not."""
    rows = [
        (10 * i, {"loss": 0.0, "grad_norm": 0.0, "entropy": value}) for i, value in enumerate(noisy(20, 3), start=1)
    ]
    state = state_of([0.0] * 20) | {"log_history": [{"step": step, "epoch": 0.1, **row} for step, row in rows]}
    written(tmp_path / "trainer_state.json", state)
    write_events(tmp_path / "runs" / "a", [(step, {f"train/{k}": v for k, v in row.items()}) for step, row in rows])
    assert [run.format for run in discover(tmp_path)] == ["trainer-state+tensorboard"]


def test_event_files_straight_in_a_logging_folder_belong_to_the_run_above(write_state, tmp_path):
    folder = write_state("a", losses=noisy(20, 1)).parent
    write_events(folder / "logs", [(10 * (i + 1), {"train/loss": loss}) for i, loss in enumerate(noisy(20, 1))])
    assert [run.format for run in discover(tmp_path)] == ["trainer-state+tensorboard"]


def test_paths_and_ids_are_unique_where_several_files_make_one_run_beside_another(tmp_path):
    write_events(tmp_path / "runs" / "a", falling(range(10, 600, 10)), args=ARGS)
    write_events(tmp_path / "runs" / "a2", falling(range(510, 1000, 10)), start=1.8e9, args=ARGS)
    write_events(tmp_path / "runs" / "b", falling(range(10, 600, 10), rate=0.99), args={**ARGS, "seed": 2})
    runs = discover(tmp_path)
    assert sorted(run.points for run in runs) == [59, 99]
    assert len({run.path for run in runs}) == len({run.id for run in runs}) == len({run.name for run in runs}) == 2


def test_copies_of_one_wandb_run_have_ids_of_their_own(tmp_path):
    for name in ("one", "two"):
        shutil.copytree(SAMPLES / "overfitting", tmp_path / name)
    runs = discover(tmp_path)
    assert len(runs) == len({run.id for run in runs}) == 2


# States


def test_a_checkpoint_of_an_earlier_run_is_a_run_of_its_own(tmp_path):
    written(tmp_path / "run" / "checkpoint-2000" / "trainer_state.json", state_of(noisy(200, 1), finished=False))
    written(tmp_path / "run" / "trainer_state.json", state_of(noisy(60, 2)))
    assert [(run.name, run.points, run.state, run.planned_steps) for run in discover(tmp_path)] == [
        ("run", 60, "finished", 600),
        ("run/checkpoint-2000", 200, "finished", 2000),
    ]


def test_states_side_by_side_are_named_by_their_files(tmp_path):
    written(tmp_path / "run" / "trainer_state_a.json", state_of(noisy(60, 1)))
    written(tmp_path / "run" / "trainer_state_b.json", state_of(noisy(80, 2)))
    assert [(run.name, run.points) for run in discover(tmp_path)] == [
        ("run/trainer_state_a", 60),
        ("run/trainer_state_b", 80),
    ]


def test_a_resumed_run_that_did_some_steps_again_is_one_run(tmp_path):
    """checkpoint-500 is of the first attempt, which was resumed from checkpoint-300."""
    first = noisy(50, 1)
    then = first[:30] + noisy(70, 2)[30:]
    for n, losses in ((300, first[:30]), (500, first), (700, then)):
        path = tmp_path / "run" / f"checkpoint-{n}" / "trainer_state.json"
        written(path, state_of(losses, finished=False, max_steps=900))
    run = load(tmp_path)
    assert run.points == 70
    assert run.curve("train/loss").value[-1] == then[-1]
    (note,) = run.notes
    assert note.text.startswith("20 values are of an attempt before")
    assert note.file is not None and "checkpoint-500" in note.file


def test_a_state_without_entries_is_no_run(tmp_path):
    written(tmp_path / "run" / "checkpoint-1" / "trainer_state.json", state_of([], finished=False, max_steps=600))
    written(tmp_path / "run" / "trainer_state.json", state_of(noisy(60, 2)))
    assert [run.points for run in discover(tmp_path)] == [60]


# Experiments side by side, and runs that were resumed


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (range(301), range(10, 301, 10)),
        (range(101), range(1, 101)),
        (range(10, 3001, 10), range(50, 3001, 10)),
        (range(49, 5000, 50), range(99, 5100, 50)),
    ],
)
def test_experiments_without_settings_stay_apart(tmp_path, one, other):
    write_events(tmp_path / "logs" / "lr1e-4", falling(one))
    write_events(tmp_path / "logs" / "lr1e-3", falling(other, start=2.0, rate=0.98), start=1.8e9)
    assert [(run.name, run.points) for run in discover(tmp_path)] == [("lr1e-3", len(other)), ("lr1e-4", len(one))]


def test_three_experiments_are_not_chained_together(tmp_path):
    for i, name in enumerate("abc"):
        write_events(tmp_path / "runs" / name, falling(range(i, 301), start=2.0 + i), start=1.7e9 + 1000 * i)
    assert [run.name for run in discover(tmp_path)] == ["a", "b", "c"]


@pytest.mark.parametrize("args", [None, ARGS])
@pytest.mark.parametrize("again", [510, 600, 650])
def test_a_resumed_run_is_one_run(tmp_path, args, again):
    """Killed at 590; steps since the checkpoint are done again with other values, or the next log comes late."""
    write_events(tmp_path / "runs" / "first", falling(range(10, 600, 10)), args=args)
    write_events(tmp_path / "runs" / "second", falling(range(again, 1001, 10), start=3.1), start=1.8e9, args=args)
    run = load(tmp_path)
    assert run.last_step == 1000
    assert len(run.curve("train/loss")) == run.points
    assert [(seam.step, seam.reached) for seam in run.seams] == ([(510, 590)] if again == 510 else [])


def test_the_state_of_a_run_ties_its_attempts(tmp_path):
    """Without settings in the event files nothing but the state says that they are one run."""
    losses = noisy(100, 1)
    rows = [(10 * (i + 1), {"train/loss": loss}) for i, loss in enumerate(losses)]
    again = [(step, {"train/loss": values["train/loss"] + 0.25}) for step, values in rows[:60]]
    write_events(tmp_path / "runs" / "first", [*rows[:10], *again[10:60]])
    write_events(tmp_path / "runs" / "second", rows[10:], start=1.8e9)
    written(tmp_path / "trainer_state.json", state_of(losses))
    assert [run.points for run in discover(tmp_path)] == [100]


def table(path: Path, rows, head: str = "step,loss") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{head}\n" + "".join(",".join(map(str, row)) + "\n" for row in rows))


def curve(steps, level: float, slope: float, seed: int):
    noise = np.random.default_rng(seed).uniform(0, 0.11, len(steps))
    return [(step, level - slope * step + one) for step, one in zip(steps, noise, strict=True)]


def test_logs_that_disagree_over_much_of_their_steps_are_two_runs(tmp_path):
    table(tmp_path / "baseline.csv", curve(range(10, 1001, 10), 3.0, 5e-4, 1))
    table(tmp_path / "lr_x10.csv", curve(range(610, 1601, 10), 2.6, 3e-4, 2))
    assert [(run.name, run.points, run.seams) for run in discover(tmp_path)] == [("baseline", 100, ()), ("lr_x10", 100, ())]


def test_two_seeds_whose_logs_begin_late_are_two_runs(tmp_path):
    """Of one level, as far as noise lets see."""
    table(tmp_path / "seed1.csv", curve(range(1000, 9001, 100), 0.5, 0.0, 1))
    table(tmp_path / "seed2.csv", curve(range(5200, 13001, 100), 0.5, 0.0, 2))
    assert [run.name for run in discover(tmp_path)] == ["seed1", "seed2"]


def test_a_log_that_begins_at_another_level_is_a_run_of_its_own(tmp_path):
    for name, steps, level, slope in (("expA", range(10, 1001, 10), 3.0, 5e-4), ("expB", range(900, 5001, 10), 1.0, 1e-4)):
        rows = [(step, {"train/loss": value}) for step, value in curve(steps, level, slope, len(steps))]
        write_events(tmp_path / "runs" / name, rows, start=1.7e9 + len(steps))
    assert [(run.name, run.seams) for run in discover(tmp_path)] == [("expA", ()), ("expB", ())]


def test_a_log_that_several_others_end_before_goes_on_from_none(tmp_path):
    for seed, steps in enumerate((range(0, 410, 10), range(20, 410, 10), range(400, 810, 10))):
        table(tmp_path / f"run{seed}.csv", curve(steps, 0.5, 0.0, seed))
    assert [(run.name, run.seams) for run in discover(tmp_path)] == [("run0", ()), ("run1", ()), ("run2", ())]


def test_of_two_logs_that_go_on_from_one_the_second_is_a_run_of_its_own(tmp_path):
    for seed, steps in enumerate((range(0, 410, 10), range(400, 810, 10), range(410, 810, 10))):
        table(tmp_path / f"run{seed}.csv", curve(steps, 0.5, 0.0, seed))
    assert sorted(run.points for run in discover(tmp_path)) == [40, 81]


@pytest.mark.parametrize("few", [0, 100])
def test_the_index_of_a_full_folder_finds_what_comparing_all_finds(tmp_path, monkeypatch, few):
    monkeypatch.setattr(grouping, "_FEW", few)
    losses = noisy(100, 1)
    rows = [(10 * (i + 1), {"train/loss": loss}) for i, loss in enumerate(losses)]
    write_events(tmp_path / "runs" / "first", rows[:60])
    write_events(tmp_path / "runs" / "second", [(s, {"train/loss": v["train/loss"] + 0.01}) for s, v in rows[55:]], start=1.8e9)
    written(tmp_path / "trainer_state.json", state_of(losses[:60], finished=False))
    for seed in (2, 3):
        write_events(tmp_path / "runs" / f"other{seed}", [(s, {"train/loss": 9.0 + seed}) for s, _ in rows], start=1.9e9 + seed)
    assert sorted(run.points for run in discover(tmp_path)) == [100, 100, 100]


def test_a_folder_of_many_runs_compares_few_pairs(monkeypatch):
    logs = [
        Log(Path(f"/p/{i}.csv"), "csv-table", (RawSeries("loss", np.arange(9), np.random.default_rng(i).random(9), np.arange(9)),))
        for i in range(300)
    ]
    compared = []
    monkeypatch.setattr(grouping, "same_training", lambda one, other: compared.append((one, other)))
    assert len(grouping.group(logs, Path("/p"))) == 300
    assert len(compared) < 300


# Lightning's versions


def lightning(folder: Path, steps: range, epoch: int, *, settings: str = "lr: 0.01\n", level: float = 2.0) -> None:
    rows = [(epoch + i // 10, step, level - step / 200) for i, step in enumerate(steps)]
    table(folder / "metrics.csv", rows, "epoch,step,train_loss")
    (folder / "hparams.yaml").write_text(settings)


def test_a_version_that_goes_on_from_another_one_is_one_run_with_a_seam(tmp_path):
    lightning(tmp_path / "version_0", range(1, 60, 2), 0)
    lightning(tmp_path / "version_1", range(61, 120, 2), 3)
    run = load(tmp_path)
    assert (run.name, run.points, run.last_step) == ("version_0", 60, 119)
    assert [(seam.step, seam.reached) for seam in run.seams] == [(61, 59)]
    assert any(note.text.startswith("goes on from version_0") for note in run.notes)


def test_versions_are_counted_not_spelt(tmp_path):
    for number, first in ((9, 1), (10, 61), (11, 121)):
        lightning(tmp_path / f"version_{number}", range(first, first + 59, 2), first // 20)
    run = load(tmp_path)
    assert [(seam.step, seam.reached) for seam in run.seams] == [(61, 59), (121, 119)]


def test_the_event_files_of_a_resumed_version_have_one_seam(tmp_path):
    for folder, steps, start in (("version_0", range(60), 1.7e9), ("version_1", range(60, 90), 1.8e9),
                                 ("version_1", range(90, 120), 1.9e9)):  # fmt: skip
        write_events(tmp_path / "lightning_logs" / folder, [(s, {"train_loss": 2 - s / 200}) for s in steps], start=start)
    assert [(seam.step, seam.reached) for seam in load(tmp_path).seams] == [(60, 59)]


def test_a_version_resumed_from_before_the_end_overrules_that_end(tmp_path):
    lightning(tmp_path / "version_0", range(1, 60, 2), 0)
    lightning(tmp_path / "version_1", range(51, 120, 2), 2)
    run = load(tmp_path)
    assert [(seam.step, seam.reached) for seam in run.seams] == [(51, 59)]
    assert run.points == 60


def test_fresh_versions_stay_apart(tmp_path):
    for i in range(3):
        lightning(tmp_path / f"version_{i}", range(1, 60 + 40 * i, 2), 0)
    assert [run.name for run in discover(tmp_path)] == ["version_0", "version_1", "version_2"]


@pytest.mark.parametrize("other", [{"settings": "lr: 0.5\n"}, {}])
def test_a_version_that_may_go_on_from_another_one_says_so(tmp_path, other):
    """Its settings differ, or two versions end where it begins."""
    lightning(tmp_path / "version_0", range(1, 60, 2), 0)
    if not other:
        lightning(tmp_path / "version_1", range(1, 60, 2), 0)
    lightning(tmp_path / "version_2", range(61, 120, 2), 3, **other)
    *_, last = discover(tmp_path)
    assert (last.name, last.first_step) == ("version_2", 61)
    assert any("seems to go on from version_0" in note.text for note in last.notes)


def test_a_version_with_another_loss_does_not_go_on(tmp_path):
    lightning(tmp_path / "version_0", range(1, 60, 2), 0)
    lightning(tmp_path / "version_1", range(61, 120, 2), 3, level=9.0)
    assert [len(run.notes) for run in discover(tmp_path)] == [0, 0]


# Logs of one training in several places


def two_loggers(tmp_path, name: str, seed: int, began: float = 1.7e9) -> None:
    """A run as the Trainer leaves it: outputs/<name> with its state, an event file far from it."""
    losses = noisy(30, seed)
    written(tmp_path / "outputs" / name / "trainer_state.json", state_of(losses))
    write_events(tmp_path / "tb" / f"x{seed}", [(10 * (i + 1), {"train/loss": v}) for i, v in enumerate(losses)])


def test_an_output_folder_and_a_tensorboard_folder_beside_it_hold_one_run_each(tmp_path):
    for name, seed in (("a", 1), ("b", 2), ("c", 3)):
        two_loggers(tmp_path, name, seed)
    found = [(run.name, run.format) for run in discover(tmp_path)]
    assert found == [(name, "trainer-state+tensorboard") for name in "abc"]


def test_a_copy_of_a_run_stays_a_run_and_its_other_log_goes_to_the_first(tmp_path):
    two_loggers(tmp_path, "a", 1)
    shutil.copytree(tmp_path / "outputs" / "a", tmp_path / "outputs" / "a-copy")
    found = [(run.name, run.format) for run in discover(tmp_path)]
    assert found == [("a", "trainer-state+tensorboard"), ("a-copy", "trainer-state")]


def test_one_training_done_twice_is_told_apart_by_its_times(tmp_path):
    """The same settings and seed give the same values; the clock tells which logs were written together."""
    losses = noisy(30, 1)
    for name, began in (("first", 1.7e9), ("second", 1.7e9 + 7200)):
        rows = [(10 * (i + 1), {"train/loss": v}) for i, v in enumerate(losses)]
        write_events(tmp_path / name, rows, start=began)
    lines = [json.dumps({"step": 10 * (i + 1), "train/loss": v, "_timestamp": 1.7e9 + 7200 + i}) for i, v in enumerate(losses)]
    (tmp_path / "exported").mkdir()
    (tmp_path / "exported" / "wandb-history.jsonl").write_text("\n".join(lines))
    formats = {Path(run.path).name: run.format for run in discover(tmp_path)}
    assert "+" not in formats["first"]
    assert "+" in formats["second"]


def test_a_file_is_named_after_itself_unless_its_name_says_nothing(tmp_path):
    for name in ("baseline", "big-lr", "metrics"):
        rows = "\n".join(f"{10 * i},{2 - 0.01 * i}" for i in range(1, 40))
        (tmp_path / f"{name}.csv").write_text(f"step,train/loss\n{rows}\n")
    names = [load(tmp_path / f"{name}.csv").name for name in ("baseline", "big-lr", "metrics")]
    assert names == ["baseline", "big-lr", tmp_path.name]
    assert sorted(run.name for run in discover(tmp_path)) == sorted(["baseline", "big-lr", tmp_path.name])
