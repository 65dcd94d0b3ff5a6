"""The TensorBoard importer against tbparse: time and memory growth at 10k, 100k and 1M points.

    python tests/benchmarks/read_tensorboard.py [POINTS ...]

Every reading is a process of its own, so that peak memory and caches are its own; the two readers take turns, and the
ratio is of the medians (CPU seconds, imports excluded). `wide` is the weak spot: 300 tags of one length.
"""

from __future__ import annotations

import resource
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

ROUNDS = {10_000: 5, 100_000: 3, 1_000_000: 3}
NAMES = ("train/loss", "train/grad_norm", "train/learning_rate", "train/epoch")


def written(path: Path, points: int, names: tuple[str, ...]) -> None:
    """An event file as PyTorch's SummaryWriter writes it."""
    import google_crc32c
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.summary.writer import record_writer

    # The writer computes its checksums byte by byte in Python; the same numbers from the wheel make 1M points bearable.
    def masked(data: bytes) -> int:
        crc = google_crc32c.value(bytes(data))
        return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF

    record_writer.masked_crc32c = masked
    with path.open("wb") as file:
        writer = record_writer.RecordWriter(file)
        writer.write(Event(wall_time=1.7e9, file_version="brain.Event:2").SerializeToString())
        for i in range(points):
            event = Event(wall_time=1.7e9 + i * 0.2513, step=i // len(names))
            event.summary.value.add(tag=names[i % len(names)], simple_value=(i * 7919 % 10_007) / 10_007)
            writer.write(event.SerializeToString())


def peak() -> int:
    """Peak resident size, kB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def reading(reader: str, path: str) -> None:
    """Read one file in this process; print CPU seconds, memory growth in kB, points."""
    warnings.filterwarnings("ignore")
    if reader == "curvelab":
        from curvelab.importers.tensorboard import read
        from curvelab.sources import Source

        before, start = peak(), time.process_time()
        points = sum(map(len, read.read(Source.at(Path(path))).series))
    else:
        from tbparse import SummaryReader

        before, start = peak(), time.process_time()
        points = len(SummaryReader(path, extra_columns={"wall_time"}).scalars)
    print(time.process_time() - start, peak() - before, points)


def measured(reader: str, path: Path) -> tuple[float, int]:
    """CPU seconds and memory growth of one reading in a process of its own."""
    command = [sys.executable, __file__, "--read", reader, str(path)]
    out = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    return float(out[0]), int(out[1])


def compared(label: str, path: Path, rounds: int) -> None:
    ours, theirs = [], []
    for _ in range(rounds):
        ours.append(measured("curvelab", path))
        theirs.append(measured("tbparse", path))
    mine, other = (statistics.median(t for t, _ in times) for times in (ours, theirs))
    grown, usual = (statistics.median(m for _, m in times) for times in (ours, theirs))
    print(
        f"{label:>15}: {mine * 1e3:8.1f} ms against {other * 1e3:9.1f} ms = {other / mine:5.1f}x; "
        f"memory {grown / 1024:6.1f} MB against {usual / 1024:6.1f} MB = {grown / usual:.2f}x"
    )


def main() -> None:
    sizes = [int(word) for word in sys.argv[1:]] or list(ROUNDS)
    with tempfile.TemporaryDirectory() as folder:
        for points in sizes:
            rounds = ROUNDS.get(points, 3)
            for label, names in (("", NAMES), (" wide", tuple(f"layer_{i:03d}/norm" for i in range(300)))):
                path = Path(folder) / f"events.out.tfevents.{points}{label.strip()}"
                written(path, points, names)
                compared(f"{points:,}{label}", path, rounds)
                path.unlink()


if __name__ == "__main__":
    if sys.argv[1:2] == ["--read"]:
        reading(*sys.argv[2:4])
    else:
        main()
