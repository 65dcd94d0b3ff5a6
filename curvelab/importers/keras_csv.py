"""Keras `training_log.csv`: what the CSVLogger callback writes, one row an epoch.

What it reads
-------------
The column `epoch` comes first and is the step; a note says so. All other columns are metrics. A file to which a second
training was appended counts its epochs from 0 again: that is a restart, and the earlier attempt stays as its own
segment. Where the header stands again in the middle, rows go on under it.

Damage
------
Lines with fewer or more fields than the header, with an open quote, with NUL bytes or longer than 4 MiB are dropped
and counted. The callback ends every line, so a last cell without a line end may be cut and is left out. A row without
a usable epoch takes that of the row before. Values that are texts (`[0.1 0.2]`, NA) are counted, not kept.

Names
-----
Plain names are of the training (`loss` is train/loss, `accuracy` train/accuracy), `val_...` of the validation
(eval/loss).

Limits
------
Steps are epochs: Keras does not log how many optimizer steps one has. No wall times and no settings. A CSV is taken
for Keras' when epoch comes first, no column counts steps and `loss` or a pair `x`, `val_x` is there.

Sources
-------
https://keras.io/api/callbacks/csv_logger/; 1 public file.
"""

from __future__ import annotations

from curvelab.free_names import train_by_default
from curvelab.importers._csv_kinds import GLOBS, kind_of
from curvelab.importers._csv_log import read_csv
from curvelab.model.log import Log
from curvelab.sources import Source, importer


@importer(
    title="Keras CSVLogger",
    globs=(*GLOBS, "*.log"),  # Keras' own example calls it training.log
    names=train_by_default,
    looks=lambda source: kind_of(source) == "keras-csv",
)
def read(source: Source) -> Log:
    """Read one CSVLogger file. Raises UnreadableError when no row can be read."""
    return read_csv(source, "keras-csv", train_by_default, ends_lines=True)
