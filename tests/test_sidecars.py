"""Settings files beside a log: what each kind gives, where they are looked for, and that no file does harm."""

from __future__ import annotations

import io
import json
import os
import pickle
import shutil
import struct
import zipfile
from pathlib import Path

import pytest
from states import state_of

from curvelab.beside import Stated
from curvelab.catalogue import sidecars
from curvelab.ingest import discover, load
from curvelab.knowledge.setting_names import KNOWN
from curvelab.model.errors import UnreadableError
from curvelab.sources import Source

ARGS = Path(__file__).parent / "data" / "training_args"
TRUTH = {
    "learning_rate": 3e-4, "lr_scheduler_type": "cosine_with_restarts", "warmup_steps": 25, "max_steps": 400,
    "num_train_epochs": 3.0, "per_device_train_batch_size": 6, "gradient_accumulation_steps": 3, "max_grad_norm": 0.35,
    "weight_decay": 0.05, "logging_steps": 5, "logging_strategy": "steps", "eval_strategy": "epoch",
    "save_strategy": "no", "optim": "adafactor", "seed": 1234, "bf16": False, "world_size": 1,
}  # fmt: skip


def stated(path: Path) -> Stated:
    """What the one kind that claims a file reads in it."""
    source = Source.at(path)
    kinds = sorted(sidecars(), key=lambda kind: kind.alternatives)
    return next(kind for kind in kinds if kind.claims(path.name, path.read_bytes()[:65536])).read(source)


def written(path: Path, content: str | bytes | dict) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    content = json.dumps(content) if isinstance(content, dict) else content
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def archive(pickled: bytes, name: str = "a/data.pkl", method: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as made:
        made.writestr(name, pickled)
    return buffer.getvalue()


# training_args.bin


@pytest.mark.parametrize("name", ["zip.bin", "zip_protocol4.bin", "legacy.bin"])
def test_training_arguments_that_torch_wrote(name, tmp_path):
    known = stated(written(tmp_path / "training_args.bin", (ARGS / name).read_bytes())).known
    assert {key: known.get(key) for key in TRUTH} == TRUTH
    assert set(known) <= set(KNOWN)


def test_training_arguments_of_the_corpus(corpus):
    """The values were compared with what torch.load gives, once and by hand."""
    path = corpus / "trained" / "runs" / "clean-cosine-a" / "training_args.bin"
    if not path.exists():
        pytest.skip("the corpus has no training_args.bin")
    known = stated(path).known
    truth = {
        "learning_rate": 5e-4, "lr_scheduler_type": "cosine", "warmup_steps": 30, "max_steps": 600, "max_grad_norm": 4.0,
        "per_device_train_batch_size": 8, "optim": "adamw_torch_fused", "seed": 101, "logging_steps": 5, "eval_steps": 60,
        "eval_strategy": "steps", "save_strategy": "no", "world_size": 1,
    }  # fmt: skip
    assert {key: known.get(key) for key in truth} == truth


def harmless(path: Path) -> Stated | None:
    """Read; a refusal is fine, any other exception is not."""
    try:
        return stated(path)
    except UnreadableError as error:
        assert "\n" not in error.message
        return None


@pytest.mark.parametrize("name", ["zip.bin", "legacy.bin"])
def test_every_prefix_and_every_flipped_byte_of_training_arguments(name, tmp_path):
    whole = (ARGS / name).read_bytes()
    path = tmp_path / "training_args.bin"
    for cut in range(len(whole)):
        path.write_bytes(whole[:cut])
        harmless(path)
    for at in range(len(whole)):
        path.write_bytes(whole[:at] + bytes((whole[at] ^ 0xFF,)) + whole[at + 1 :])
        got = harmless(path)
        if name == "zip.bin" and got is not None:  # the checksum holds: the values are the true ones
            assert {key: got.known.get(key) for key in TRUTH} == TRUTH


class Command:
    """Pickles as a call of os.system, as an attacker's file would."""

    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self):
        return os.system, (self.command,)


def arguments(value: bytes) -> bytes:
    """A pickle of {"learning_rate": 0.1, "x": <value>}."""
    return b"\x80\x02}(X\x0d\x00\x00\x00learning_rateG?\xb9\x99\x99\x99\x99\x99\x9aX\x01\x00\x00\x00x" + value + b"u."


