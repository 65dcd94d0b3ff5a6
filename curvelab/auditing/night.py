"""One pass over one project: what has changed is judged again, what is new is settled, and all of it is put together."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import msgspec

from curvelab.auditing.baselines import PATTERNS, PREFIX, as_finding, departures
from curvelab.auditing.delivery import TELLING, noted, untold
from curvelab.auditing.editions import edition
from curvelab.auditing.engine import in_parallel, parts
from curvelab.auditing.inventory import Inventory, take
from curvelab.auditing.losses import lost
from curvelab.auditing.marks import Marks, digest, marks_below
from curvelab.auditing.policies import Rule, counts
from curvelab.auditing.request import Request
from curvelab.auditing.sameness import moved_runs, same_content
from curvelab.auditing.weeks import weeks
from curvelab.auditing.work import Errand, Job, judge
from curvelab.history import History, Settled, Tonight
from curvelab.model.audit import NEWS, AuditedRun, AuditResult, Departure, RunRecord, TrackedFinding, Unread
from curvelab.model.note import Note
from curvelab.model.strict_json import encoded
from curvelab.model.tracking import LOG_CHANGED, LOST

PAGES = "runs"  # folder of the runs' own reports, beside the audit's page
RUNS = 25  # of one task
BYTES = 48 * 1024**2  # of the logs of one task

Tick = Callable[[str, int, int], None]
_WATCHED = {LOST: "clear"}  # found by the audit itself, whatever is selected
_WHY = {
    "settings": "the settings of the audit have changed",
    "curvelab": "curvelab has changed",
}


class _Tree(msgspec.Struct, frozen=True, kw_only=True):
    """What the last audit saw below the folder: while it is the same, no log is opened.

    marks    empty where something went wrong that may be right the next time (a full disk, a process that was killed)
    unread   keys of runs that are known and could not be read
    """

    marks: str
    causes: dict[str, str]
    errors: tuple[Unread, ...] = ()
    remarks: tuple[Note, ...] = ()
    unread: tuple[str, ...] = ()


class Night:
    """One pass over one project."""

    def __init__(self, request: Request, history: History, now: float, tick: Tick | None) -> None:
        self.request = request
        self.history = history
        self.now = now
        self.tick = tick or (lambda what, done, all_: None)
        self.stored = history.records(request.kept_as)
        self.same: set[str] = set()  # runs whose files have new times and the same bytes
        self.passing = False  # whether something failed that may go well the next time
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
            unread = {key: present.pop(key) for key in last.unread if key in present}
            fresh: dict[str, RunRecord] = {}
            moved: dict[str, str] = {}
            gone: list[RunRecord] = []
            tree = msgspec.structs.replace(last, errors=_with_news(last.errors, last))
        else:
            inventory = self._inventory(marks, causes)
            self.passing |= inventory.passing
            moved = moved_runs(inventory.jobs, self.stored, self.request.root)
            present, fresh, errors = self._judged(inventory, moved)
            gone, unread = self._absent(present, moved, {file for job in inventory.jobs for file in job.files})
            tree = msgspec.structs.replace(
                tree,
                marks="" if self.passing else tree.marks,
                errors=_with_news(errors, last),
                remarks=tuple(inventory.remarks),
                unread=tuple(unread),
            )
        unusual = self._unusual(present)
        settled = self._settled(present, unusual, moved, gone, tree)
        self._sweep(present.values(), gone, unread.values())
        return self._put_together(present, fresh, gone, unread, unusual, settled, tree)

    def _settings(self) -> object:
        policy = self.request.policy
        looked = [(r.name, r.runs, r.where, r.select, r.ignore, r.thresholds) for r in policy.rules]
        return policy.options, looked, sorted(self.request.metric_names.items()), self.request.quiet

    def _last_tree(self) -> _Tree | None:
        text = self.history.tree(self.request.kept_as)
        try:
            return None if text is None else msgspec.json.decode(text, type=_Tree)
        except (msgspec.MsgspecError, UnicodeError):
            return None  # of another version: then everything is looked at again

    def _present(self) -> list[RunRecord]:
        return [record for record in self.stored.values() if record.run.seen != "gone"]

    def _holds(self, record: RunRecord) -> bool:
        """Whether what is kept of a run still holds while its files are the same: it rests, is at its place, has its report."""
        if not Path(record.run.path).is_relative_to(self.request.root):
            return False  # the project was moved: the paths in its diagnosis lead nowhere
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
        self._keep(renewed)
        fresh: dict[str, RunRecord] = {}
        errors = list(inventory.errors)
        done = 0
        tasks = parts(todo, lambda job: job.size, RUNS, BYTES)
        for results in in_parallel(partial(judge, errand=self.errand), tasks, self.request.processes, _killed, sum(job.size for job in todo)):
            records = [self._dated(one, moved) for one in results if isinstance(one, RunRecord)]
            errors += [one for one in results if isinstance(one, Unread)]
            self._keep(records)
            self.passing |= any(isinstance(one, Unread) for one in results)
            fresh |= {record.run.key: record for record in records}
            done += len(results)
            self.tick("judging", done, len(todo))
        errors = list({(error.path, error.message): error for error in errors}.values())
        order = {job.key: place for place, job in enumerate(inventory.jobs)}
        everything = sorted({**present, **fresh}.items(), key=lambda pair: order[pair[0]])
        return dict(everything), fresh, errors

    def _keep(self, records: Sequence[RunRecord]) -> None:
        if not self.request.rehearsed:
            self.history.keep(self.request.kept_as, records)

    def _dated(self, record: RunRecord, moved: Mapping[str, str]) -> RunRecord:
        """The record, with whether its run is new, or its log has changed."""
        before = self.stored.get(moved.get(record.run.key, record.run.key))
        if before is None:
            return _seen(record, "new")
        most = max(record.run.most_points, before.run.most_points)
        record = msgspec.structs.replace(record, run=msgspec.structs.replace(record.run, most_points=most))
        return _seen(record, "changed" if self._changed(before, record) else "unchanged")

    def _changed(self, before: RunRecord, now: RunRecord) -> bool:
        """Whether a log has other values: not where its files have another place or time only."""
        if before.run.key != now.run.key and before.run.points == now.run.points and before.run.final == now.run.final:
            return False
        return before.causes.get("log") != now.causes.get("log") and now.run.key not in self.same

    def _absent(
        self, present: Mapping[str, RunRecord], moved: Mapping[str, str], read: Collection[str]
    ) -> tuple[list[RunRecord], dict[str, RunRecord]]:
        """(runs whose files are no longer there or are part of other runs, those that merely could not be read tonight).

        read   the log files of all runs that are there
        """
        taken = {*present, *moved.values()}
        left = [record for record in self._present() if record.run.key not in taken]
        unread = {r.run.key: r for r in left if any(f not in read and (self.request.root / f).exists() for f in r.files)}
        return [record for record in left if record.run.key not in unread], unread

    def _unusual(self, present: Mapping[str, RunRecord]) -> dict[str, list[Departure]]:
        """Run key -> its departures from what is usual, but those that its rule ignores."""
        found: dict[str, list[Departure]] = {}
        for one in departures(record.run for record in present.values()):
            rule = self.request.policy.named(present[one.run].run.rule)
            if one.pattern not in (rule.ignore if rule else ()):
                found.setdefault(one.run, []).append(one)
        return found

    def _settled(
        self,
        present: Mapping[str, RunRecord],
        unusual: Mapping[str, Sequence[Departure]],
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
                findings=(*record.findings, *lost(record), *map(as_finding, unusual.get(key, ()))),
                checked={**record.checked, **_WATCHED, **({} if record.run.live else dict.fromkeys(PATTERNS, "clear"))},
                renewed=self._why(record, moved),
                was_key=moved.get(key),
            )
            for key, record in present.items()
        ]
        return self.history.settle(
            self.request.kept_as,
            tonight,
            now=self.now if self.request.now is not None else time.time(),
            started=self.now,
            tree=encoded(msgspec.to_builtins(tree)).decode(),
            wanted=lambda finding: (counts(finding), False),
            accept=self.request.accept,
            gone=[record.run.key for record in gone],
            rehearsed=self.request.rehearsed,
            again=self._untold(),
            memo=(TELLING, lambda before, new: noted(before, (one.fingerprint for one in new.findings if one.state in NEWS), self.now)),
        )

    def _why(self, record: RunRecord, moved: Mapping[str, str]) -> str:
        """Why what is known of a run may differ from what was known: the reason that is told where a finding is gone."""
        before = self.stored.get(moved.get(record.run.key, record.run.key))
        if before is not None and self._changed(before, record):
            return LOG_CHANGED
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
        unread: Mapping[str, RunRecord],
        unusual: Mapping[str, Sequence[Departure]],
        settled: Settled,
        tree: _Tree,
    ) -> AuditResult:
        from curvelab import __version__

        there = tuple(record.run for record in present.values())
        runs = (*there, *(_seen(r, "unchanged", unread=True).run for r in unread.values()), *(_seen(r, "gone").run for r in gone))
        rules = {run.key: self.request.policy.named(run.rule) for run in runs}
        tracked = [one for one in settled.findings if not one.pattern.startswith(PREFIX) and self._wanted(one, present)]
        return AuditResult(
            root=str(self.request.root),
            project=self.request.project or self.request.root.name,
            number=settled.number,
            started=self.now,
            finished=time.time() if self.request.now is None else self.now,
            previous=settled.previous,
            runs=tuple(sorted(runs, key=lambda run: run.key)),
            findings=tuple(self._failing(finding, rules.get(finding.run)) for finding in tracked),
            departures=tuple(_in_states(unusual, settled)),
            weeks=weeks(present.values()),
            errors=tree.errors,
            remarks=tree.remarks,
            fail_on=self.request.policy.fail_on,
            diagnosed=len(fresh),
            accepted=self.request.accept,
            rehearsed=self.request.rehearsed,
            version=__version__,
            diagnoses={key: record.diagnosis for key, record in present.items()},
        )

    def _wanted(self, finding: TrackedFinding, present: Mapping[str, RunRecord]) -> bool:
        """Whether a finding's pattern is still looked for: the user may have turned it off since it was found."""
        record = present.get(finding.run)
        return record is None or finding.pattern == LOST or finding.pattern in record.checked

    def _sweep(self, *there: Iterable[RunRecord]) -> None:
        """Take away the reports that nothing leads to any more: of runs without findings, and of those long gone.

        there   the runs of the result: those that are there, gone tonight, or could not be read
        """
        if self.errand.pages is None or not self.errand.pages.is_dir():
            return
        kept = {record.run.page for records in there for record in records}
        for path in self.errand.pages.glob("*-????????.html"):
            if f"{PAGES}/{path.name}" not in kept:
                path.unlink(missing_ok=True)

    def _untold(self) -> frozenset[str]:
        """Findings that an earlier audit settled, and then came to no end: nobody was told of them."""
        return untold(self.history.memo(self.request.kept_as, TELLING), self.now)

    def _failing(self, finding: TrackedFinding, rule: Rule | None) -> TrackedFinding:
        fails = not self.request.accept and self.request.policy.fails(finding, rule)
        return msgspec.structs.replace(finding, fails=fails)


