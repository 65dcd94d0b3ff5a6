"""Secrets in settings: what is replaced, what only looks alike, and that nothing of it reaches a run."""

from __future__ import annotations

import json

import pytest

from curvelab.diagnosis import diagnose
from curvelab.ingest import load
from curvelab.redaction import REDACTED, is_secret, without_secrets

# put together here, so that no scanner takes this file for a leak
HF = "hf_" + "aBcDeFgHiJ" * 3
OPENAI = "sk-" + "proj-" + "x1" * 15
WANDB = "0123456789" * 4
GITHUB = "ghp_" + "Z9" * 18


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("hub_token", HF),
        ("push_to_hub_token", "some-old-token"),
        ("token", "abcdefgh1234"),
        ("wandb_api_key", WANDB),
        ("wandbApiKey", "abcd1234"),
        ("anything", HF),
        ("notes", f"run with HF_TOKEN={HF} please"),
        ("x", OPENAI),
        ("x", GITHUB),
        ("key", WANDB),
        ("db_password", "tr"),
        ("password", 1234),
        ("client.secret", "s3cr3t"),
        ("aws_secret_access_key", "abcdefghijkl"),
        ("data_url", "https://user:pass@example.org/data"),
        ("data_url", "s3://bucket/x?X-Amz-Signature=abcdef0123456789"),
        ("cmd", "train.py --hub_token abcdefgh12345"),
        ("pem", "-----BEGIN RSA PRIVATE KEY-----\nMII"),
    ],
)
def test_a_secret_is_recognised_by_its_name_or_its_value(name, value):
    assert is_secret(name, value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("hub_token", "<HUB_TOKEN>"),
        ("hub_token", None),
        ("use_auth_token", True),
        ("eos_token", "<|endoftext|>"),
        ("pad_token", "[PAD]"),
        ("pad_token_id", 257),
        ("image_token", "imageplaceholder"),
        ("num_input_tokens_seen", 123456),
        ("max_tokens", "1024"),
        ("include_num_input_tokens_seen", "no"),
        ("tokenizer_name", "gpt2-large-tokenizer"),
        ("label_key", "text_of_the_label"),
        ("prompt_key", "instruction"),
        ("key", "value"),
        ("_commit_hash", WANDB),
        ("model_revision", WANDB),
        ("_name_or_path", f"/cache/snapshots/{WANDB}"),
        ("data_url", "https://example.org:8080/data@v1"),
        ("repo", "ssh://git@example.org/x"),
        ("learning_rate", 1e-4),
        ("password", None),
        ("task", "sk-learn baseline"),
        ("api_key", ""),
    ],
)
def test_what_only_sounds_alike_stays(name, value):
    assert not is_secret(name, value)


def test_nested_values_lists_and_command_lines_are_looked_through():
    values = {"a": {"b": [{"hub_token": HF}, 3]}, "argv": ["--lr", "1e-4", "--password", "tr0ub4dor"], "lr": 1e-4}
    kept, names = without_secrets(values)
    assert kept == {"a": {"b": [{"hub_token": REDACTED}, 3]}, "argv": ["--lr", "1e-4", "--password", REDACTED], "lr": 1e-4}
    assert names == ["a.b.hub_token", "argv"]


def test_what_is_too_deep_to_be_checked_is_not_kept():
    deep: object = "x"
    for _ in range(100):
        deep = {"a": deep}
    kept, names = without_secrets({"a": deep})
    assert len(names) == 1
    assert REDACTED in json.dumps(kept)


def test_a_long_text_costs_linear_time():
    for hostile in ("a" * 500_000, "://" * 150_000, "token=" * 80_000, "hf_" * 150_000, "sk-" + "-" * 400_000):
        is_secret("x", hostile)


def test_no_secret_reaches_the_run_and_the_note_counts_them(write_state):
    state = write_state("run")
    config = {"training_args": {"hub_token": HF, "max_grad_norm": 0.5}, "wandb_key": WANDB, "model_type": HF}
    state.with_name("args.json").write_text(json.dumps(config))
    run = load(state.parent)
    shown = f"{run.config} {run.raw_config} {[log.settings for log in run.logs]} {run.notes}"
    shown += str(diagnose(run))
    assert HF not in shown
    assert WANDB not in shown
    assert run.setting("max_grad_norm") == 0.5
    assert run.setting("model_type") is None
    assert run.raw_config["args.json"]["training_args"]["hub_token"] == REDACTED
    [note] = [note for note in run.notes if "secret" in note.text]
    assert note.level == "info"
    assert note.text == "3 settings look like a secret (model_type, training_args.hub_token, wandb_key); replaced by [redacted]"
