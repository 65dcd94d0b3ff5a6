"""Paths to runs: what is found, what is one run, what wins, and what is said of the rest."""

from __future__ import annotations

import json
import os
import shutil

import numpy as np
import pytest
from states import SAMPLES, state_of

from curvelab.importers.tensorboard import read as tensorboard
from curvelab.importers.trainer_state import read as trainer_state
from curvelab.importers.wandb_file import read as wandb_file
from curvelab.ingest import discover, gather, load
from curvelab.knowledge.metric_names import AXES, canonical
from curvelab.model.errors import UnreadableError, UsageError
from curvelab.model.frame import COLUMNS
from curvelab.model.run import Curve, Run
from curvelab.sources import Source

ONE_OF = {"state": "trainer_state.json", "event": "*tfevents*", "wandb": "*.wandb"}


def test_a_file_a_folder_and_a_glob_find_the_same_run(write_state, tmp_path):
    path = write_state("alpha")
    assert load(path).points == load(path.parent).points == load(str(tmp_path / "al*")).points == 40


def test_the_frame_has_the_columns_of_the_design_and_is_sorted(write_state):
    frame = load(write_state("alpha", evals={100: 2.0, 400: 1.5})).frame
    assert tuple(frame.columns) == COLUMNS
    assert frame["step"].dtype == np.int64
    assert frame["value"].dtype == np.float64
    assert str(frame["wall_time"].dtype) == "datetime64[ns, UTC]"
    assert all(str(frame[c].dtype) == "category" for c in ("run", "metric", "raw_name", "origin"))
    keys = frame[["metric", "segment", "step", "order"]].astype({"metric": str}).values.tolist()
    assert keys == sorted(keys)


def test_nan_is_a_value_and_missing_is_no_row(write_state):
    run = load(write_state("alpha", losses=[3.0, float("nan"), 2.0], norms=[1.0, None, 1.0]))
    assert len(run.logged["train/loss"]) == 3
    assert np.isnan(run.logged["train/loss"].value[1])
    assert len(run.logged["train/grad_norm"]) == 2
    assert run.wide()["train/grad_norm"].isna().sum() == 1


def test_checkpoints_of_one_run_are_one_run_and_the_longest_wins(tmp_path):
    for n in (10, 20, 30):
        folder = tmp_path / "run" / f"checkpoint-{n * 10}"
        folder.mkdir(parents=True)
        (folder / "trainer_state.json").write_text(json.dumps(state_of([3.0] * n, finished=False, max_steps=300)))
    runs = discover(tmp_path)
    assert [(r.name, r.points) for r in runs] == [("run", 30)]


def test_different_paths_are_never_merged(write_state, tmp_path):
    one, other = write_state("alpha"), write_state("beta")
    shutil.copy(one, other)
    assert len(gather([one.parent, other.parent]).runs) == 2


@pytest.mark.parametrize("paths", [("a", "."), (".", "a"), ("a/trainer_state.json", "a"), (".", "a", "b", ".")])
def test_overlapping_paths_give_each_run_once(write_state, tmp_path, paths):
    write_state("a"), write_state("b")
    found = [run.name for run in discover(*(tmp_path / path for path in paths))]
    assert sorted(found) == (["a", "b"] if "." in paths else ["a"])


def test_of_overlapping_paths_the_fuller_run_counts(write_state, tmp_path):
    """A run whose other logs lie outside the narrower path."""
    shutil.copytree(SAMPLES / "overfitting", tmp_path / "a")
    narrow = next((tmp_path / "a").rglob("trainer_state.json"))
    (run,) = discover(narrow, tmp_path)
    assert "+" in run.format


def test_one_of_several_runs_is_loaded_by_its_name_or_id(write_state, tmp_path):
    write_state("a"), write_state("b", losses=[1.0, 2.0])
    with pytest.raises(UsageError, match=r"holds 2 runs, not one: a, b; name one, as in load\(path, run='a'\)"):
        load(tmp_path)
    assert load(tmp_path, run="b").points == 2
    assert load(tmp_path, run=load(tmp_path / "b").id).name == "b"
    with pytest.raises(UsageError, match=r'no run "aa".* it holds a, b'):
        load(tmp_path, run="aa")


def test_names_are_short_and_unique(write_state, tmp_path):
    write_state("a/seed1"), write_state("b/seed1"), write_state("b/seed2")
    assert [run.name for run in discover(tmp_path)] == ["a/seed1", "b/seed1", "seed2"]


