"""The HTML page: self-contained, harmless, the same every time, small, and complete."""

from __future__ import annotations

import json
import math
import re
from base64 import b64encode
from hashlib import sha256
from html.parser import HTMLParser
from pathlib import Path

import msgspec
import pytest

from curvelab.commands.terminal import json_text
from curvelab.diagnosis import diagnose
from curvelab.ingest import load
from curvelab.model.finding import Finding, Level, Point, Span, Trend
from curvelab.model.result import Diagnosis, Outcome, SeamMark, Thinned
from curvelab.report.page import index, page

from . import diagnoses as made

SAMPLES = Path(__file__).parents[2] / "sample_runs"
ALL = {
    "ten": made.ten_findings(),
    "overfitting": made.diagnosis([made.overfitting()], seams=(SeamMark(step=420, reached=500),)),
    "abrupt-end": made.diagnosis([made.abrupt_end(), made.spikes()], planned_steps=1500, state="crashed"),
    "healthy": made.diagnosis(),
    "not-assessed": made.diagnosis(verdict="not-assessed", outcomes=made.outcomes()[-4:]),
    "empty": made.diagnosis(series={}, first_step=None, last_step=None, planned_steps=None, best_step=None, config={}),
}
FORBIDDEN_TAGS = {"iframe", "object", "embed", "form", "img", "base", "foreignobject", "animate", "set"}


