"""What is seen of a change: names, sizes, times, the two ends of a file; and what is not a change."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from auditing.projects import healthy, put

from curvelab.auditing.marks import END, marks_below


@pytest.fixture
def project(tmp_path: Path) -> Path:
    put(tmp_path, "a", healthy())
    put(tmp_path, "a/checkpoint-100", healthy(points=60))
    return tmp_path


def rewritten(path: Path, content: bytes) -> None:
    """Other bytes, the same time."""
    status = path.stat()
    path.write_bytes(content)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def test_the_same_tree_is_the_same(project):
    assert marks_below(project).digest(project) == marks_below(project).digest(project)


@pytest.mark.parametrize("place", [10, -10])
def test_other_bytes_at_either_end(project, place):
    log = project / "a" / "trainer_state.json"
    before, content = marks_below(project).digest(project), bytearray(log.read_bytes())
    assert len(content) > 2 * END
    content[place] ^= 1
    rewritten(log, bytes(content))
    assert marks_below(project).digest(project) != before


def test_time_and_size(project):
    log = project / "a" / "trainer_state.json"
    before = marks_below(project).digest(project)
    os.utime(log, (1, 1))
    assert marks_below(project).digest(project) != before


def test_settings_and_checkpoints_belong_to_their_run(project):
    log, folders = project / "a" / "trainer_state.json", [project / "a"]

    def around() -> tuple[str, str]:
        return marks_below(project).around([log], folders, project)

    seen = [around()]
    (project / "a" / "config.json").write_text("{}")
    seen.append(around())
    (project / "a" / "checkpoint-200").mkdir()
    (project / "a" / "checkpoint-200" / "model.bin").write_text("")
    seen.append(around())
    assert len(set(seen)) == 3


def test_what_no_diagnosis_depends_on(project):
    before = marks_below(project).digest(project)
    (project / "a" / "model.safetensors").write_text("weights")
    (project / "train.py").write_text("print()")
    assert marks_below(project).digest(project) == before


def test_folders_that_are_passed_over(project):
    put(project, "reports/audit/copy", healthy())
    assert marks_below(project, [project / "reports"]).digest(project) != marks_below(project).digest(project)


def test_every_file_of_a_folder_that_is_one_log(project):
    """MLflow keeps a metric in a file of any name, below the folder with meta.yaml."""
    run = project / "mlruns" / "0" / "run"
    (run / "metrics").mkdir(parents=True)
    (run / "meta.yaml").write_text("run_id: x")
    (run / "metrics" / "loss").write_text("1 2 3\n")
    before = marks_below(project)
    (run / "metrics" / "loss").write_text("1 2 3\n2 1 4\n")
    after = marks_below(project)
    assert before.digest(project) != after.digest(project)
    assert before.around([run / "meta.yaml"], [], project) != after.around([run / "meta.yaml"], [], project)
    assert before.around([run], [], project) != after.around([run], [], project)


def test_links_in_a_circle_and_what_cannot_be_read(project):
    (project / "a" / "loop.json").symlink_to(project / "a" / "loop.json")
    os.mkfifo(project / "a" / "metrics.csv")
    assert marks_below(project).digest(project)