def test_one_bad_file_does_not_cost_the_others(write_state, tmp_path):
    good, bad = write_state("good"), write_state("bad")
    bad.write_text("no json")
    gathered = gather([tmp_path])
    assert [run.name for run in gathered.runs] == ["good"]
    assert [error.path for error in gathered.errors] == [str(bad)]
    with pytest.warns(UserWarning, match="no log_history"):
        assert len(discover(good.parent, bad.parent)) == 1


def test_load_wants_exactly_one_run(write_state, tmp_path):
    write_state("a"), write_state("b")
    with pytest.raises(UsageError, match="2 runs"):
        load(tmp_path)
    with pytest.raises(UnreadableError):
        load(tmp_path / "nothing here")


def test_links_in_circles_and_out_of_the_root_are_left_alone(write_state, tmp_path):
    outside = write_state("outside")
    root = tmp_path / "root"
    write_state("root/run")
    (root / "loop").symlink_to(root)
    (root / "escape").symlink_to(outside.parent)
    (root / "latest-run").symlink_to(root / "run")
    (root / "trainer_state.json").symlink_to("trainer_state.json")
    assert [run.name for run in discover(root)] == ["run"]


def test_a_link_to_a_file_of_another_name_is_followed_inside_the_root(write_state, tmp_path):
    """The cache of a model hub: snapshots/<commit>/trainer_state.json links to blobs/<hash>."""
    blob = write_state("blobs").rename(tmp_path / "blobs" / "d2f6a9")
    (tmp_path / "snapshot").mkdir()
    (tmp_path / "snapshot" / "trainer_state.json").symlink_to(blob)
    assert [(run.name, run.points) for run in discover(tmp_path)] == [("snapshot", 40)]


def test_a_fifo_is_no_log(write_state, tmp_path):
    write_state("run")
    fifo = tmp_path / "run" / "checkpoint-1"
    fifo.mkdir()
    os.mkfifo(fifo / "trainer_state.json")
    assert [run.name for run in discover(tmp_path)] == ["run"]
    with pytest.raises(UnreadableError, match="not a regular file"):
        load(fifo / "trainer_state.json")


def test_an_empty_folder_says_what_was_looked_for(tmp_path):
    with pytest.raises(UnreadableError, match=r"no training log .*trainer_state\.json"):
        load(tmp_path)


def line_of(run, metric):
    curve = run.curve(metric)
    return dict(zip(curve.step.tolist(), curve.value.tolist(), strict=True))


COMMON = ("train/loss", "train/grad_norm", "train/learning_rate", "eval/loss")


@pytest.mark.parametrize("name", ["healthy", "clean-cosine-a", "nan-badtoken-filter", "of-mild"])
def test_the_three_logs_of_one_training_say_the_same(name, corpus, tmp_path):
    """Each log alone, then step for step against the others, to float32."""
    from states import SAMPLES

    folder = SAMPLES / name if (SAMPLES / name).is_dir() else corpus / "trained" / "runs" / name
    if not folder.is_dir():
        pytest.skip(f"{name} is not here")
    runs = {}
    for kind, glob in ONE_OF.items():
        (file,) = folder.rglob(glob)
        runs[kind] = load(file)
    for metric in COMMON:
        state, event, wandb = (line_of(runs[kind], metric) for kind in ONE_OF)
        assert state.keys() == event.keys() == wandb.keys()
        for step, value in state.items():
            np.testing.assert_allclose([event[step], wandb[step]], value, rtol=2e-7, atol=1e-30)


def test_a_folder_with_all_three_logs_is_one_run(corpus):
    run = load(corpus / "trained" / "runs" / "clean-cosine-a")
    assert set(run.format.split("+")) == {"trainer-state", "tensorboard", "wandb-file"}
    assert np.isfinite(run.curve("train/loss").wall_time).all()
    assert run.setting("max_grad_norm") is not None
    assert run.state == "finished"


def test_a_killed_run_is_read_to_its_last_log(corpus):
    """The state ends at its checkpoint (400), W&B at 230, the event file at 430: the run has them all."""
    run = load(corpus / "trained" / "runs" / "killed-a")
    assert run.last_step == 430
    assert run.state == "crashed"
    assert run.planned_steps == 900


