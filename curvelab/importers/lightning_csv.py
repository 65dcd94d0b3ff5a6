"""Lightning `metrics.csv`: what the CSVLogger of PyTorch Lightning writes into `lightning_logs/version_N`.

What it reads
-------------
One row is one family of metrics at one step, so most cells are blank: a blank is no value, and NaN is one. The columns
`step` and `epoch` are axes. What stands in `hparams.yaml` beside the file becomes settings of the run.

Damage
------
Lines with fewer or more fields than the header, with an open quote, with NUL bytes or longer than 4 MiB are dropped
and counted. The logger ends every line, so a last cell without a line end may be cut and is left out. A row without a
usable step takes the step of the row before. Values that are texts are counted, not kept.

Names
-----
Names are free: `Train loss` becomes train/loss, `Valid MSE` eval/mse, `val_loss` eval/loss. Of a metric that is logged
by step and by epoch, `train_loss_step` is train/loss and `train_loss_epoch` stays apart as train/loss_epoch, while of
the validation `val_loss_epoch` is eval/loss and `val_loss_step`, its batches, stays apart.

Limits
------
No wall times. Lightning counts a step from 0 (`step` 49 is logged after 50 of them); steps are kept as written. Only a
file of the name metrics.csv with both columns is taken for Lightning's; others are read as a plain table.

Sources
-------
https://lightning.ai/docs/pytorch/stable/extensions/generated/lightning.pytorch.loggers.CSVLogger.html; 11 public
files.
"""

from __future__ import annotations

from curvelab.free_names import common_name
from curvelab.importers._csv_kinds import kind_of
from curvelab.importers._csv_log import read_csv
from curvelab.model.log import Log
from curvelab.sources import Source, importer


@importer(
    title="PyTorch Lightning metrics.csv",
    globs=("metrics.csv", "metrics.csv.gz"),
    names=common_name,
    looks=lambda source: kind_of(source) == "lightning-csv",
)
def read(source: Source) -> Log:
    """Read one metrics.csv. Raises UnreadableError when no row can be read."""
    return read_csv(source, "lightning-csv", common_name, ends_lines=True)
