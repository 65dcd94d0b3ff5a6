"""TensorBoard event files: what PyTorch, TensorFlow, Lightning and the Transformers Trainer write while they train.

What it reads
-------------
Scalars of every kind: simple values (PyTorch, tensorboardX, TensorFlow 1) and tensors of one element (TensorFlow 2), of
any numeric type. The arguments and the model configuration that Transformers writes as texts, the hparams plugin's map,
session starts. A `train/epoch` series gives the other series their epochs. Histograms, images and other texts are
counted by tag, not kept. No point is ever sampled away.

Damage
------
Every checksum is checked. A record whose payload checksum fails is dropped, the others stay. Where no record can be
found the next one is looked for of which both checksums hold; what lies between is reported with its size. A file that
ends inside a record was cut by a crash or is still being written: all records before are kept. An empty file is a log
without series; a file without any whole record is refused, unless it was cut inside its first one.

Names
-----
Transformers already writes `train/loss` and `eval/loss`; `Loss/train`, `train_loss_step` and `Loss/valid` become such.
Bytes that are no UTF-8 are shown as \\xNN; a tag of more than 1,024 bytes is shortened.

Limits
------
Values of most writers are 32-bit floats. A tag keeps the plugin that its first record names: tensors of a foreign
plugin are no scalars. 20,000 tags a file, 1,000 broken places a file. Integers beyond 2^53 lose digits.

Sources
-------
TFRecord format (TensorFlow documentation); event.proto, summary.proto, tensor.proto of TensorFlow and
plugin_data.proto of TensorBoard's hparams; 96 files of 93 runs.
"""

from __future__ import annotations

from operator import itemgetter

import numpy as np

from curvelab.free_names import common_name, lone_names
from curvelab.importers._tensorboard.columns import SETTINGS_TEXTS, Gathered
from curvelab.importers._tensorboard.frames import Floats, Loss, Walk
from curvelab.importers._tensorboard.settings import from_hparams, from_text, planned_steps, run_name
from curvelab.model.errors import UnreadableError
from curvelab.model.log import Log, RawSeries
from curvelab.model.note import Note
from curvelab.sources import LFS_MARK, Source, importer

SMALL = 4 * 1024  # bytes; below this the plain loop is as fast as numpy (measured)
LISTED = 20  # damaged places that get a note of their own; the others are summed up in one
LONGEST_TAG = 1024  # bytes
SCALARS = (None, b"", b"scalars")  # plugins whose tensors are scalars


# No marks: an empty file, or one cut inside its first record, still bears the name of an event file.
@importer(title="TensorBoard event file", globs=("*tfevents*",), names=common_name)
def read(source: Source) -> Log:
    """Read one event file. Raises UnreadableError when it holds no whole record and was not merely cut in its first."""
    if source.size == 0:
        note = Note(level="info", text="empty file; nothing was logged", file=str(source.path))
        return Log(path=source.path, format="tensorboard", notes=(note,))
    if source.head.startswith(LFS_MARK):
        raise UnreadableError(source.path, "is a Git LFS pointer, not the file itself; fetch it with `git lfs pull`")
    walk = Walk(source.read_bytes())
    gathered = gather(walk) if len(walk.data) >= SMALL else gather_plainly(walk)
    if not gathered.events and not _cut_in_first_record(walk):
        raise UnreadableError(source.path, "holds no TensorBoard record whose checksums hold; nothing to read")
    walk.data = b""  # everything was copied out; a long file and its series need not be held together
    return _log(source, walk, gathered)


def gather_plainly(walk: Walk) -> Gathered:
    """Record by record: the reference, and the faster way for small files."""
    gathered = Gathered()
    for order, offset, payload in walk.one_by_one():
        gathered.add_record(order, offset, payload)
    return gathered


def gather(walk: Walk) -> Gathered:
    """Many records at once."""
    gathered = Gathered()
    for batch in walk.in_batches():
        gathered.add_batch(batch)
    return gathered


def _cut_in_first_record(walk: Walk) -> bool:
    """Whether this may be the beginning of an event file, whose first record is some 40 bytes long."""
    return [loss.kind for loss in walk.losses] == ["tail"] and not walk.data[4:8].strip(b"\0")


def _log(source: Source, walk: Walk, gathered: Gathered) -> Log:
    series, skipped = _series(gathered)
    settings = _settings(source.path.name, gathered)
    damage = _damage(str(source.path), walk, gathered)
    limit = []
    if gathered.foreign:
        text = f"{gathered.foreign:,} values of tags beyond the limit on the number of tags were dropped"
        limit.append(Note(level="warning", text=text, file=str(source.path)))
    names = [name for name in map(run_name, settings.values()) if name]
    return Log(
        path=source.path,
        format="tensorboard",
        series=series,
        settings=settings,
        plan=next((plan for plan in map(planned_steps, settings.values()) if plan), None),
        finished=True if any(one.name.endswith("train_runtime") for one in series) else None,
        restarts=tuple(sorted(gathered.starts)),
        identity={"name": names[0]} if names else {},
        names=lone_names({one.name: common_name(one.name) for one in series}),
        skipped=skipped,
        notes=(*damage, *limit),
        damage=damage,
    )