def test_a_resumed_run_is_one_line_with_the_seam_marked(corpus):
    run = load(corpus / "trained" / "runs" / "resumed-a")
    assert [(seam.step, seam.reached) for seam in run.seams] == [(305, 360)]
    line = run.curve("train/loss")
    assert (np.diff(line.step) > 0).all()
    assert len(run.logged["train/loss"]) - len(line) == 12
    (state,) = (corpus / "trained" / "runs" / "resumed-a").rglob("trainer_state.json")
    np.testing.assert_allclose(line.value, load(state).curve("train/loss").value, rtol=2e-7)


def test_no_value_of_any_log_is_lost(corpus):
    """Every (metric, step, value) of every single log stands in the frame of the joined run, to float32."""
    readers = {"trainer_state.json": trainer_state, "tfevents": tensorboard, ".wandb": wandb_file}
    for name in ("resumed-a", "killed-a", "spikes-random-a", "leak-a"):
        folder = corpus / "trained" / "runs" / name
        frame = load(folder).frame
        kept = {
            (metric, step): set(np.float32(part["value"].to_numpy()).tolist())
            for (metric, step), part in frame.groupby(["metric", "step"], observed=True)
        }
        for mark, importer in readers.items():
            for file in (f for f in folder.rglob("*") if mark in f.name and f.is_file()):
                for series in importer.read(Source.at(file)).series:
                    metric = canonical(importer.names(series.name))
                    if metric in AXES:
                        continue
                    for step, value in zip(series.step.tolist(), np.float32(series.value).tolist(), strict=True):
                        assert np.isnan(value) or any(
                            np.isclose(value, k, rtol=2e-7, atol=1e-30) for k in kept[metric, step]
                        ), (name, file.name, metric, step)


def test_event_files_of_two_trainings_in_one_folder_stay_two_runs(corpus, tmp_path):
    for name in ("clean-cosine-a", "clean-lora"):
        (file,) = (corpus / "trained" / "runs" / name).rglob("*tfevents*")
        (tmp_path / "runs" / name).mkdir(parents=True)
        shutil.copy(file, tmp_path / "runs" / name)
    assert sorted(run.points for run in discover(tmp_path)) == [50, 120]


# Paths that are none, or not yet


@pytest.mark.parametrize("path", ["x" * 5000, "x" * 300, "a\0b"])
def test_a_path_that_cannot_be_one_is_one_error(path):
    gathered = gather([path])
    (error,) = gathered.errors
    assert not gathered.runs
    assert "cannot be read" in error.message
    assert len(str(error)) < 400


def test_a_url_of_a_kind_that_is_not_read_stays_as_it_was_given():
    (error,) = gather(["sftp://host//x"]).errors
    assert error.path == "sftp://host//x"
    assert "\n" not in error.message


def test_the_same_path_given_twice_is_read_once(write_state, monkeypatch, tmp_path):
    write_state("good"), write_state("other")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "latest").symlink_to("good")
    gathered = gather(["latest", "good", "./good", tmp_path / "good", "good/", "g*d", "other"])
    assert [(run.name, run.path) for run in gathered.runs] == [("good", "good"), ("other", "other")]
    assert not gathered.errors


# What a run says of itself


def test_points_are_the_distinct_steps_of_all_attempts():
    steps = [10, 20, 20, 30, 20, 30, 40]
    curve = Curve.of("train/loss", steps, [1.0] * 7, segment=[0, 0, 0, 0, 1, 1, 1])
    assert Run("id", "name", "path", "format", {"train/loss": curve}).points == 4
    assert Run("id", "name", "path", "format", {"train/loss": curve.take(np.empty(0, np.int64))}).points == 0


def test_the_frame_is_a_copy(write_state):
    run = load(write_state("alpha"))
    frame = run.frame
    frame.loc[:, "value"] = 0.0
    assert run.frame["value"].sum() > 0


def test_curves_and_runs_show_themselves_in_one_short_line(write_state):
    run = load(write_state("alpha"))
    assert repr(run.curve("train/loss")) == "<Curve 'train/loss': 40 rows, steps 10 to 400>"
    assert repr(run) == "<Run alpha: 40 points, 5 metrics, finished>"


def test_logs_of_several_formats_that_were_joined_are_named_once(corpus):
    for name in ("resumed-a", "cut-and-resumed"):
        texts = [note.text for note in load(corpus / "trained" / "runs" / name).notes]
        (joined,) = [text for text in texts if text.startswith("one training in ")]
        assert joined.endswith("values are taken from tensorboard and filled from the others")
        assert len([text for text in texts if text.startswith("restarted at step ")]) == 1


def test_a_log_alone_was_joined_with_none(write_state):
    assert not load(write_state("alpha")).notes
