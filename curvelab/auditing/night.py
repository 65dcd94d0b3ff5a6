"""One pass over one project: what has changed is judged again, what is new is settled, and all of it is put together."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import msgspec

from curvelab.auditing.baselines import departures
from curvelab.auditing.editions import edition
from curvelab.auditing.engine import in_parallel, parts
from curvelab.auditing.inventory import Inventory, take
from curvelab.auditing.marks import Marks, digest, marks_below
from curvelab.auditing.policies import Rule, counts
from curvelab.auditing.request import Request
from curvelab.auditing.sameness import moved_runs, same_content
from curvelab.auditing.weeks import weeks
from curvelab.auditing.work import Errand, Job, judge
from curvelab.history import History, Settled, Tonight
from curvelab.model.audit import AuditedRun, AuditResult, RunRecord, TrackedFinding, Unread
from curvelab.model.note import Note

PAGES = "runs"  # folder of the runs' own reports, beside the audit's page
RUNS = 25  # of one task
BYTES = 48 * 1024**2  # of the logs of one task

Tick = Callable[[str, int, int], None]
_WHY = {
    "settings": "the settings of the audit have changed",
    "curvelab": "curvelab has changed",
}


class _Tree(msgspec.Struct, frozen=True, kw_only=True):
    """What the last audit saw below the folder: while it is the same, no log is opened."""

    marks: str
    causes: dict[str, str]
    errors: tuple[Unread, ...] = ()
    remarks: tuple[Note, ...] = ()


class Night:
    """One pass over one project."""

    def __init__(self, request: Request, history: History, now: float, tick: Tick | None) -> None:
        self.request = request
        self.history = history
        self.now = now
        self.tick = tick or (lambda what, done, all_: None)
        self.project = request.project or str(request.root)
        self.stored = history.records(self.project)
        self.same: set[str] = set()  # runs whose files have new times and the same bytes
        self.errand = Errand(
            root=request.root,
            policy=request.policy,
            metric_names=request.metric_names,
            pages=None if request.pages is None else Path(request.pages) / PAGES,
            now=now,
            quiet=request.quiet,
        )

    def result(self) -> AuditResult:
        """Look, settle what is new, and put it together."""
        marks = marks_below(self.request.root, self.request.passed_over)
        causes = {"curvelab": edition(), "settings": digest([repr(self._settings())])}
        tree = _Tree(marks=marks.digest(self.request.root), causes=causes)
        last = self._last_tree()
        if last is not None and (last.marks, last.causes) == (tree.marks, causes) and all(map(self._holds, self._present())):
            present = {record.run.key: _seen(record, "unchanged") for record in self._present()}
            fresh: dict[str, RunRecord] = {}
            moved: dict[str, str] = {}
            tree = last
        else:
            inventory = self._inventory(marks, causes)
            moved = moved_runs(inventory.jobs, self.stored)
            present, fresh, errors = self._judged(inventory, moved)
            tree = msgspec.structs.replace(tree, errors=tuple(errors), remarks=tuple(inventory.remarks))
        gone = self._gone(present, moved)
        settled = self._settled(present, fresh, moved, gone, tree)
        return self._put_together(present, fresh, gone, settled, tree)

    def _settings(self) -> object:
        policy = self.request.policy
        looked = [(r.name, r.runs, r.where, r.select, r.ignore, r.thresholds) for r in policy.rules]
        return policy.options, looked, sorted(self.request.metric_names.items()), self.request.quiet

    def _last_tree(self) -> _Tree | None:
        text = self.history.tree(self.project)
        try:
            return None if text is None else msgspec.json.decode(text, type=_Tree)
        except (msgspec.MsgspecError, UnicodeError):
            return None  # of another version: then everything is looked at again

    def _present(self) -> list[RunRecord]:
        return [record for record in self.stored.values() if record.run.seen != "gone"]

    def _holds(self, record: RunRecord) -> bool:
        """Whether what is kept of a run still holds while its files are the same: it rests, and its report is there."""
        if record.run.live and (record.quiet_after is None or self.now >= record.quiet_after):
            return False
        if self.request.pages is None or not record.findings:
            return True
        return record.run.page is not None and (Path(self.request.pages) / record.run.page).is_file()

    def _inventory(self, marks: Marks, causes: Mapping[str, str]) -> Inventory:
        return take(
            self.request.root,
            marks,
            causes,
            named=frozenset(self.request.metric_names),
            passed_over=self.request.passed_over,
            processes=self.request.processes,
            tick=partial(self.tick, "reading"),
        )

    def _judged(
        self, inventory: Inventory, moved: Mapping[str, str]
    ) -> tuple[dict[str, RunRecord], dict[str, RunRecord], list[Unread]]:
        """(all runs that are there, those that were judged tonight, what could not be read)."""
        present: dict[str, RunRecord] = {}
        renewed: list[RunRecord] = []
        todo: list[Job] = []
        for job in inventory.jobs:
            known = self.stored.get(job.key)
            if known is None or known.run.seen == "gone":
                todo.append(job)
            elif known.signature == job.signature and self._holds(known):
                present[job.key] = _seen(known, "unchanged")
            elif same := same_content(known, job, self.request.root):
                # a checkout, or a copy: only the times of the files are new
                self.same.add(job.key)
                renewed.append(msgspec.structs.replace(same, run=_seen(same, "unchanged").run))
                if self._holds(same):
                    present[job.key] = renewed[-1]
                else:
                    todo.append(replace(job, until=known.quiet_after))
            else:
                todo.append(job)
        self.history.keep(self.project, renewed)
        fresh: dict[str, RunRecord] = {}
        errors = list(inventory.errors)
        done = 0
        tasks = parts(todo, lambda job: job.size, RUNS, BYTES)
        for results in in_parallel(partial(judge, errand=self.errand), tasks, self.request.processes, _killed):
            records = [self._dated(one, moved) for one in results if isinstance(one, RunRecord)]
            errors += [one for one in results if isinstance(one, Unread)]
            self.history.keep(self.project, records)
            fresh |= {record.run.key: record for record in records}
            done += len(results)
            self.tick("judging", done, len(todo))
        errors = list({(error.path, error.message): error for error in errors}.values())
        order = {job.key: place for place, job in enumerate(inventory.jobs)}
        everything = sorted({**present, **fresh}.items(), key=lambda pair: order[pair[0]])
        return dict(everything), fresh, errors

    def _dated(self, record: RunRecord, moved: Mapping[str, str]) -> RunRecord:
        """The record, with whether its run is new, or its log has changed."""
        before = self.stored.get(moved.get(record.run.key, record.run.key))
        if before is None:
            return _seen(record, "new")
        return _seen(record, "changed" if self._changed(before, record) else "unchanged")

    def _changed(self, before: RunRecord, now: RunRecord) -> bool:
        return before.causes.get("log") != now.causes.get("log") and now.run.key not in self.same

    def _gone(self, present: Mapping[str, RunRecord], moved: Mapping[str, str]) -> list[RunRecord]:
        """Runs whose files are no longer there; one that merely cannot be read tonight is not gone."""
        taken = {*present, *moved.values()}
        left = [record for record in self._present() if record.run.key not in taken]
        return [record for record in left if not any((self.request.root / file).exists() for file in record.files)]

    def _settled(
        self,
        present: Mapping[str, RunRecord],
        fresh: Mapping[str, RunRecord],
        moved: Mapping[str, str],
        gone: Sequence[RunRecord],
        tree: _Tree,
    ) -> Settled:
        tonight = [
            Tonight(
                key=key,
                name=record.run.name,
                page=record.run.page,
                live=record.run.live,
                findings=record.findings,
                checked=record.checked,
                renewed=self._why(record, moved),
                was_key=moved.get(key),
            )
            for key, record in present.items()
        ]
        return self.history.settle(
            self.project,
            tonight,
            now=self.now if self.request.now is not None else time.time(),
            started=self.now,
            tree=msgspec.json.encode(tree).decode(),
            wanted=lambda finding: (counts(finding), False),
            accept=self.request.accept,
            gone=[record.run.key for record in gone],
        )

    def _why(self, record: RunRecord, moved: Mapping[str, str]) -> str:
        """Why what is known of a run may differ from what was known: the reason that is told where a finding is gone."""
        before = self.stored.get(moved.get(record.run.key, record.run.key))
        if before is not None and self._changed(before, record):
            return "its log has changed"
        if before is not None:
            for cause, why in _WHY.items():
                if before.causes.get(cause) != record.causes.get(cause):
                    return why
        return "the run was looked at again"

    def _put_together(
        self,
        present: Mapping[str, RunRecord],
        fresh: Mapping[str, RunRecord],
        gone: Sequence[RunRecord],
        settled: Settled,
        tree: _Tree,
    ) -> AuditResult:
        from curvelab import __version__

        runs = tuple(record.run for record in present.values())
        rules = {run.key: self.request.policy.named(run.rule) for run in runs}
        return AuditResult(
            root=str(self.request.root),
            number=settled.number,
            started=self.now,
            finished=time.time() if self.request.now is None else self.now,
            previous=settled.previous,
            runs=(*runs, *(_seen(record, "gone").run for record in gone)),
            findings=tuple(self._failing(finding, rules.get(finding.run)) for finding in settled.findings),
            departures=departures(runs),
            weeks=weeks(present.values()),
            errors=tree.errors,
            remarks=tree.remarks,
            fail_on=self.request.policy.fail_on,
            diagnosed=len(fresh),
            accepted=self.request.accept,
            version=__version__,
            diagnoses={key: record.diagnosis for key, record in present.items()},
        )

    def _failing(self, finding: TrackedFinding, rule: Rule | None) -> TrackedFinding:
        fails = not self.request.accept and self.request.policy.fails(finding, rule)
        return msgspec.structs.replace(finding, fails=fails)


def _killed(job: Job) -> list[RunRecord | Unread]:
    text = "the process that judged it was killed (out of memory?); skipped"
    return [Unread(path=str(job.group.path), message=text)]


def _seen(record: RunRecord, seen: str) -> RunRecord:
    run: AuditedRun = msgspec.structs.replace(record.run, seen=seen)
    return msgspec.structs.replace(record, run=run)