HOSTILE = {
    "a call": lambda mark: pickle.dumps({"learning_rate": 0.1, "x": Command(f"touch {mark}")}),
    "a call, old opcodes": lambda mark: arguments(f"cos\nsystem\n(S'touch {mark}'\ntR".encode()),
    "a call by INST": lambda mark: arguments(f"(S'touch {mark}'\nios\nsystem\n".encode()),
    "a call by OBJ": lambda mark: arguments(f"(cos\nsystem\nS'touch {mark}'\no".encode()),
    "a persistent id": lambda mark: arguments(b"Pwhatever\n"),
    "an extension": lambda mark: arguments(b"\x82\x01"),
    "a huge LONG4": lambda mark: arguments(b"\x8b" + struct.pack("<i", 2**31 - 1) + b"\x01"),
    "a negative LONG4": lambda mark: arguments(b"\x8b" + struct.pack("<i", -5) + b"\x01"),
    "a long integer": lambda mark: arguments(b"\x8b" + struct.pack("<i", 500_000) + b"\x7f" * 500_000),
    "a decimal integer of 100,000 digits": lambda mark: arguments(b"L" + b"9" * 100_000 + b"L\n"),
    "a text longer than the file": lambda mark: arguments(b"\x8d" + struct.pack("<Q", 2**62)),
    "a list of lists of lists": lambda mark: arguments(b"(" * 400 + b"l" * 400),
    "a memo bomb": lambda mark: arguments(b"]q\x00" + b"".join(
        b"0(h" + bytes((i,)) + b"h" + bytes((i,)) + b"lq" + bytes((i + 1,)) for i in range(60))),
    "a list that holds itself": lambda mark: arguments(b"]q\x00h\x00a"),
    "a dict that holds itself": lambda mark: arguments(b"}q\x00X\x01\x00\x00\x00ah\x00s"),
    "an object that is its own state": lambda mark: arguments(b"cfoo\nBar\n)\x81q\x00h\x00b"),
    "deep nesting": lambda mark: arguments(b"]" * 15_000 + b"a" * 14_999),
    "an unknown memo": lambda mark: arguments(b"h\x63"),
    "pops below the bottom": lambda mark: b"\x80\x020000.",
    "no mark": lambda mark: b"\x80\x02K\x01t.",
    "opcodes without end": lambda mark: arguments(b"N0" * 300_000 + b"N"),
    "unhashable keys": lambda mark: arguments(b"}]]s"),
    "a bad escape": lambda mark: arguments(b"S'\\d\\777'\n"),
}  # fmt: skip


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "bare"])
@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_pickles_do_no_harm(name, zipped, tmp_path, write_state):
    mark = tmp_path / "harm"
    data = HOSTILE[name](mark)
    state = write_state("run")
    path = written(state.with_name("training_args.bin"), archive(data) if zipped else data)
    harmless(path)
    run = load(state.parent)
    assert run.points == 40
    assert not mark.exists()
    assert all("please report" not in note.text for note in run.notes)
    json.dumps(run.raw_config)


def test_a_call_leaves_the_plain_values_beside_it(tmp_path):
    path = written(tmp_path / "training_args.bin", archive(HOSTILE["a call"](tmp_path / "harm")))
    assert stated(path).raw == {"learning_rate": 0.1}


def test_only_enums_of_training_libraries_become_values(tmp_path):
    def call(module: bytes) -> bytes:
        return archive(arguments(b"c" + module + b"\nKind\nX\x06\x00\x00\x00cosine\x85R"))

    path = tmp_path / "training_args.bin"
    assert stated(written(path, call(b"transformers.trainer_utils"))).raw["x"] == "cosine"
    assert "x" not in stated(written(path, call(b"transformersx"))).raw
    assert "x" not in stated(written(path, call(b"subprocess"))).raw


def test_zips_that_are_no_torch_file_are_refused_before_they_are_unpacked(tmp_path):
    path = tmp_path / "training_args.bin"
    bombs = {
        "unpack": archive(b"\x00" * 50_000_000, method=zipfile.ZIP_DEFLATED),
        "way that torch does not use": archive(arguments(b"N"), method=zipfile.ZIP_LZMA),
        "0 files named": archive(arguments(b"N"), name="../../evil.pkl"),
        "more than": archive(b"x") + b"PK\x01\x02" * 2_000,
        "over the limit": b"PK" + b"\x00" * 5_000_000,
    }
    for why, data in bombs.items():
        with pytest.raises(UnreadableError, match=why):
            stated(written(path, data))
    # nothing was unpacked: neither here nor where the name of the file in the zip leads
    assert [p.name for p in tmp_path.iterdir()] == [path.name]
    assert not any((folder / "evil.pkl").exists() for folder in tmp_path.parents[:2])


# the other kinds


