"""Logs in object stores: read as if they lay here, told by their URLs, one bad object at a time."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from states import SAMPLES, state_of

from curvelab.ingest import gather, load
from curvelab.remote import _object_listing, object_store

fsspec = pytest.importorskip("fsspec")

LOSSES = [3.0 / (1 + i / 10) for i in range(40)]


def state(**facts) -> bytes:
    return json.dumps(state_of(LOSSES, **facts)).encode()


@pytest.fixture
def memory():
    """Write objects into fsspec's memory file system; it is empty before and after."""
    store = fsspec.filesystem("memory")
    store.store.clear()

    def put(**objects: bytes) -> None:
        for path, data in objects.items():
            store.pipe(path, data)

    yield lambda objects: put(**objects)
    store.store.clear()
    store.pseudo_dirs[:] = [""]


@pytest.fixture(scope="module")
def s3_server():
    pytest.importorskip("moto.server")
    pytest.importorskip("s3fs")
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def s3(s3_server, monkeypatch):
    """An empty bucket `bucket` on a local S3 server."""
    import boto3

    for name, value in {
        "AWS_ENDPOINT_URL": s3_server,
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing-secret-word",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_MAX_ATTEMPTS": "2",
    }.items():
        monkeypatch.setenv(name, value)
    client = boto3.client("s3", endpoint_url=s3_server)
    client.create_bucket(Bucket="bucket")
    yield client
    for one in client.list_objects_v2(Bucket="bucket").get("Contents", []):
        client.delete_object(Bucket="bucket", Key=one["Key"])
    client.close()


def upload(client, folder: Path, prefix: str) -> None:
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            client.upload_file(str(path), "bucket", f"{prefix}/{path.relative_to(folder).as_posix()}")


def texts(run) -> str:
    """Everything that is ever told of a run."""
    from curvelab import diagnose
    from curvelab.report.page import page

    diagnosis = diagnose(run)
    logs = [(str(log.path), log.notes, log.damage, list(log.settings)) for log in run.logs]
    curves = [curve.origins for curve in run.logged.values()]
    return json.dumps(diagnosis.to_dict(), default=str) + page(diagnosis) + repr((logs, curves, run.notes))


def assert_no_local_path(text: str) -> None:
    assert "curvelab-" not in text.replace("curvelab-wandb", "")
    assert str(Path(tempfile.gettempdir()).resolve()) + "/" not in text


def test_a_run_folder_on_s3_is_the_run_that_lies_here(s3):
    sample = SAMPLES / "overfitting"
    upload(s3, sample, "team/overfitting")
    there, here = load("s3://bucket/team/overfitting"), load(sample)
    assert there.name == here.name == "overfitting"
    assert there.path == "s3://bucket/team/overfitting"
    assert there.metrics == here.metrics
    for metric in here.metrics:
        assert there.logged[metric].value.tobytes() == here.logged[metric].value.tobytes()
    assert {n: s.value for n, s in there.config.items()} == {n: s.value for n, s in here.config.items()}
    assert all(str(log.path).startswith("s3://bucket/team/overfitting/") for log in there.logs)
    assert_no_local_path(texts(there))


def test_one_file_with_the_settings_beside_it(s3):
    s3.put_object(Bucket="bucket", Key="a/run/trainer_state.json", Body=state())
    s3.put_object(Bucket="bucket", Key="a/run/config.json", Body=b'{"model_type": "llama", "vocab_size": 32000}')
    s3.put_object(Bucket="bucket", Key="a/run/other/trainer_state.json", Body=state())
    run = load("s3://bucket/a/run/trainer_state.json")
    assert run.path == "s3://bucket/a/run/trainer_state.json"
    assert run.name == "run"
    assert "model_type" in run.config
    assert len(run.logs) == 1


def test_a_glob_is_as_many_paths(s3):
    for name in ("run-a", "run-b", "other"):
        s3.put_object(Bucket="bucket", Key=f"all/{name}/trainer_state.json", Body=state())
    gathered = gather(["s3://bucket/all/run-*"])
    assert [run.path for run in gathered.runs] == ["s3://bucket/all/run-a", "s3://bucket/all/run-b"]
    assert not gathered.errors


