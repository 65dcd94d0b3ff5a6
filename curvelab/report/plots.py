"""The pictures of a page as files that stand alone: with title, axis labels and key, in the light colours."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from typing import Any, Literal

from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from curvelab.model.result import Diagnosis
from curvelab.report import numerals, wording
from curvelab.report.canvas import COLOURS, LETTER, TEXT_SIZE, Canvas
from curvelab.report.drawn import axis_words
from curvelab.report.figures import BOTTOM, GAP, RIGHT, TICK_HEIGHT, TOP, drawing, paint
from curvelab.report.gallery import MAIN_HEIGHT, WIDE, Picture, gallery
from curvelab.report.keys import line_keys
from curvelab.report.marks import height_above
from curvelab.report.means import with_means
from curvelab.report.pictures import Panel, is_loss
from curvelab.report.plain import clean, shortened
from curvelab.report.swatches import swatch
from curvelab.report.value_axis import scale_of
from curvelab.report.write import slug

PlotFormat = Literal["svg", "png", "pdf"]
LARGEST_TITLE = 15  # points
HEAD, KEY_ROW, LABEL, EDGE = 56, 20, 20, 14  # px: title and sentence, a row of the key, a label of an axis, the margin
KEY_LETTER, KEY_GAP, KEY_SWATCH = 6.6, 26, 32  # px: a letter of the key, between two entries, a swatch with its gap
DOTS = 144  # per inch, of a PNG
_METADATA: dict[PlotFormat, dict[str, None]] = {
    "svg": dict.fromkeys(("Date", "Creator", "Format", "Type")),
    "png": {"Software": None},
    "pdf": dict.fromkeys(("Creator", "Producer", "CreationDate")),
}


def plots(diagnosis: Diagnosis) -> Iterator[tuple[str, Picture]]:
    """(name of the file without suffix, picture) of every picture of the page, in its order; no name comes twice."""
    taken: set[str] = set()
    for picture in gallery(with_means(diagnosis), wording.ranked(diagnosis)):
        plain = slug(picture.name)
        name = next(n for n in (plain, *(f"{plain}-{k}" for k in range(2, 1000))) if n not in taken)
        taken.add(name)
        yield name, picture


def plot(picture: Picture, run: str, form: PlotFormat) -> bytes:
    """One picture as the bytes of a file, the same every time."""
    panel, scale = picture.wide, scale_of(picture.wide)
    entries = _entries(panel)
    rows = _rows(entries, WIDE - 2 * EDGE)
    ticks = scale.ticks(MAIN_HEIGHT // TICK_HEIGHT)
    left = EDGE + LABEL + max([len(label) for _, label in ticks], default=1) * LETTER + 2 * GAP
    inner_width, inner_height = WIDE - left - RIGHT, MAIN_HEIGHT - TOP - BOTTOM
    foot = BOTTOM + LABEL + KEY_ROW * (len(rows) + 0.5)
    total = HEAD + height_above(panel, inner_width) + TOP + inner_height + foot
    with drawing(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from")  # a name in letters that the font has not
        figure = Figure(figsize=(WIDE / 72, total / 72), dpi=72, facecolor=COLOURS["paper"])
        FigureCanvasSVG(figure)
        box = (left / WIDE, foot / total, inner_width / WIDE, inner_height / total)
        axes = figure.add_axes(box, xlim=(0, 1), ylim=(0, 1))
        paint(Canvas(axes, panel, scale, inner_width, inner_height), ticks)
        sheet = figure.add_axes((0, 0, 1, 1), xlim=(0, WIDE), ylim=(0, total), facecolor="none")
        sheet.set_axis_off()
        _write_words(sheet, picture, run, (left + inner_width / 2, foot + inner_height / 2, total))
        _write_key(sheet, panel, rows)
        for artist in figure.findobj(lambda one: bool(one.get_url())):
            artist.set_url(None)  # there is no list of findings to lead to
        out = io.BytesIO()
        figure.savefig(out, format=form, dpi=DOTS if form == "png" else 72, metadata=_METADATA[form])
    return out.getvalue()


def _write_words(sheet: Axes, picture: Picture, run: str, where: tuple[float, float, float]) -> None:
    """Title and axis labels; `where` is (middle across, middle up, top) in px."""
    across, up, top = where
    panel = picture.wide
    most = int(WIDE / KEY_LETTER)
    title: dict[str, Any] = {"fontsize": LARGEST_TITLE, "weight": "bold", "color": COLOURS["ink"]}
    sheet.text(EDGE, top - 24, shortened(clean(run), most * TEXT_SIZE // LARGEST_TITLE - 10), **title)
    sheet.text(EDGE, top - 44, shortened(clean(picture.headline), most), fontsize=TEXT_SIZE + 1, color=COLOURS["muted"])
    loss = all(is_loss(one.metric) for one in panel.lines)
    label = ("loss" if loss else panel.metrics) + panel.about + axis_words(panel)
    style: dict[str, Any] = {"fontsize": TEXT_SIZE, "color": COLOURS["muted"], "ha": "center", "va": "center"}
    sheet.text(EDGE + 2, up, shortened(label, 44), rotation=90, **style)
    key_height = KEY_ROW * (len(_rows(_entries(panel), WIDE - 2 * EDGE)) + 0.5)
    sheet.text(across, key_height + LABEL / 2, "step", **style)


Entry = tuple[str, str]  # (shape, text); a finding's shape is its number and severity


def _entries(panel: Panel) -> list[Entry]:
    """What the key says: the shapes of the picture, then the findings by their numbers."""
    found = [
        (f"{lane.number} {lane.severity}", f"{lane.title}, {numerals.steps(int(lane.start), int(lane.end))}")
        for lane in panel.lanes
    ]
    keys = panel.keys if any(key.metric for key in panel.keys) else (*line_keys(panel.lines), *panel.keys)
    return [(shape, shortened(text, 130)) for shape, text in ([(key.shape, key.text) for key in keys] + found)]


def _rows(entries: list[Entry], width: float) -> list[list[Entry]]:
    """Entries side by side in as many rows as they need."""
    rows: list[list[Entry]] = []
    free = 0.0
    for entry in entries:
        size = KEY_SWATCH + len(entry[1]) * KEY_LETTER + KEY_GAP
        if not rows or size > free:
            rows.append([])
            free = width
        rows[-1].append(entry)
        free -= size
    return rows


def _write_key(sheet: Axes, panel: Panel, rows: list[list[Entry]]) -> None:
    for number, row in enumerate(reversed(rows)):
        x, y = float(EDGE), KEY_ROW * (number + 0.75)
        for shape, text in row:
            swatch(sheet, shape, x, y, panel.severity)
            sheet.text(x + KEY_SWATCH, y, text, fontsize=TEXT_SIZE, color=COLOURS["ink"], va="center_baseline")
            x += KEY_SWATCH + len(text) * KEY_LETTER + KEY_GAP