def test_a_model_config_gives_the_model_and_nothing_of_its_generation_defaults(tmp_path):
    config = {"architectures": ["GPT2LMHeadModel"], "model_type": "gpt2", "vocab_size": 50257, "n_embd": 768,
              "torch_dtype": "bfloat16", "max_length": 20, "temperature": 1.0}  # fmt: skip
    assert stated(written(tmp_path / "config.json", config)).known == {
        "model_type": "gpt2", "vocab_size": 50257, "hidden_size": 768, "torch_dtype": "bfloat16",
    }  # fmt: skip


def test_a_config_nested_one_level_gives_known_names_only(tmp_path):
    config = {
        "training_args": {"max_grad_norm": 0.2, "output_dir": "x", "warmup_steps": None},
        "model": {"model_type": "gpt2", "vocab_size": 260, "max_length": 20},
        "generation_config": {"temperature": 0.1},
        "deeper": {"training_args": {"seed": 1}},
    }
    found = stated(written(tmp_path / "config.json", config)).known
    assert found == {"max_grad_norm": 0.2, "model_type": "gpt2", "vocab_size": 260}


def test_an_adapter_config(tmp_path):
    config = {"peft_type": "LORA", "r": 16, "lora_alpha": 32, "lora_dropout": 0.05, "target_modules": ["q", "v"], "bias": "none"}
    known = stated(written(tmp_path / "adapter_config.json", config)).known
    assert known == {"peft_type": "LORA", "r": 16, "lora_alpha": 32, "lora_dropout": 0.05, "target_modules": ["q", "v"]}


def test_a_deepspeed_config_auto_is_not_given(tmp_path):
    config = {
        "zero_optimization": {"stage": 2}, "gradient_clipping": 0.7, "train_micro_batch_size_per_gpu": "auto",
        "gradient_accumulation_steps": 4, "train_batch_size": 512, "bf16": {"enabled": True}, "fp16": {"enabled": "auto"},
        "optimizer": {"type": "AdamW", "params": {"lr": "auto", "weight_decay": 0.1}},
    }  # fmt: skip
    for name in ("ds_config.json", "zero2.json", "my_deepspeed.json", "ds_z3_config.json"):
        known = stated(written(tmp_path / name, config)).known
        assert known == {"max_grad_norm": 0.7, "gradient_accumulation_steps": 4, "bf16": True, "weight_decay": 0.1}


def test_a_wandb_config_yaml(tmp_path):
    text = "wandb_version: 1\n_wandb:\n  desc: null\n  value: {m: []}\nmax_grad_norm:\n  desc: null\n  value: 0.4\nfoo:\n  value: bar\n"
    found = stated(written(tmp_path / "config.yaml", text))
    assert (found.known, found.raw) == ({"max_grad_norm": 0.4}, {"max_grad_norm": 0.4, "foo": "bar"})


def test_an_axolotl_config(tmp_path):
    text = """
base_model: some/model
model_type: LlamaForCausalLM
adapter: lora
lora_r: 32
lora_target_modules: [q_proj, v_proj]
sequence_len: 4096
micro_batch_size: 2
gradient_accumulation_steps: 4
num_epochs: 3
lr_scheduler: cosine
learning_rate: 0.0002
bf16: auto
evaluation_strategy: no
"""
    assert stated(written(tmp_path / "config.yml", text)).known == {
        "r": 32, "target_modules": ["q_proj", "v_proj"], "max_seq_length": 4096, "per_device_train_batch_size": 2,
        "gradient_accumulation_steps": 4, "num_train_epochs": 3, "lr_scheduler_type": "cosine", "learning_rate": 0.0002,
        "eval_strategy": "no",
    }  # fmt: skip


def test_a_llama_factory_config_and_its_exponents(tmp_path):
    text = "stage: sft\nlora_rank: 8\nlora_target: all\ncutoff_len: 2048\nlearning_rate: 1.0e-4\nmax_grad_norm: 1e-1\n"
    known = stated(written(tmp_path / "training_args.yaml", text)).known
    assert known["r"] == 8
    assert known["max_seq_length"] == 2048
    assert known["learning_rate"] == 1e-4
    assert float(known["max_grad_norm"]) == 0.1  # YAML 1.1 takes 1e-1 for a text; the run's config makes it a number


def test_lightning_hparams_with_python_objects_builds_none_of_them(tmp_path):
    text = "lr: 0.001\ngradient_clip_val: 0.5\nfn: !!python/object/apply:os.system ['touch harm']\nact: !!python/name:os.abort ''\n"
    found = stated(written(tmp_path / "hparams.yaml", text))
    assert found.known == {"learning_rate": 0.001, "max_grad_norm": 0.5}
    assert set(found.raw) == {"lr", "gradient_clip_val"}