def test_weights_do_not_travel(s3, monkeypatch):
    s3.put_object(Bucket="bucket", Key="w/run/trainer_state.json", Body=state())
    s3.put_object(Bucket="bucket", Key="w/run/model.safetensors", Body=b"x" * 100)
    s3.put_object(Bucket="bucket", Key="w/run/pytorch_model.bin", Body=b"x" * 100)
    fetched = []
    real = object_store._copy
    monkeypatch.setattr(object_store, "_copy", lambda store, one, to: fetched.append(one.path) or real(store, one, to))
    load("s3://bucket/w")
    assert fetched == ["bucket/w/run/trainer_state.json"]


def test_what_is_not_there_is_one_line(s3):
    (error,) = gather(["s3://bucket/nowhere"]).errors
    assert error.path == "s3://bucket/nowhere"
    assert "is not there" in error.message
    (error,) = gather(["s3://no-such-bucket-at-all/x"]).errors
    assert "\n" not in str(error)
    assert "testing-secret-word" not in str(error)


def test_the_command_line_reads_s3_and_shows_urls_only(s3, tmp_path):
    upload(s3, SAMPLES / "overfitting", "cli/overfitting")
    command = [sys.executable, "-m", "curvelab"]
    settings = {"capture_output": True, "text": True, "timeout": 120, "cwd": Path(__file__).parents[2]}
    done = subprocess.run([*command, "postmortem", "s3://bucket/cli", "--format", "json"], check=False, **settings)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["runs"][0]["path"].startswith("s3://bucket/cli")
    assert done.stderr == ""
    assert_no_local_path(done.stdout)
    page = tmp_path / "page.html"
    done = subprocess.run([*command, "postmortem", "s3://bucket/cli", "-o", str(page)], check=False, **settings)
    assert done.returncode == 0, done.stderr
    assert "curvelab-" not in page.read_text()
    pytest.importorskip("tbparse")
    done = subprocess.run([*command, "inspect", "s3://bucket/cli", "--verify"], check=False, **settings)
    assert done.returncode == 0, done.stderr
    assert "curvelab-" not in done.stdout
    assert "s3://bucket/cli/overfitting" in done.stdout


def test_one_object_that_fails_does_not_stop_the_others(memory, monkeypatch):
    memory({"/p/good/trainer_state.json": state(), "/p/bad/trainer_state.json": state()})
    real = type(fsspec.filesystem("memory"))._open

    def opening(self, path, *arguments, **named):
        if "/bad/" in path:
            raise OSError(f"Access denied to http://host/{path}?X-Amz-Signature=abcdef")
        return real(self, path, *arguments, **named)

    monkeypatch.setattr(type(fsspec.filesystem("memory")), "_open", opening)
    gathered = gather(["memory://p"])
    assert [run.path for run in gathered.runs] == ["memory://p/good"] or len(gathered.runs) == 1
    (error,) = gathered.errors
    assert error.path == "memory://p/bad/trainer_state.json"
    assert "Access denied" in error.message
    assert "abcdef" not in error.message


def test_the_id_of_a_run_is_that_of_its_url(memory):
    memory({"/p/run/trainer_state.json": state()})
    assert load("memory://p/run").id == load("memory://p/run").id


def test_damage_is_told_with_the_url(memory):
    memory({"/p/run/trainer_state.json": state()[:-400]})
    (run,) = gather(["memory://p"]).runs
    assert any(note.file == "memory://p/run/trainer_state.json" for note in run.notes)
    assert_no_local_path(texts(run))


def test_sizes_are_counted_while_copying(memory, monkeypatch):
    memory({"/p/a/trainer_state.json": state(), "/p/b/trainer_state.json": state() + b" " * 100_000})
    monkeypatch.setattr(_object_listing, "MAX_FILE", 50_000)
    gathered = gather(["memory://p"])
    assert len(gathered.runs) == 1
    assert "over the limit" in gathered.errors[0].message
    monkeypatch.setattr(object_store, "MAX_BYTES", 10)
    gathered = gather(["memory://p"])
    assert not gathered.runs
    assert len(gathered.errors) == 2


def test_numbers_are_limited_with_a_message(memory, monkeypatch):
    memory({f"/p/r{i}/trainer_state.json": state() for i in range(6)})
    monkeypatch.setattr(_object_listing, "MAX_FILES", 4)
    gathered = gather(["memory://p"])
    assert len(gathered.runs) <= 4
    assert any("the first 4 were copied" in error.message for error in gathered.errors)
    monkeypatch.setattr(_object_listing, "MAX_ENTRIES", 3)
    assert any("was not looked at" in error.message for error in gather(["memory://p"]).errors)


