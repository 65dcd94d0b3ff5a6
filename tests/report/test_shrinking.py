"""The script and the style sheet of a page: small, and the same in what they do."""

from __future__ import annotations

import re

import pytest

from curvelab.report.page import index, page
from curvelab.report.shrinking import small_script, used_style

from . import diagnoses as made


@pytest.mark.parametrize(
    ("source", "small"),
    [
        ("const first = 1; // why\nconst second = first + 1;", "let a=1,b=a+1;"),
        ("const f = (value) => ({ value, name: value.name });", "let b=a=>({value:a,name:a.name});"),
        ("const { step, name } = given();", "let{step,name}=given();"),
        ("const text = `a ${other + `b ${other}`} // c`;", "let b=`a ${a+`b ${a}`} // c`;"),
        ("const plain = \"// no comment, const x\";", "let a=\"// no comment, const x\";"),
        ("const cut = word.replace(/[ /]+/g, \"\");", "let b=a.replace(/[ /]+/g,\"\");"),
        ("const up = a + +b, down = a - -b;", "let up=a+ +b,down=a- -b;"),
    ],
)
def test_the_small_script_says_the_same(source: str, small: str) -> None:
    inner = small_script([source]).removeprefix('(()=>{"use strict";').removesuffix("})();")
    shape = re.sub(r"\b[a-z]+\b", "_", small)
    assert re.sub(r"\b[a-z]+\b", "_", inner) == shape
    assert len(inner) <= len(source)


def test_local_names_are_taken_again_where_nothing_is_hidden_by_them() -> None:
    source = """const shared = (value) => value + 1;
        function first(longer, other) { const { x } = longer; return shared(other) + x; }
        function second(another) { return first(another, another); }
        const { left, right: [far] } = second(1), add = (x, far) => x + left + far;"""
    assert small_script([source]) == (
        '(()=>{"use strict";let b=a=>a+1;function c(a,d){let{x}=a;return b(d)+x}function d(a){return c(a,a)}'
        "let{left:f,right:[a]}=d(1),e=(b,a)=>b+f+a;})();"
    )


def test_a_style_sheet_keeps_what_the_page_can_use() -> None:
    sheet = """/* a */ .used, .unused { color: red; } p { margin: 0 } .unused > p { x: y }
        @media print { .unused { a: b } } @media (max-width: 9px) { .used:is(.a, .b) { a: b } :root { --x: 1 } }"""
    assert used_style(sheet, '<p class="used a b">') == (
        ".used{color:red}p{margin:0}@media (max-width: 9px){.used:is(.a, .b){a:b}:root{--x:1}}"
    )


def test_what_a_page_carries_is_small() -> None:
    text = page(made.ten_findings())
    scripts = re.findall(r"<script>(.*?)</script>", text, re.S)
    assert [len(one) < 12_000 for one in scripts] == [True]
    style = re.search(r"<style>(.*?)</style>", index([(made.diagnosis(), "a.html")]), re.S)
    assert style is not None and len(style[1]) < 6_000