YAML_BOMBS = {
    "laughs": "a: &a [x,x]\n" + "".join(f"b{i}: &b{i} [*{'a' if not i else f'b{i - 1}'}, *{'a' if not i else f'b{i - 1}'}]\n" for i in range(40)),
    "merges": "a: &a {x: 1}\n" + "".join(f"b{i}: &b{i}\n  <<: [*a, *a]\n" for i in range(40)),
    "deep": "[" * 5_000,
    "deep blocks": "".join(" " * i + f"k{i}:\n" for i in range(300)),
    "itself": "a: &a [*a]\n",
    "no date": "a: 2020-99-99\n",
    "digits": "a: " + "9" * 10_000 + "\n",
    "no mapping": "- 1\n- 2\n",
    "cut": "a: [1, 2\n",
    "unhashable": "? [1, 2]\n: 3\n",
    "bytes": "a: \x00\x01\n",
    "two documents": "a: 1\n---\nb: 2\n",
}  # fmt: skip


@pytest.mark.parametrize("name", YAML_BOMBS)
def test_hostile_yaml_does_no_harm(name, tmp_path):
    found = harmless(written(tmp_path / "hparams.yaml", "lr: 0.1\n" + YAML_BOMBS[name]))
    if found is not None:
        json.dumps(found.raw)


JSON_BOMBS = {
    "deep": '{"a": ' * 50_000,
    "deep and whole": '{"a": ' * 500 + "1" + "}" * 500,
    "digits": '{"seed": ' + "9" * 10_000 + "}",
    "surrogate": '{"a": "\\ud800"}',
    "wide": '{"a": [' + "1," * 300_000 + "1]}",
    "nan": '{"learning_rate": NaN}',
    "a list": "[1, 2]",
    "cut": '{"learning_rate": 0.1',
    "lfs": "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 3\n",
    "zeros": "\x00" * 100,
}


@pytest.mark.parametrize("name", JSON_BOMBS)
def test_hostile_json_costs_no_run(name, write_state):
    state = write_state("run")
    written(state.with_name("config.json"), JSON_BOMBS[name])
    run = load(state.parent)
    assert run.points == 40
    assert all("please report" not in note.text for note in run.notes)
    json.dumps({origin: dict(values) for origin, values in run.raw_config.items()}).encode()


# where they are looked for


def test_settings_beside_a_file_and_what_the_run_says_of_them(write_state):
    state = write_state("run", max_steps=400)
    written(state.with_name("training_args.bin"), (ARGS / "zip.bin").read_bytes())
    for path in (state, state.parent):
        run = load(path)
        assert run.setting("max_grad_norm") == 0.35
        assert run.config["max_grad_norm"].origin == "training_args.bin"
        assert [n.text for n in run.notes] == ["logging_steps is 5 in training_args.bin, but 10 in trainer_state.json; 5 was taken"]


def test_the_plan_of_a_log_that_has_none_is_the_max_steps_beside_it(write_state):
    state = write_state("run", finished=False)
    content = json.loads(state.read_text())
    del content["max_steps"], content["num_train_epochs"]
    written(state, content)
    assert load(state).planned_steps is None
    written(state.with_name("training_args.bin"), (ARGS / "zip.bin").read_bytes())
    assert load(state).planned_steps == 400


def test_a_relative_path_finds_the_same(write_state, monkeypatch):
    state = write_state("run")
    written(state.with_name("config.json"), {"seed": 3})
    monkeypatch.chdir(state.parent)
    assert [load(path).config["seed"].origin for path in (".", state.name)] == ["config.json", "config.json"]


def test_a_broken_file_beside_is_a_warning_that_names_it(write_state):
    state = write_state("run")
    path = written(state.with_name("training_args.bin"), (ARGS / "zip.bin").read_bytes()[:3000])
    run = load(state.parent)
    [note] = run.notes
    assert (note.level, note.file) == ("warning", str(path))
    assert note.text.startswith("cut or damaged")
    assert run.points == 40


