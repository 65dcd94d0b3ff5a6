"""Which file a setting is taken from, and what is said when two files disagree."""

from __future__ import annotations

from pathlib import Path

import pytest

from curvelab.beside import SettingsFile, Stated
from curvelab.model.log import Log
from curvelab.settings import same, settle

IN_ORDER = ("tensorboard", "wandb-file", "wandb-config", "training-args", "trainer-state", "mlflow", "trainer-yaml",
            "lightning-hparams", "deepspeed-config", "json-config")  # fmt: skip
LOGS = ("tensorboard", "wandb-file", "trainer-state", "mlflow")


def said(kind: str, **values: object) -> Log | SettingsFile:
    if kind in LOGS:
        return Log(path=Path("run") / kind, format=kind, settings={kind: values})
    return SettingsFile(kind, kind, Path("run") / kind, Stated(known=values, raw=values))


def settled(*sources: Log | SettingsFile):
    logs = [one for one in sources if isinstance(one, Log)]
    return settle(logs, [one for one in sources if isinstance(one, SettingsFile)])


@pytest.mark.parametrize("place", range(len(IN_ORDER) - 1))
def test_the_more_trusted_file_wins_whatever_the_order_of_reading(place):
    sources = [said(kind, max_grad_norm=float(i)) for i, kind in enumerate(IN_ORDER) if i >= place]
    found = settled(*reversed(sources))
    assert found.config["max_grad_norm"].value == float(place)
    assert found.config["max_grad_norm"].origin == IN_ORDER[place]


def test_each_value_comes_from_the_best_file_that_has_it():
    found = settled(said("trainer-state", max_steps=100), said("training-args", max_grad_norm=0.3, max_steps=100))
    assert {k: (v.value, v.origin) for k, v in found.config.items()} == {
        "max_steps": (100, "training-args"),
        "max_grad_norm": (0.3, "training-args"),
    }
    assert found.notes == ()


def test_a_disagreement_names_both_files_and_the_value_taken():
    found = settled(said("json-config", max_grad_norm=1.0), said("training-args", max_grad_norm=0.3))
    [note] = found.notes
    assert note.level == "info"
    assert note.text == "max_grad_norm is 0.3 in training-args, but 1.0 in json-config; 0.3 was taken"
    assert note.file == str(Path("run/training-args"))


@pytest.mark.parametrize(
    ("name", "one", "other"),
    [
        ("learning_rate", 1e-4, 0.00010000000474974513),
        ("learning_rate", "1e-4", 0.0001),
        ("num_train_epochs", 3, 3.0),
        ("bf16", True, "True"),
        ("bf16", 1, True),
        ("lr_scheduler_type", "SchedulerType.COSINE", "cosine"),
        ("target_modules", ["v_proj", "q_proj"], ["q_proj", "v_proj"]),
        ("logging_steps", 0.1, 50),
        ("learning_rate", float("nan"), float("nan")),
    ],
)
def test_values_that_mean_the_same_are_no_disagreement(name, one, other):
    found = settled(said("training-args", **{name: one}), said("json-config", **{name: other}))
    assert found.notes == ()


@pytest.mark.parametrize(
    ("name", "one", "other"),
    [("learning_rate", 1e-4, 1.1e-4), ("bf16", True, False), ("optim", "adamw_torch", "adafactor"), ("seed", 1, 2)],
)
def test_values_that_differ_are_told(name, one, other):
    assert not same(name, one, other)


def test_names_whose_values_rightly_differ_are_not_compared():
    one = said("training-args", max_steps=500, num_train_epochs=3.0, transformers_version="5.0", output_dir="a", foo=1)
    other = said("trainer-state", max_steps=500, num_train_epochs=7, transformers_version="4.0", output_dir="b", foo=2)
    assert settled(one, other).notes == ()


def test_max_steps_that_was_left_open_gives_way_to_the_state():
    found = settled(said("training-args", max_steps=-1, num_train_epochs=3), said("trainer-state", max_steps=900))
    assert found.config["max_steps"].value == 900
    assert found.config["max_steps"].origin == "trainer-state"
    assert found.notes == ()


def test_many_disagreements_are_counted_rather_than_listed():
    names = ("learning_rate", "warmup_steps", "max_grad_norm", "optim", "weight_decay", "adam_beta1", "adam_beta2",
             "beta", "temperature", "bf16", "fp16", "seed", "data_seed", "logging_steps")  # fmt: skip
    found = settled(
        said("training-args", **dict.fromkeys(names, 5)), said("json-config", **dict.fromkeys(names, 7))
    )
    assert len(found.notes) == 13
    assert found.notes[-1].text == "2 more settings differ between the files of this run"


def test_settings_that_are_not_known_stay_in_the_raw_config_only():
    found = settled(said("json-config", my_own=3))
    assert found.config == {}
    assert found.raw == {"json-config": {"my_own": 3}}
