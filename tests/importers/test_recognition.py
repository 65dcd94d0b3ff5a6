"""Recognition as a contract: every sample has exactly one importer, every ordinary file none."""

from __future__ import annotations

import json
import os
import re
import sqlite3
from pathlib import Path

import pytest
from _reading import CORPUS, claiming, written

from curvelab import catalogue
from curvelab.ingest import gather
from curvelab.sources import Source

TRAINER_LINE = "{'loss': 1.5, 'grad_norm': 3.1, 'learning_rate': 1e-05, 'epoch': 0.1}\n"

SAMPLES = {
    "metrics.csv": ("epoch,step,train_loss\n0,1,2.0\n", "lightning-csv"),
    "sub/metrics.csv": ("step,train_loss\n1,2.0\n", "csv-table"),
    "training_log.csv": ("epoch,loss,val_loss\n0,1,2\n", "keras-csv"),
    "training.log": ("epoch,accuracy,val_accuracy\n0,1,2\n", "keras-csv"),
    "table.tsv": ("step\tloss\n1\t2\n", "csv-table"),
    "trainer_log.jsonl": ('{"current_steps": 1, "total_steps": 2, "loss": 1.0}\n', "trainer-log"),
    "renamed.jsonl": ('{"current_steps": 1, "total_steps": 2, "loss": 1.0}\n', "jsonl-table"),
    "sub/trainer_log.jsonl": ('{"step": 1, "loss": 1.0}\n', "jsonl-table"),
    "wandb-history.jsonl": ('{"_step": 1, "loss": 1.0}\n', "jsonl-table"),
    "history.json": ('{"loss": [1.0, 2.0]}', "keras-history"),
    "trainer_state.json": ('{"log_history": []}', "trainer-state"),
    "train.log": (TRAINER_LINE * 3, "trainer-console"),
    "slurm.out": (TRAINER_LINE + "iter 1: loss 2, time 1ms\n" + TRAINER_LINE, "trainer-console"),
    "nano.txt": ("iter 0: loss 4.2, time 1ms\niter 1: loss 4.1, time 1ms\n", "console-loss"),
}

ORDINARY = {
    "predictions.csv": "id,label,probability\n1,0,0.25\n2,1,0.75\n",
    "submission.csv": "ImageId,Label\n1,2\n2,0\n",
    "prices.csv": "date,open,close\n2020-01-01,1.0,2.0\n2020-01-02,1.1,2.1\n",
    "words.tsv": "word\tcount\nthe\t100\na\t90\n",
    "metrics.csv": "name,value\naccuracy,0.9\nloss,0.1\n",
    "requirements.txt": "torch==2.1\nnumpy>=1.26\n",
    "README.txt": "At step 3 the loss was high; see iteration 5.\n" * 20,
    "LICENSE.txt": "Permission is hereby granted, free of charge\n" * 50,
    "vocab.txt": "\n".join(f"token{i}" for i in range(1000)),
    "server.log": "2024-01-01 12:00:00,123 INFO started worker 3 of 8\n" * 100,
    "pip.log": "Collecting torch\n  100%|#####| 10/10 [00:01<00:00]\n" * 10,
    "nohup.out": "Traceback (most recent call last):\n  File 'a.py', line 1\nValueError: loss\n",
    "config.json": '{"hidden_size": 64, "layers": [1, 2, 3]}',
    "history.json": '{"chats": [{"role": "user"}]}',
    "package-history.json": '["1.0", "1.1"]',
    "train.jsonl": '{"messages": [{"role": "user", "content": "hi"}]}\n' * 5,
    "eval.jsonl": '{"question": "a", "answer": "b", "score": 0.5}\n' * 5,
    "meta.yaml": "package:\n  name: x\n  version: 1\n",
    "empty.csv": "",
    "empty.txt": "",
    "binary.log": "\x00\x01\x02\x03" * 1000,
}


@pytest.mark.parametrize("name", SAMPLES)
def test_each_sample_has_exactly_one_importer(tmp_path: Path, name: str) -> None:
    text, format_ = SAMPLES[name]
    assert claiming(written(tmp_path, name, text)) == [format_]


@pytest.mark.parametrize("name", ORDINARY)
def test_ordinary_files_have_none(tmp_path: Path, name: str) -> None:
    assert claiming(written(tmp_path, name, ORDINARY[name])) == []


