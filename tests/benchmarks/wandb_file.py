"""How fast offline .wandb files are read, against the reader of wandb 0.29 (gone since 0.30).

    python tests/benchmarks/wandb_file.py --rows 200000 --peer VENV/bin/python

The peer is a Python with `wandb==0.29.*`: its DataStore, its protobuf classes, json and a DataFrame. Both sides run in
processes of their own, in turns; times are CPU seconds of reading alone (imports excluded), medians. Trust the ratio.
"""

from __future__ import annotations

import argparse
import random
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

PEER = """
import json, sys, time
import pandas as pd
from wandb.proto import wandb_internal_pb2 as pb
from wandb.sdk.internal.datastore import DataStore
began = time.process_time()
store = DataStore()
store.open_for_scan(sys.argv[1])
rows = []
while (data := store.scan_data()) is not None:
    record = pb.Record()
    record.ParseFromString(data)
    if record.WhichOneof("record_type") == "history":
        rows.append({(i.key or ".".join(i.nested_key)): json.loads(i.value_json) for i in record.history.item})
frame = pd.DataFrame(rows)
print(len(frame), time.process_time() - began)
"""

OURS = """
import sys, time
from pathlib import Path
from curvelab.importers.wandb_file import read
from curvelab.sources import Source
began = time.process_time()
log = read.read(Source.at(Path(sys.argv[1])))
print(max(len(s) for s in log.series), time.process_time() - began)
"""


def write_log(path: Path, rows: int, summaries: bool) -> None:
    """A run as the Hugging Face callback logs it: 8 values a row, items in random order, an eval row now and then."""
    import struct
    import zlib

    from wandb.proto import wandb_internal_pb2 as pb

    shuffle = random.Random(1).shuffle
    out = bytearray(b":W&B\xe1\xbe\x00")

    def write(record: pb.Record) -> None:
        data, kind = record.SerializeToString(), 1
        while True:
            room = 32768 - len(out) % 32768
            if room < 7:
                out.extend(bytes(room))
                continue
            piece, data = data[: room - 7], data[room - 7 :]
            kind = (1 if kind == 1 else 4) if not data else (2 if kind == 1 else 3)
            out.extend(struct.pack("<IHB", zlib.crc32(bytes([kind]) + piece), len(piece), kind) + piece)
            if not data:
                return

    for row in range(rows):
        values: dict[str, float] = {
            "train/loss": 3 / (1 + row / rows) + random.random() / 10,
            "train/grad_norm": random.lognormvariate(0, 0.3),
            "train/learning_rate": 5e-5 * (1 - row / rows),
            "train/epoch": 3 * row / rows,
            "train/global_step": row + 1,
            "_step": row,
            "_timestamp": 1.75e9 + row * 0.7,
            "_runtime": row * 0.7,
        }
        if row % 100 == 99:
            values |= {"eval/loss": values["train/loss"] + 0.1, "eval/runtime": 3.2, "eval/samples_per_second": 31.3}
        items = list(values.items())
        shuffle(items)
        record = pb.Record(num=row + 1)
        record.history.step.num = row
        for key, value in items:
            record.history.item.add(nested_key=[key], value_json=repr(value))
        write(record)
        if summaries:
            record = pb.Record(num=row + 1)
            for key, value in items:
                record.summary.update.add(nested_key=[key], value_json=repr(value))
            write(record)
    path.write_bytes(out)


def main() -> None:
    """Print the ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--peer", default="", help="a python with wandb 0.29 and pandas")
    parser.add_argument("--summaries", action="store_true", help="a summary record after each row, as wandb does")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "run-bench.wandb"
        write_log(path, options.rows, options.summaries)
        print(f"{options.rows:,} rows, {path.stat().st_size:,} bytes")
        sides = {"curvelab": (sys.executable, OURS)} | ({"wandb 0.29": (options.peer, PEER)} if options.peer else {})
        times: dict[str, list[float]] = {name: [] for name in sides}
        for _ in range(options.repeats):
            for name, (python, script) in sides.items():
                done = subprocess.run([python, "-c", script, str(path)], check=True, capture_output=True, text=True)
                rows, seconds = done.stdout.split()
                if int(rows) != options.rows:
                    raise SystemExit(f"{name} read {rows} rows")
                times[name].append(float(seconds))
        median = {name: statistics.median(taken) for name, taken in times.items()}
        for name, seconds in median.items():
            print(f"{name:12} {seconds:8.3f} s   {median.get('wandb 0.29', seconds) / seconds:5.1f}x")


if __name__ == "__main__":
    main()
