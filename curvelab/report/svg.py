"""SVG for a page: matplotlib's output made small, themed and harmless; sparklines by hand."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from functools import lru_cache

import numpy as np
from markupsafe import Markup

from curvelab.model.result import Thinned
from curvelab.report.scale import rises_far, scale_for
from curvelab.signals.thinning import min_max_rows

SVG = "{http://www.w3.org/2000/svg}"
LINK = "{http://www.w3.org/1999/xlink}href"
MARK = "mark-"  # a gid that begins so becomes a class of the page: mark-span -> class="span"
SPARK_WIDTH, SPARK_HEIGHT = 120, 28

_NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:e-?\d+)?")
_STRAIGHT = frozenset("MLe0123456789.- \n")  # letters of a path that has no curves
_DROPPED = frozenset(("font", "font-family", "stroke-linecap", "stroke-linejoin", "stroke-miterlimit"))
_USUAL = frozenset((("font-size", "11px"), ("stroke-dashoffset", "0")))  # what the page says of all pictures, or what is meant anyway


def themed(
    svg: str,
    colours: Mapping[str, str],
    prefix: str,
    alt: str,
    kind: str,
    about: Mapping[str, str] | None = None,
    links: Mapping[str, str] | None = None,
) -> Markup:
    """Matplotlib's SVG for use inside a page.

    colours  "#rrggbb" -> name of the CSS variable that stands for it, so that both themes are legible
    prefix   makes the ids of this picture its own in the page
    alt      what the picture shows, for those who cannot see it
    kind     class of the <svg> element
    about    attributes for the script of the page: where in the picture the plot lies
    links    address of each link in the picture -> what it leads to, in words
    """
    root = ET.fromstring(svg)
    box = root.attrib["viewBox"]
    root.attrib.clear()
    # What is inside an image is not there for those who only hear it; links must be.
    role = "group" if root.find(f".//{SVG}a") is not None else "img"
    root.attrib.update({"class": kind, "viewBox": _rounded(box, 1), "role": role, "aria-label": alt, **(about or {})})
    for dropped in ("metadata", "style"):
        for parent in root.iter():
            for child in parent.findall(f"{SVG}{dropped}"):
                parent.remove(child)
    found = dict.fromkeys(re.findall(r"(?:url\(|href=\")#([\w-]+)", svg))
    used = {name: f"{prefix}{number}" for number, name in enumerate(found)}
    for element in root.iter():
        _slim(element, colours, used)
    _flatten(root)
    _name_links(root, links or {})
    text = (
        ET.tostring(root, encoding="unicode").replace("ns0:", "").replace(' xmlns:ns0="http://www.w3.org/2000/svg"', "")
    )
    return Markup(re.sub(r">\s+<", "><", text.replace(" />", "/>")))


def _slim(element: ET.Element, colours: Mapping[str, str], used: Mapping[str, str]) -> None:
    """One element: colours to variables, ids that are not used dropped, numbers rounded, comments of style merged."""
    attributes = element.attrib
    name = attributes.pop("id", "")
    if name.startswith(MARK):
        attributes["class"] = name.removeprefix(MARK).rstrip("0123456789_")
    elif name in used:
        attributes["id"] = used[name]
    target = attributes.pop(LINK, None)
    if target is not None:
        attributes["href"] = f"#{used[target[1:]]}" if element.tag == f"{SVG}use" else target
    if "clip-path" in attributes:
        attributes["clip-path"] = _own_ids(attributes["clip-path"], used)
    if "style" in attributes:
        _style(attributes, colours, used)
    if "d" in attributes:
        attributes["d"] = short_path(attributes["d"], fine=element.get("id") is not None)
    for key in ("x", "y", "width", "height"):
        if key in attributes:
            attributes[key] = _rounded(attributes[key], 1)
    if attributes.get("transform", "").startswith("rotate(-0 "):
        del attributes["transform"]
    element.text = element.text if element.text and element.text.strip() else None
    element.tail = None


def _style(attributes: dict[str, str], colours: Mapping[str, str], used: Mapping[str, str]) -> None:
    kept = []
    for part in attributes.pop("style").split(";"):
        name, _, value = (piece.strip() for piece in part.partition(":"))
        if name == "text-anchor":
            attributes["text-anchor"] = value
        elif name and name not in _DROPPED and (name, value) not in _USUAL:
            value = re.sub(r"#[0-9a-f]{6}", lambda m: f"var(--{colours[m[0]]})" if m[0] in colours else m[0], value)
            kept.append(f"{name}:{_own_ids(value, used)}")
    if kept:
        attributes["style"] = ";".join(kept)


def _own_ids(value: str, used: Mapping[str, str]) -> str:
    return re.sub(r"url\(#([\w-]+)\)", lambda m: f"url(#{used[m[1]]})", value)


def _flatten(root: ET.Element) -> None:
    """Take the children of groups that say nothing into their parents, and a style that all share to the group."""
    for parent in list(root.iter()):
        children: list[ET.Element] = []
        for child in parent:
            _unpack(child, children)
        parent[:] = children
    for parent in root.iter(f"{SVG}g"):
        seen = [child for child in parent if child.tag != f"{SVG}defs"]
        styles = {child.get("style", "") for child in seen}
        if len(seen) > 1 and len(styles) == 1 and "style" not in parent.attrib and styles != {""}:
            parent.set("style", styles.pop())
            for child in seen:
                del child.attrib["style"]


def _name_links(root: ET.Element, links: Mapping[str, str]) -> None:
    """One link for all that lies at one address, with its name; plain text beside links is not read out with them."""
    first: dict[str, ET.Element] = {}
    parents = {child: parent for parent in root.iter() for child in parent}
    for link in list(root.iter(f"{SVG}a")):
        address = link.attrib.pop("href", "")
        link.attrib.clear()
        link.attrib.update({"href": address, "aria-label": links.get(address, address)})
        if first.setdefault(address, link) is not link:
            first[address].extend(link)
            parents[link].remove(link)
    for text in root.iter(f"{SVG}text") if first else ():
        text.set("aria-hidden", "true")


def _unpack(element: ET.Element, into: list[ET.Element]) -> None:
    if element.tag == f"{SVG}g" and not element.attrib:
        for child in element:
            _unpack(child, into)
    elif element.tag not in (f"{SVG}g", f"{SVG}defs") or len(element):
        into.append(element)


def short_path(path: str, fine: bool = False) -> str:
    """A path with relative lines and one decimal (two when `fine`): about a third of the bytes."""
    if fine or set(path) - _STRAIGHT:
        return _rounded(path, 2 if fine else 1)
    return "".join(_polyline(part) for part in path.split("M")[1:])


def _polyline(part: str) -> str:
    """What follows an M, in tenths: the first point as it is, the others from one to the next, none that stays in place."""
    points = np.rint(np.array(part.replace("L", " ").split(), dtype=np.float64) * 10).astype(np.int64).reshape(-1, 2)
    start = f"M{_tenths(int(points[0, 0])).lstrip()} {_tenths(int(points[0, 1])).lstrip()}"
    if len(points) == 1:
        return start
    moves = np.diff(points, axis=0)
    moves = moves[moves.any(axis=1)]
    return start + "l" + ("".join(map(_tenths, moves.ravel().tolist())).lstrip() or "0 0")


@lru_cache(maxsize=4096)
def _tenths(tenths: int) -> str:
    """-5 -> "-.5", 123 -> " 12.3": a sign parts two numbers as well as a space."""
    size = abs(tenths)
    text = f"{size / 10:g}".replace("0.", ".", 1) if size < 10 else f"{size / 10:.10g}"
    return f"{'-' if tenths < 0 else ' '}{text}"


def _rounded(text: str, digits: int) -> str:
    return re.sub(r"\s+", " ", _NUMBER.sub(lambda m: f"{round(float(m[0]), digits):.10g}", text)).strip()


def sparkline(series: Thinned | None, alt: str) -> Markup:
    """A curve of two centimetres for a table's cell, without axes; breaks where values are not finite, and says so."""
    if series is None or not series.step:
        return Markup("")
    value = np.array(series.value[: len(series.step)], dtype=np.float64)
    rows = min_max_rows(value, SPARK_WIDTH)
    step, value = np.array(series.step, dtype=np.float64)[rows], value[rows]
    finite = np.isfinite(value)
    if not finite.any():
        return Markup("")
    up = np.clip(scale_for(value, log=True if rises_far(value) else None).place(value), 0, 1)
    with np.errstate(all="ignore"):
        along = (step - step[0]) / (step[-1] - step[0]) if step[-1] > step[0] else np.full(len(step), 0.5)
    xs = 2 + along * (SPARK_WIDTH - 4)
    ys = SPARK_HEIGHT - 3 - up * (SPARK_HEIGHT - 6)
    path, pen_down = [], False
    for x, y, good in zip(xs, ys, finite, strict=True):
        if good:
            path.append(f"{'L' if pen_down else 'M'} {x:.1f} {y:.1f}")
        pen_down = bool(good)
    last = np.flatnonzero(finite)[-1]
    ends = Markup('<text x="{}" y="{}">NaN</text>').format(SPARK_WIDTH, SPARK_HEIGHT - 3)
    return Markup(
        '<svg class="spark" viewBox="0 0 {} {}" role="img" aria-label="{}"><path d="{}"/>'
        '<circle cx="{}" cy="{}" r="2"/>{}</svg>'
    ).format(
        SPARK_WIDTH,
        SPARK_HEIGHT,
        alt if finite[-1] else f"{alt}, ends in NaN",
        short_path(" ".join(path)),
        round(float(xs[last]), 1),
        round(float(ys[last]), 1),
        "" if finite[-1] else ends,
    )