def _killed(job: Job) -> list[RunRecord | Unread]:
    text = "the process that judged it was killed (out of memory?); skipped"
    return [Unread(path=str(job.group.path), message=text)]


def _with_news(errors: Iterable[Unread], last: _Tree | None) -> tuple[Unread, ...]:
    """The inputs that could not be read, those marked that the audit before did not tell of."""
    known = {error.path for error in last.errors} if last is not None else set()
    return tuple(msgspec.structs.replace(error, new=error.path not in known) for error in errors)


def _in_states(unusual: Mapping[str, Sequence[Departure]], settled: Settled) -> Iterator[Departure]:
    """The departures in the states that the history gives them."""
    states = {(one.run, one.pattern): one for one in settled.findings if one.state != "fixed"}
    for one in (one for some in unusual.values() for one in some):
        tracked = states.get((one.run, one.pattern))
        if tracked is not None:
            same = {name: getattr(tracked, name) for name in ("state", "fingerprint", "muted_until", "mute_reason")}
            yield msgspec.structs.replace(one, **same)


def _seen(record: RunRecord, seen: str, *, unread: bool = False) -> RunRecord:
    run: AuditedRun = msgspec.structs.replace(record.run, seen=seen, unread=unread)
    return msgspec.structs.replace(record, run=run)
