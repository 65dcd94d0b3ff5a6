"""Names of remote things: what is read under a private local path is shown under its URL, everywhere."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from curvelab.model.errors import UnreadableError
from curvelab.model.log import Log
from curvelab.model.note import Note
from curvelab.model.run import Run


class ShownAsUrl(type(Path())):  # type: ignore[misc] # Path itself cannot be subclassed before Python 3.12
    """A local path whose text is the URL that it was copied from. Opening it opens the copy."""

    url = ""
    keeps: object = None  # whatever must live as long as the copy is used

    def __str__(self) -> str:
        return self.url or super().__str__()

    def __fspath__(self) -> str:
        return str(super().__str__())


@dataclass(frozen=True)
class Label:
    """Every text that begins with `local` (a folder and its slash) is shown with `url` in that place."""

    local: str
    url: str
    keeps: object = field(default=None, compare=False)

    def text(self, text: str) -> str:
        """The text without any local path."""
        return text.replace(self.local, self.url)

    def error(self, error: UnreadableError) -> UnreadableError:
        """The error, told of the URL."""
        return UnreadableError(self.text(error.path), self.text(error.message))

    def run(self, run: Run) -> Run:
        """The run as if it had been read at the URL; an id that was made from the local path is made from the URL."""
        path = self.text(run.path)
        given = any(log.identity.get("id") == run.id for log in run.logs)
        return replace(
            run,
            id=run.id if given else hashlib.sha256(path.encode("utf-8", "surrogateescape")).hexdigest()[:12],
            path=path,
            logged={
                metric: replace(curve, origins=tuple(map(self.text, curve.origins)))
                for metric, curve in run.logged.items()
            },
            config={name: replace(one, origin=self.text(one.origin)) for name, one in run.config.items()},
            raw_config=self._keys(run.raw_config),
            notes=self._notes(run.notes),
            logs=tuple(self._log(log) for log in run.logs),
            batch_logs=tuple(map(self._path, run.batch_logs)),
        )

    def _log(self, log: Log) -> Log:
        return replace(
            log,
            path=self._path(log.path),
            settings=self._keys(log.settings),
            notes=self._notes(log.notes),
            damage=self._notes(log.damage),
        )

    def _path(self, local: Path) -> Path:
        path = ShownAsUrl(local)
        path.url, path.keeps = self.text(str(local)), self.keeps
        return path

    def _notes(self, notes: Iterable[Note]) -> tuple[Note, ...]:
        return tuple(
            Note(
                level=note.level,
                text=self.text(note.text),
                file=None if note.file is None else self.text(note.file),
                line=note.line,
                byte=note.byte,
            )
            for note in notes
        )

    def _keys(self, settings: Mapping[str, Mapping[str, object]]) -> dict[str, Mapping[str, object]]:
        return {self.text(origin): values for origin, values in settings.items()}
