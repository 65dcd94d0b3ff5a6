"""What holds for every detector and importer by its standing on its shelf: a new file needs no edit here."""

from __future__ import annotations

import inspect
import json
import pkgutil
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

import curvelab.detectors
import curvelab.importers
from curvelab import cards
from curvelab.catalogue import detector, detectors, importers
from curvelab.diagnosis import diagnose
from curvelab.model.errors import UsageError
from curvelab.model.finding import SEVERITIES
from curvelab.model.options import Options
from curvelab.rules import HEADINGS, Detector, Example
from curvelab.sources import Importer, Source

IMPORTER_HEADINGS = ("What it reads", "Damage", "Names", "Limits", "Sources")
SAMPLES = Path(__file__).parents[1] / "sample_runs"
EXAMPLES = [(one, example) for one in detectors() for example in one.examples]


def each(values):
    return pytest.mark.parametrize("one", values, ids=lambda one: getattr(one, "pattern", None) or one.format)


def modules(package) -> set[str]:
    return {module.name for module in pkgutil.iter_modules(package.__path__) if not module.name.startswith("_")}


def sentence(text: str) -> bool:
    """Whether a text is there for a reader: not empty, no space around it, one line."""
    return bool(text) and text == text.strip() and "\n" not in text


# detectors


def test_file_name_is_the_pattern():
    ours = {one.pattern.replace("-", "_") for one in detectors() if one.detect.__module__.startswith("curvelab.")}
    assert ours == modules(curvelab.detectors)


@each(detectors())
def test_detector_card(one: Detector):
    told = one.sections()
    assert tuple(told) == ("", *HEADINGS)
    assert all(told.values())
    assert told == cards.sections(one.card)
    assert sentence(told[""].replace("\n", " "))
    assert sentence(one.title)
    assert one.kind in ("curve", "run")


@each(detectors())
def test_detector_needs(one: Detector):
    assert one.needs
    assert all(metric and points >= 1 for metric, points in one.needs.items())
    known = {other.pattern for other in detectors()}
    assert one.pattern not in one.yields_to
    # a detector may name a pattern that stands on no shelf yet; it must be well-formed
    assert all(name in known or name == name.lower().replace("_", "-") for name in one.yields_to)


@each(detectors())
def test_thresholds_have_bounds_units_and_sources(one: Detector):
    for limit in cards.limits(one):
        assert limit.low <= limit.default <= limit.high, limit.setting
        assert sentence(limit.unit), limit.setting
        assert sentence(limit.source), limit.setting
        assert sentence(limit.meaning), limit.setting
        name = limit.setting.rpartition(".")[2]
        assert getattr(one.limits({name: limit.low}), name) == limit.low
        for wrong in (limit.high + 1, limit.low - 1, float("nan")):
            with pytest.raises(UsageError):
                one.limits({name: wrong})


@each(detectors())
def test_remedies_are_complete(one: Detector):
    for remedy in one.remedies:
        for text in (remedy.title, remedy.why, remedy.when_not, remedy.citation):
            assert sentence(text), remedy.title
        assert remedy.cost in cards.COSTS


@each(detectors())
def test_detector_has_examples_that_fire_and_that_do_not(one: Detector):
    assert {example.fires for example in one.examples} == {True, False}
    names = [example.name for example in one.examples]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize(("one", "example"), EXAMPLES, ids=[f"{one.pattern}: {e.name}" for one, e in EXAMPLES])
def test_example_behaves(one: Detector, example: Example):
    diagnosis = diagnose(example.build(), Options(select=(one.pattern,)))
    (outcome,) = diagnosis.outcomes
    assert outcome.pattern == one.pattern
    assert outcome.status != "failed", outcome.reason
    assert (outcome.status == "found") is example.fires, outcome
    assert bool(diagnosis.findings) is example.fires
    if example.onset:
        low, high = example.onset
        first = min(finding.start_step for finding in diagnosis.findings)
        assert low <= first <= high
    for finding in diagnosis.findings:
        assert finding.severity in SEVERITIES
        assert 0 <= finding.confidence <= 1
        assert sentence(finding.headline)
        assert finding.evidence or finding.severity == "info", "nothing to draw"
        assert finding.severity == "info" or one.remedies
        assert finding.severity == "info" or finding.fixes, "no remedy applies"
        for measured in finding.measured:
            if measured.setting is not None:
                pattern, _, threshold = measured.setting.rpartition(".")
                detector(pattern).limits({threshold: measured.threshold})
    assert type(diagnosis).from_json(diagnosis.to_json()).to_dict() == diagnosis.to_dict()


@each(detectors())
def test_examples_are_deterministic(one: Detector):
    for example in one.examples:
        answers = [diagnose(example.build(), Options(select=(one.pattern,))).to_dict() for _ in range(2)]
        assert answers[0] == answers[1]


# importers


def test_file_name_is_the_format():
    ours = {one.format.replace("-", "_") for one in importers() if one.read.__module__.startswith("curvelab.")}
    assert ours == modules(curvelab.importers)


@each(importers())
def test_importer_card(one: Importer):
    told = cards.sections(one.card)
    assert tuple(told) == ("", *IMPORTER_HEADINGS)
    assert all(told.values())
    assert sentence(one.title)
    assert one.globs
    assert all(glob and "/" not in glob for glob in one.globs)


@each(importers())
def test_importer_is_a_function_of_its_source(one: Importer):
    assert list(inspect.signature(one.read).parameters) == ["source"]
    assert inspect.getdoc(one.read)
    assert one.names("some_name_nobody_knows")


def samples() -> list[Path]:
    named = (path for path in sorted(SAMPLES.glob("*/**/*")) if any(one.claims_name(path.name) for one in importers()))
    return [path for path in named if path.is_file()]


def generic(glob: str) -> bool:
    """Whether a glob takes every file of a kind (`*.txt`, `*.csv.gz`): such a name promises no log."""
    return glob.startswith("*.") and not set("*?[") & set(glob[1:]) and "_" not in glob


@pytest.mark.parametrize("path", samples(), ids=lambda path: str(path.relative_to(SAMPLES)))
def test_one_importer_claims_a_sample_and_only_a_file_of_a_generic_name_may_be_no_log(path: Path):
    claiming = [one.format for one in importers() if one.claims(Source.at(path))]
    assert len(claiming) <= 1, claiming
    fitting = [glob for one in importers() for glob in one.globs if fnmatchcase(path.name, glob)]
    assert claiming or all(generic(glob) for glob in fitting), fitting


@pytest.mark.parametrize(("name", "content"), [("requirements.txt", "torch==2.4\n"), ("notes.log", "bought milk\n")])
def test_a_file_of_a_generic_name_that_is_no_log_is_claimed_by_none(name, content, tmp_path):
    path = tmp_path / name
    path.write_text(content)
    assert not [one.format for one in importers() if one.claims(Source.at(path))]


def test_exactly_one_importer_claims_a_state(tmp_path):
    path = tmp_path / "trainer_state.json"
    path.write_text(json.dumps({"log_history": []}))
    assert [one.format for one in importers() if one.claims(Source.at(path))] == ["trainer-state"]


def test_importers_that_share_a_glob_look_into_the_file():
    shared = [glob for one in importers() for glob in one.globs]
    for one in importers():
        if any(shared.count(glob) > 1 for glob in one.globs):
            assert one.looks is not None, "a name alone cannot tell them apart"