def _series(gathered: Gathered) -> tuple[tuple[RawSeries, ...], dict[str, int]]:
    """All series in the order of their first appearance, with epochs; and what was no number, by tag."""
    others = dict(gathered.others)
    kept: dict[bytes, list[tuple[tuple[int, int], tuple[np.ndarray, ...]]]] = {}
    while gathered.numbers:  # taken out one by one, so that the chunks of a tag do not outlive their joining
        (tag, tensor), rows = gathered.numbers.popitem()
        if tensor and gathered.plugins.get(tag, (0, None))[1] not in SCALARS:
            others[tag] = others.get(tag, 0) + len(rows)
        else:
            kept.setdefault(tag, []).append((rows.first, rows.columns()))
    ordered = sorted(kept.items(), key=lambda item: min(first for first, _ in item[1]))
    series = [
        _one_series(shown_tag(tag), [columns for _, columns in sorted(parts, key=itemgetter(0))])
        for tag, parts in ordered
    ]
    return _with_epochs(series), {shown_tag(tag): count for tag, count in others.items()}


def _one_series(name: str, parts: list[tuple[np.ndarray, ...]]) -> RawSeries:
    order, step, value, wall_time = parts[0]
    if len(parts) > 1:  # a tag that came both as simple values and as tensors
        order, step, value, wall_time = (np.concatenate(columns) for columns in zip(*parts, strict=True))
        rows = np.argsort(order, kind="stable")
        order, step, value, wall_time = order[rows], step[rows], value[rows], wall_time[rows]
    return RawSeries(name=name, step=step, value=value, order=order, wall_time=wall_time)


def _with_epochs(series: list[RawSeries]) -> tuple[RawSeries, ...]:
    """Transformers logs `train/epoch` beside every other value: joined by step, it is their epoch."""
    from dataclasses import replace

    known = next((one for one in series if one.name == "train/epoch"), None)
    if known is None:
        return tuple(series)
    rows = np.argsort(known.step, kind="stable")
    step, epoch = known.step[rows], known.value[rows]

    def at(steps: np.ndarray) -> Floats:
        place = np.searchsorted(step, steps, side="right") - 1  # the last of several at one step
        found = step[np.maximum(place, 0)] == steps
        return np.where(found, epoch[np.maximum(place, 0)], np.nan)

    return tuple(one if one is known else replace(one, epoch=at(one.step)) for one in series)


def shown_tag(tag: bytes) -> str:
    """A tag as text. Distinct tags stay distinct, whatever their bytes and their length."""
    if len(tag) <= LONGEST_TAG:
        return tag.decode("utf-8", "backslashreplace")
    from google_crc32c import value

    return f"{tag[:200].decode('utf-8', 'backslashreplace')}… ({len(tag):,} bytes, crc32c {value(tag):08x})"


def _settings(name: str, gathered: Gathered) -> dict[str, dict[str, object]]:
    """The trainer's arguments first, then the model's configuration, then the hparams map."""
    found = {}
    for tag in SETTINGS_TEXTS:
        if tag in gathered.texts:
            found[f"{name}: {tag.decode().partition('/')[0]}"] = from_text(gathered.texts[tag][1])
    if gathered.hparams[0] >= 0:
        found[f"{name}: hparams"] = from_hparams(gathered.hparams[1])
    return {origin: values for origin, values in found.items() if values}


def _damage(file: str, walk: Walk, gathered: Gathered) -> tuple[Note, ...]:
    """One note for each of the first damaged places, and one for all others."""
    kept = f"{gathered.events:,} of {walk.count:,} records kept"
    found = [(loss.offset, _loss_text(loss, kept), loss.kind != "tail") for loss in walk.losses]
    found += [(offset, f"the record is no TensorBoard event; {kept}", True) for _, offset in gathered.bad]
    found.sort()
    notes = [
        Note(level="warning" if warning else "info", text=text, file=file, byte=offset)
        for offset, text, warning in (found if len(found) <= LISTED else [*found[: LISTED - 1], found[-1]])
    ]
    if len(found) > LISTED:
        text = f"{len(found) - LISTED:,} more damaged places between these two; {kept}"
        notes.insert(LISTED - 1, Note(level="warning", text=text, file=file, byte=found[LISTED - 1][0]))
    return tuple(notes)


def _loss_text(loss: Loss, kept: str) -> str:
    if loss.kind == "payload":
        records = "1 record" if loss.records == 1 else f"{loss.records:,} records in a row"
        return f"the checksum of {records} fails; {loss.size:,} bytes dropped; {kept}"
    if loss.kind == "tail":
        return f"ends inside a record (a crash, or still being written); {loss.size:,} bytes dropped; {kept}"
    if loss.kind == "zeros":
        return f"only zero bytes from here to the end ({loss.size:,}); {kept}"
    if loss.kind == "given-up":
        return f"too many damaged places; the last {loss.size:,} bytes were not searched any more; {kept}"
    return f"no whole record in these {loss.size:,} bytes; {kept}"