class Collector(HTMLParser):
    """Every tag, id, class and address of a page, and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.words: list[str] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in ("meta", "link", "br", "wbr", "input"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, f"</{tag}> closes nothing"

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    def classes(self) -> set[str]:
        return {name for _, attributes in self.tags for name in attributes.get("class", "").split()}

    def text(self) -> str:
        return re.sub(r"\s+", " ", "".join(self.words))


def assert_harmless(text: str) -> Collector:
    """No script but ours, no handler, no address but those inside, every tag closed, every anchor there, ids unique."""
    parsed = Collector(text)
    assert parsed.open == []
    ids = [attributes["id"] for _, attributes in parsed.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    for tag, attributes in parsed.tags:
        assert tag not in FORBIDDEN_TAGS
        for name, value in attributes.items():
            assert not name.startswith("on")
            assert name != "src"
            if name in ("href", "xlink:href"):
                assert value == "data:," or (value.startswith("#") and value[1:] in ids), value
            if name in ("style", "clip-path"):
                assert not re.search(r"url\((?!#)|expression|@import", value)
            for reference in re.findall(r"url\(#([^)]+)\)", value):
                assert reference in ids
    style = re.search(r"<style>(.*?)</style>", text, re.S)
    assert style is not None
    assert "url(" not in style[1]
    assert "@import" not in style[1]
    assert "default-src 'none'" in text
    assert_only_our_script(text, parsed)
    return parsed


def assert_only_our_script(text: str, parsed: Collector) -> None:
    """At most the data and the one script whose hash the policy allows; nothing in them ends them early."""
    scripts = [attributes for tag, attributes in parsed.tags if tag == "script"]
    bodies = re.findall(r"<script[^>]*>(.*?)</script>", text, re.S)
    assert scripts in ([], [{"type": "application/json", "id": "curves"}, {}])
    assert len(bodies) == len(scripts)
    for data, script in zip(bodies[::2], bodies[1::2], strict=True):
        assert set(json.loads(data)) == {"axes", "series", "figures", "seams"}
        assert data.isascii() and not set("<>&") & set(data)
        digest = b64encode(sha256(script.encode()).digest()).decode()
        assert f"script-src 'sha256-{digest}'" in text
        assert "<!--" not in script


@pytest.mark.parametrize("name", ALL)
def test_a_page_is_self_contained_small_and_the_same_every_time(name: str) -> None:
    text = page(ALL[name])
    assert_harmless(text)
    assert text == page(Diagnosis.from_json(ALL[name].to_json()))
    assert len(text.encode()) < 250_000
    assert "{{" not in text
    assert "None" not in Collector(text).text()


@pytest.mark.parametrize("text", made.HOSTILE)
def test_names_from_a_log_do_no_harm(text: str) -> None:
    diagnosis = made.hostile(text)
    parsed = assert_harmless(page(diagnosis))
    shown = "".join(parsed.words)
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]", shown)
    entry = index([(diagnosis, "run.html")])
    assert "run.html" in entry
    again = Diagnosis.from_dict(json.loads(json_text(diagnosis.to_dict())))
    assert page(again) == page(diagnosis)
    assert not {tag for tag, _ in Collector(entry).tags} & {*FORBIDDEN_TAGS, "script"}


def test_every_kind_of_evidence_leaves_its_mark() -> None:
    parsed = assert_harmless(page(ALL["ten"]))
    drawn = {
        "span",
        "point",
        "level",
        "slope",
        "gap",
        "seam",
        "spoilt",
        "lane",
        "badge",
        "raw",
        "trend",
        "eval",
        "best",
    }
    assert drawn <= parsed.classes()


@pytest.mark.parametrize(
    ("evidence", "mark"),
    [
        (Span(metric="train/grad_norm", start_step=5, end_step=9), "span"),
        (Point(metric="train/grad_norm", step=500, value=2.0), "point"),
        (Level(metric="train/grad_norm", value=2.0), "level"),
        (Trend(metric="train/grad_norm", start_step=5, start_value=1, end_step=900, end_value=2), "slope"),
    ],
)
def test_evidence_is_drawn_in_the_picture_of_its_metric(evidence: object, mark: str) -> None:
    finding = Finding(
        pattern="x", severity="info", confidence=1, metric="train/grad_norm", headline="x", start_step=None,
        end_step=None, evidence=(evidence,),  # type: ignore[arg-type]
    )  # fmt: skip
    text = page(made.diagnosis([finding]))
    picture = text[text.index("<figure") : text.index("</figure>")]
    assert f'class="{mark}"' in picture
    assert "train/grad_norm" in picture
    article = text[text.index("<article") : text.index("</article>")]
    assert "<figure" not in article
    assert "picture at the top</a> shows it." in article


def test_verdict_comes_first_and_findings_go_from_worst_to_least() -> None:
    text = page(ALL["ten"])
    assert text.index("<h1>") < text.index("<figure") < text.index("<article")
    assert "Divergence since step 700" in Collector(text).text()
    order = re.findall(r'<article class="finding (\w+)" id="finding-(\d+)"', text)
    assert [severity for severity, _ in order] == ["critical"] * 3 + ["warning"] * 4 + ["info"] * 3
    assert [int(number) for _, number in order] == list(range(1, 11))
    main = text[text.index("<figure") : text.index("</figure>")]
    assert {int(n) for n in re.findall(r'href="#finding-(\d+)"', main)} == set(range(1, 11))


def test_a_finding_says_what_why_and_what_to_do() -> None:
    words = Collector(page(ALL["overfitting"])).text()
    for expected in (
        "very likely (93 %)",
        "eval/loss rose 22 % after step 350",
        "22.1 %",
        "--set overfitting.rise=…",
        "Keep the checkpoint of step 350.",
        "load_best_model_at_end",
        "Not when: The evaluation set is not what the model is for.",
        "Cost: a rerun.",
        "Source: Google, Deep Learning Tuning Playbook.",
    ):
        assert expected in words, expected


def test_a_consequence_links_to_its_cause() -> None:
    assert '<a href="#finding-1">finding 1, Divergence</a>' in page(ALL["ten"])


def test_a_healthy_page_says_why_and_what_could_not_look() -> None:
    words = Collector(page(ALL["healthy"])).text()
    assert "Looks healthy" in words
    assert "Why it is believed healthy" in words
    assert "Overfitting" in words
    assert "gpu/1/memory_gb was not logged" in words
    assert "ZeroDivisionError: division by zero" in words


def test_what_to_log_next_time_comes_from_the_needs_of_the_checks() -> None:
    blind = (Outcome(pattern="clip-saturation", status="not-applicable", reason="train/grad_norm was not logged"),)
    diagnosis = made.diagnosis(verdict="not-assessed", outcomes=blind, metrics={"train/loss": 200})
    words = Collector(page(diagnosis)).text()
    assert "Not assessed" in words
    assert "What to log next time" in words
    assert "train/grad_norm" in words


VALUES = {
    "huge": [1e308, -1e308, 1.7e308, 0.0],
    "huge positive": [1.0] * 20 + [1e308],
    "tiny": [5e-324, 1e-323, 5e-324],
    "all NaN": [math.nan] * 5,
    "infinite": [1.0, math.inf, -math.inf, 2.0],
    "one point": [2.0],
    "one NaN": [math.nan],
    "constant": [3.25] * 50,
    "constant zero": [0.0] * 50,
    "nearly constant": [1.0, 1.0 + 2e-16] * 20,
    "many decades": [10.0**-k for k in range(100)],
    "isolated": [1.0, math.nan] * 40,
    "empty": [],
}


@pytest.mark.parametrize("values", VALUES.values(), ids=VALUES.keys())
def test_any_values_can_be_drawn(values: list[float]) -> None:
    at = [10 * (i + 1) for i in range(len(values))]
    curves = {name: made.thinned(at, values) for name in ("train/loss", "eval/loss", "train/grad_norm")}
    end = at[-1] if at else None
    evidence = (
        Span(metric="train/loss", start_step=10, end_step=20),
        *(Point(metric="train/loss", step=s, value=v) for s, v in zip(at, values, strict=True)),
        Level(metric="train/loss", value=1e300),
        Trend(metric="train/grad_norm", start_step=10, start_value=math.nan, end_step=20, end_value=1.7e308),
    )
    finding = msgspec.structs.replace(made.divergence(), evidence=evidence)
    diagnosis = made.diagnosis([finding], series=curves, first_step=at[0] if at else None, last_step=end)
    text = page(diagnosis)
    assert_harmless(text)
    assert not re.search(r'(d|points|x|y)="[^"]*(nan|inf)', text)
    index([(diagnosis, "a.html")])


def test_a_run_of_many_points_and_findings_stays_below_the_limit() -> None:
    n = 1600
    at = made.steps(n, 1000)
    curves = {f"metric/{i}": made.thinned(at, made.noisy(n, 3, 1, 0.5, seed=i)) for i in range(56)}
    curves |= {name: made.thinned(at, made.noisy(n, 3, 1, 0.5)) for name in ("train/loss", "eval/loss", "eval/b/loss")}
    findings = [
        Finding(
            pattern=f"pattern-{i}", severity="warning", confidence=0.5, metric=f"metric/{i}", headline="x" * 300,
            start_step=i * 1000, end_step=None,
            evidence=(
                Span(metric=f"metric/{i}", start_step=i * 1000, end_step=i * 2000, label="x" * 300),
                *(Point(metric="train/loss", step=s, value=3.0) for s in at),
            ),
        )
        for i in range(25)
    ]  # fmt: skip
    text = page(made.diagnosis(findings, series=curves, last_step=at[-1], planned_steps=None))
    assert_harmless(text)
    assert len(text.encode()) < 400_000


def test_a_spike_of_one_step_survives_the_drawing() -> None:
    n = 1600
    values = made.noisy(n, 2.0, 2.0, 0.001)
    values[900] = 2.5
    curves = {"train/loss": made.thinned(made.steps(n, 1), values)}
    text = page(made.diagnosis(series=curves, last_step=n, best_step=None))
    tops = []
    for path in re.findall(r'class="raw"><path d="(M[^"]*)"', text)[:2]:
        y = [float(part) for part in re.findall(r"-?\d*\.?\d+", path)][1::2]
        lows, level = [], 0.0
        for i, step in enumerate(y):
            level = step if i == 0 else level + step
            lows.append(level)
        tops.append(max(lows) - min(lows))
    assert len(tops) == 2
    assert min(tops) > 150


def test_the_index_of_several_runs_names_the_comparison() -> None:
    several, one = [(ALL["ten"], "a.html"), (ALL["healthy"], "b.html")], [(ALL["ten"], "a.html")]
    assert "<code>curvelab compare</code>" in index(several)
    assert "curvelab compare" not in index(one)


def test_the_index_lists_runs_with_links_and_sparklines() -> None:
    text = index([(ALL["ten"], "runs/a b.html"), (ALL["healthy"], "javascript:alert(1)"), (ALL["empty"], "c.html")])
    parsed = Collector(text)
    words = parsed.text()
    assert "3 runs, 1 with a fault" in words
    assert "Divergence since step 700" in words
    assert "9 more findings" in words
    links = [attributes["href"] for tag, attributes in parsed.tags if tag == "a"]
    assert links == ["runs/a%20b.html", "javascript%3Aalert%281%29", "c.html"]
    assert text.count('class="spark"') == 2
    assert text == index(
        [(ALL["ten"], "runs/a b.html"), (ALL["healthy"], "javascript:alert(1)"), (ALL["empty"], "c.html")]
    )
    assert "No run was found" in index([])


def test_a_series_of_no_points_is_no_curve() -> None:
    curves = {"train/loss": Thinned(points=0, step=[], value=[])}
    assert_harmless(page(made.diagnosis(series=curves, first_step=None, last_step=None, best_step=None)))


def test_the_settings_of_the_users_matplotlib_do_not_matter() -> None:
    import matplotlib as mpl

    expected = page(ALL["healthy"])
    with mpl.rc_context({"lines.marker": "o", "text.usetex": True, "font.size": 30, "path.sketch": (1, 2, 3)}):
        assert page(ALL["healthy"]) == expected
        assert mpl.rcParams["font.size"] == 30


def test_the_order_of_a_page_is_that_of_a_readers_questions() -> None:
    text = page(diagnose(load(SAMPLES / "overfitting")))
    places = [text.index(part) for part in (
        "<h1>", "<figure", ">The finding<", ">The patch to copy<", ">What it cost", ">Other curves<", ">What was checked<",
        ">Settings of the run<", ">Notes of the import<", ">Where this comes from<",
    )]  # fmt: skip
    assert places == sorted(places)
    text = page(diagnose(load(SAMPLES / "healthy")))
    places = [text.index(part) for part in ("<h1>", "<figure", ">Why it is believed healthy<", ">What to log next time<", ">Settings of the run<")]
    assert places == sorted(places)


def test_the_findings_of_a_hand_made_json_are_bounded() -> None:
    text = page(made.diagnosis([made.overfitting()] * 500))
    assert len(text.encode()) < 400_000
    assert "The 500 findings" in text and "And 460 more" in text and 'id="finding-41"' not in text
