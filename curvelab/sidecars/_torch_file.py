"""The pickle inside a file of torch.save: a zip with one `data.pkl`, or before torch 1.6 bare pickles with a magic number."""

from __future__ import annotations

import io
import zipfile
import zlib

from curvelab.model.errors import UnreadableError
from curvelab.sources import Source

MAX_PICKLE = 4 * 1024**2  # bytes, unpacked
MAX_ENTRIES = 1_000  # files in the zip; torch writes six and one a tensor
MAX_RATIO = 200  # torch stores without packing; pickles of settings pack about 3 : 1
_STORED_OR_DEFLATED = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # the unpackers of which can be stopped at a size


def pickle_of(source: Source, raw: bytes) -> bytes:
    """The bytes of the pickle; nothing is written to disk. Raises UnreadableError when there is none to be trusted."""
    if raw[:2] != b"PK":
        return raw
    if raw.count(b"PK\x01\x02") > MAX_ENTRIES:  # before zipfile makes an object of each
        raise UnreadableError(source.path, f"more than {MAX_ENTRIES:,} files in its zip; not read")
    try:
        with zipfile.ZipFile(io.BytesIO(raw)) as archive:
            entry = _only_pickle(archive)
            with archive.open(entry) as file:
                data = file.read(MAX_PICKLE + 1)
    except _RefusedError as error:
        raise UnreadableError(source.path, f"{error}; not read") from None
    except (zipfile.BadZipFile, zlib.error, ValueError, OSError, EOFError, NotImplementedError, RuntimeError,
            LookupError, ArithmeticError) as error:  # fmt: skip
        raise UnreadableError(
            source.path, f"cut or damaged ({error or type(error).__name__}); its settings are not used"
        ) from None
    if len(data) != entry.file_size:
        raise UnreadableError(source.path, "cut or damaged (its pickle is not whole); its settings are not used")
    return data


class _RefusedError(Exception):
    """A zip that no torch.save wrote, or one made to fill the memory."""


def _only_pickle(archive: zipfile.ZipFile) -> zipfile.ZipInfo:
    found = [entry for entry in archive.infolist() if entry.filename.rpartition("/")[2] == "data.pkl"]
    if len(found) != 1:
        raise _RefusedError(f"{len(found)} files named data.pkl in its zip, one is expected")
    entry = found[0]
    if entry.file_size > MAX_PICKLE or entry.file_size > MAX_RATIO * max(entry.compress_size, 1):
        raise _RefusedError(f"its pickle would unpack to {entry.file_size:,} bytes")
    if entry.flag_bits & 0x1 or entry.compress_type not in _STORED_OR_DEFLATED:
        raise _RefusedError("its pickle is encrypted or packed in a way that torch does not use")
    return entry