def test_a_folder_of_ordinary_files_holds_no_run(tmp_path: Path) -> None:
    for name, text in ORDINARY.items():
        written(tmp_path, name, text)
    gathered = gather([tmp_path])
    assert not gathered.runs and "no training log among" in str(gathered.errors[0])


@pytest.mark.skipif(not CORPUS.is_dir(), reason="the corpus is not here")
def test_corpus_has_at_most_one_importer_a_file() -> None:
    labelled = {CORPUS / case["path"] for case in json.loads((CORPUS / "labels.json").read_text())["cases"]}
    for path in sorted(CORPUS.rglob("*")):
        if path.is_file():
            formats = claiming(path)
            assert len(formats) <= 1, (path, formats)
            if path in labelled and path.parts[-3] in ("trainer_log", "lightning_csv", "keras_csv"):
                assert formats == [path.parts[-3].replace("_", "-")]


@pytest.mark.parametrize("one", catalogue.importers(), ids=lambda one: one.format)
def test_cards(one: catalogue.Importer) -> None:
    headings = re.findall(r"^(\w[\w ]*)\n-+$", one.card, re.M)
    assert headings == ["What it reads", "Damage", "Names", "Limits", "Sources"]
    assert one.card.splitlines()[0].endswith((".", "W&B's CSV exports."))


def test_a_damaged_file_does_not_stop_the_others(tmp_path: Path) -> None:
    written(tmp_path / "a", "metrics.csv", SAMPLES["metrics.csv"][0])
    written(tmp_path / "b", "wandb_export.csv", '"Wall Time","r - loss","r - loss__MIN"\n"a","1","1"\n')
    written(tmp_path / "c", "log.csv.gz", b"\x1f\x8b\x08\x00rubbish")
    (tmp_path / "d.csv").symlink_to("/dev/zero")
    gathered = gather([tmp_path])
    assert [run.format for run in gathered.runs] == ["lightning-csv"] and len(gathered.errors) == 1


def test_an_importer_that_fails_to_look_costs_one_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written(tmp_path, "good.csv", "step,loss\n1,0.5\n2,0.4\n")
    written(tmp_path, "x.jsonl", '{"step": 1, "loss": 1}\n')

    def failing(source: Source) -> list[str]:
        raise UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte")

    monkeypatch.setattr("curvelab.importers.jsonl_table.head_rows", failing)
    gathered = gather([tmp_path])
    assert len(gathered.runs) == 1
    assert any("please report it" in error.message and error.path.endswith("x.jsonl") for error in gathered.errors)


def test_a_database_whose_schema_is_no_text(tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / "x.db")
    connection.execute("CREATE TABLE QQQQ (a)")
    connection.commit()
    connection.close()
    data = (tmp_path / "x.db").read_bytes()
    at = data.rindex(b"CREATE TABLE QQQQ")
    written(tmp_path, "x.db", data.replace(b"QQQQ", b"QQ\xff\xfe"))
    written(tmp_path, "y.db", data[:at] + b"CREATE TABLX \xff\xfeQQ" + data[at + 17 :])
    written(tmp_path, "good.csv", "step,loss\n1,0.5\n2,0.4\n")
    assert len(gather([tmp_path]).runs) == 1


def test_links_out_of_path_and_fifos_are_named(tmp_path: Path) -> None:
    outside = written(tmp_path / "other" / "run", "log.csv", "step,loss\n1,0.5\n2,0.4\n")
    here = tmp_path / "here"
    here.mkdir()
    (here / "run1").symlink_to(outside.parent)
    (error,) = gather([here]).errors
    assert "run1 (a link that leads out of PATH; give it as a PATH of its own)" in error.message
    written(here / "run2", "log.csv", "step,loss\n1,0.9\n2,0.8\n")
    os.mkfifo(here / "pipe.csv")
    gathered = gather([here])
    told = [str(remark) for remark in gathered.remarks]
    assert len(gathered.runs) == 1 and not gathered.errors
    assert "run1" in told[0] and "PATHs of their own" in told[0] and "pipe.csv" in told[1]


def test_an_empty_search_is_told_shortly(tmp_path: Path) -> None:
    written(tmp_path, "notes.txt", "x")
    (error,) = gather([tmp_path]).errors
    words = error.message.partition("looked for ")[2].split(", ")
    assert len(error.message) < 330 and len(set(words)) == len(words)
    assert error.message.index("nearest") < error.message.index("looked for")