def checkpoint(folder: Path, step: int, **settings: object) -> Path:
    path = folder / f"checkpoint-{step}" / "trainer_state.json"
    written(path, state_of([3.0] * (step // 10), finished=False, max_steps=300))
    if settings:
        written(path.with_name("config.json"), settings)
    return path


def test_home_before_checkpoints_and_the_latest_checkpoint_before_others(tmp_path):
    checkpoint(tmp_path / "run", 90, seed=1, max_grad_norm=0.1)
    checkpoint(tmp_path / "run", 200, seed=2, max_grad_norm=0.2)
    assert load(tmp_path / "run").config["seed"].origin == "checkpoint-200/config.json"
    assert load(tmp_path / "run").setting("seed") == 2
    written(tmp_path / "run" / "config.json", {"seed": 3})
    run = load(tmp_path / "run")
    assert run.setting("seed") == 3
    assert run.setting("max_grad_norm") is None  # one file of a name: the home's stands for the copies below it


def test_never_above_the_path_that_was_given(tmp_path):
    path = checkpoint(tmp_path / "run", 100)
    written(tmp_path / "run" / "config.json", {"seed": 3})
    written(tmp_path / "config.json", {"bf16": True})
    assert load(path).setting("seed") is None
    assert load(path.parent).setting("seed") is None
    assert load(tmp_path / "run").setting("seed") == 3
    assert load(tmp_path / "run").setting("bf16") is None


def test_links_that_lead_out_of_the_path_are_not_followed(write_state, tmp_path):
    state = write_state("run")
    outside = written(tmp_path / "elsewhere" / "secret.json", {"seed": 3})
    state.with_name("config.json").symlink_to(outside)
    os.mkfifo(state.with_name("adapter_config.json"))
    assert load(state.parent).setting("seed") is None
    assert load(state).setting("seed") is None


def test_a_folder_that_several_runs_share_gives_settings_to_none(tmp_path):
    samples = Path(__file__).parents[1] / "sample_runs"
    for name in ("healthy", "plateau"):
        one = next((samples / name).glob("wandb/*/*.wandb"))
        (tmp_path / "wandb" / one.parent.name).mkdir(parents=True)
        shutil.copy(one, tmp_path / "wandb" / one.parent.name / one.name)
    written(tmp_path / "config.json", {"neftune_noise_alpha": 3})
    runs = discover(tmp_path)
    assert [run.setting("neftune_noise_alpha") for run in runs] == [None, None]
    assert all("several runs share" in run.notes[-1].text for run in runs)


def test_rival_yaml_files_are_not_guessed_between(write_state):
    state = write_state("run")
    written(state.with_name("sft.yaml"), "learning_rate: 0.1\n")
    assert load(state.parent).setting("learning_rate") == 0.1
    written(state.with_name("dpo.yaml"), "learning_rate: 0.2\n")
    run = load(state.parent)
    assert run.setting("learning_rate") is None
    assert "none was used" in run.notes[-1].text


def test_a_wandb_run_of_a_folder_has_its_files(tmp_path):
    sample = next((Path(__file__).parents[1] / "sample_runs").glob("healthy/wandb/*/*.wandb"))
    home = tmp_path / "run" / "wandb" / sample.parent.name
    home.mkdir(parents=True)
    shutil.copy(sample, home / sample.name)
    written(home / "files" / "config.yaml", "_wandb: {value: {}}\nneftune_noise_alpha: {value: 5}\n")
    run = load(tmp_path / "run")
    assert run.config["neftune_noise_alpha"].origin.endswith("files/config.yaml")
    assert load(home / sample.name).setting("neftune_noise_alpha") is None  # a PATH that is a file: its folder only


# the mark of completion


@pytest.mark.parametrize(("epoch", "state"), [(1.0, "finished"), (0.5, "unknown"), (3.0, "unknown"), (None, "finished")])
def test_train_results_are_a_mark_of_completion_unless_they_are_an_older_run_s(epoch, state, write_state):
    path = write_state("run", finished=False, max_steps=1_000)
    results = {"train_runtime": 12.0, "train_loss": 1.0} | ({} if epoch is None else {"epoch": epoch})
    assert load(path).state == "unknown"
    written(path.with_name("all_results.json"), results)
    assert load(path).state == state
    assert "all_results.json" not in load(path).raw_config


def test_results_of_an_evaluation_alone_are_no_mark(write_state):
    path = write_state("run", finished=False, max_steps=1_000)
    written(path.with_name("all_results.json"), {"eval_loss": 1.0, "epoch": 1.0})
    assert load(path).state == "unknown"


# the shelf


@pytest.mark.parametrize("kind", sidecars(), ids=lambda kind: kind.kind)
def test_every_kind_has_a_card_and_says_where_its_facts_come_from(kind):
    assert "Sources\n-------" in kind.card
    assert kind.title
    assert kind.globs