@pytest.mark.parametrize("path", ["a/../../x", "a//b", "./a", "a/\0", "a/" + "n" * 300])
def test_names_that_lead_elsewhere_are_refused(path, tmp_path):
    assert object_store._place(path, tmp_path) is None


def test_nothing_there_says_what_nearly_was(memory):
    memory({"/p/trainer_state.jsn": b"{}", "/p/model.safetensors": b"x"})
    (error,) = gather(["memory://p"]).errors
    assert "no training log among 2 files" in error.message
    assert "; nearest: trainer_state.jsn (like trainer_state.json); looked for " in error.message


def test_local_files_by_url(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "trainer_state.json").write_bytes(state())
    run = load(f"file://{tmp_path}/run")
    assert run.path == f"file://{tmp_path}/run"
    assert run.name == "run"


def test_the_parts_of_an_mlflow_run_come_with_it(memory):
    base = "/ml/mlruns/1/abc"
    memory(
        {
            f"{base}/meta.yaml": b"run_id: abc\nrun_name: named\nartifact_uri: x\nstatus: 3\nlifecycle_stage: active\n",
            f"{base}/metrics/loss": b"".join(b"17000000%02d000 %f %d\n" % (i, 3 - i / 10, i) for i in range(20)),
            f"{base}/params/learning_rate": b"0.001",
        }
    )
    gathered = gather(["memory://ml"])
    assert not gathered.errors
    assert gathered.runs[0].setting("learning_rate") in (0.001, "0.001")
    assert len(gathered.runs[0].curve("train/loss" if "train/loss" in gathered.runs[0].metrics else "loss")) == 20


def test_copies_go_with_the_runs(memory):
    import gc

    memory({"/p/run/trainer_state.json": state()})
    run = load("memory://p/run")
    copy = Path(run.logs[0].path.__fspath__())
    assert copy.is_file()
    del run
    gc.collect()
    assert not copy.exists()


@pytest.mark.parametrize(
    ("scheme", "module", "extra"), [("s3", "s3fs", "s3"), ("gs", "gcsfs", "gcs"), ("hf", "huggingface_hub", "hf")]
)
def test_a_missing_library_is_one_line(scheme, module, extra, monkeypatch):
    monkeypatch.setitem(sys.modules, module, None)
    for name in [name for name in sys.modules if name.startswith(("fsspec.implementations.", f"{module}."))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delitem(sys.modules["fsspec.registry"]._registry, scheme, raising=False)
    (error,) = gather([f"{scheme}://bucket/run"]).errors
    assert error.message == f"needs a library: pip install 'curvelab[{extra}]'"


def test_a_missing_fsspec_is_one_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "fsspec", None)
    (error,) = gather(["hf://user/repo"]).errors
    assert "pip install 'curvelab[hf]'" in error.message


def test_an_unknown_kind_of_address_names_the_known_ones():
    (error,) = gather(["ftp://me:hidden@host/run"]).errors
    assert "wandb://, s3://, gs://, hf://" in error.message
    assert "hidden" not in str(error)


def test_an_mlflow_run_comes_whole(memory):
    home = "/p/mlruns/0/" + "ab" * 16
    values = "".join(f"{1700000000000 + s} {1 / (s + 1)} {s}\n" for s in range(5)).encode()
    memory(
        {
            "/p/mlruns/0/meta.yaml": b"artifact_location: x\nexperiment_id: 0\nname: Some\n",
            f"{home}/meta.yaml": b"artifact_uri: x\nrun_id: " + b"ab" * 16 + b"\nlifecycle_stage: active\nrun_name: nice\n",
            f"{home}/metrics/train/loss": values,
            f"{home}/metrics/eval/set/loss": values,
            f"{home}/metrics/lr": values,
            f"{home}/params/model/width": b"64",
        }
    )
    for url in ("memory://p", f"memory:/{home}/meta.yaml"):
        (run,) = gather([url]).runs
        assert run.metrics == ("eval/set/loss", "train/learning_rate", "train/loss"), url
        assert run.name == "nice" and run.project == "Some"
        assert run.raw_config["params"] == {"model/width": "64"}


def test_brackets_in_a_name_that_is_there(memory):
    memory({"/p/run[1]/trainer_state.json": state()})
    assert len(gather(["memory://p/run[1]"]).runs) == 1
    assert len(gather(["memory://p/run*"]).runs) == 1
