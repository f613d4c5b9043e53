"""A report as one HTML file: tables, plots and pictures, with nothing to load from elsewhere."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from itertools import groupby

from utils.pictures.plots import Plot, svg
from utils.tables import table

_STYLE = """
:root{color-scheme:light}
body{font:16px/1.45 system-ui,sans-serif;margin:0 auto;max-width:1400px;padding:12px;color:#1c2330;background:#f5f6f8}
h1{font-size:1.35rem;margin:.3em 0;overflow-wrap:anywhere}
section{background:#fff;border:1px solid #dfe3ea;border-radius:8px;padding:10px 14px;margin:12px 0}
h2{font-size:1.1rem;margin:.2em 0 .5em}
.plots{display:grid;gap:14px;grid-template-columns:repeat(auto-fill,minmax(min(100%,420px),1fr))}
figure{margin:0}figcaption{font-size:.9rem;color:#46505f;overflow-wrap:anywhere}
svg,img{width:100%;height:auto;display:block}
.scroll{overflow-x:auto;margin:8px 0}
.tables{display:flex;flex-wrap:wrap;gap:0 28px;align-items:flex-start}.tables>*{max-width:100%}
table{border-collapse:collapse;font-size:.88rem;font-variant-numeric:tabular-nums}
th,td{padding:3px 10px;border-bottom:1px solid #e8ebf0;text-align:left;vertical-align:top}
th{background:#f0f2f6}
td:first-child,th:first-child{position:sticky;left:0;background:#fff}th:first-child{background:#f0f2f6}
td.n,th.n{text-align:right}td.n{white-space:nowrap}td.c{min-width:4rem;max-width:22rem;overflow-wrap:break-word}
@media(max-width:600px){
td,th{padding:3px 6px}td.c{min-width:5.5rem;overflow-wrap:anywhere}td.c:first-child{min-width:7.5rem}
}
p{margin:.4em 0}summary{cursor:pointer}
"""


@dataclass(frozen=True)
class Table:
    """Rows under heads; ``folded`` ones open on a click. A cell that is a ``Link`` leads to a file beside the page."""

    heads: Sequence[str]
    rows: Sequence[Sequence[object]]
    folded: str = ""


@dataclass(frozen=True)
class Link:
    """A relative address and what is said of it."""

    href: str
    text: str

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True)
class Picture:
    """An image file (JPEG) and what it shows."""

    data: bytes
    caption: str


Block = Plot | Table | Picture | str


@dataclass(frozen=True)
class Section:
    """Part of a report; plots, pictures and tables that follow their like stand side by side where there is room."""

    title: str
    blocks: Sequence[Block]


def table_text(sections: Iterable[Section]) -> str:
    """Titles and tables of sections in Markdown; plots are left out."""
    lines: list[str] = []
    for section in sections:
        tables = [block for block in section.blocks if isinstance(block, Table)]
        said = [block for block in section.blocks if isinstance(block, str)] if not tables else []
        found = [table(each.heads, [[_said(cell) for cell in row] for row in each.rows]) for each in tables]
        for block in [*([text] for text in said), *found]:
            lines += [f"{section.title}:", "", *block, ""]
    return "\n".join(lines)


def plots_of(sections: Iterable[Section]) -> list[Plot]:
    """All plots, in order."""
    return [block for section in sections for block in section.blocks if isinstance(block, Plot)]


def render(title: str, sections: Sequence[Section]) -> str:
    """The page as text."""
    parts = [
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width,initial-scale=1">',
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body><h1>{escape(title)}</h1>",
    ]
    for section in sections:
        parts.append(f"<section><h2>{escape(section.title)}</h2>")
        for group, blocks in groupby(section.blocks, _group):
            made = [_block(block) for block in blocks]
            parts += [f'<div class="{group}">', *made, "</div>"] if group else made
        parts.append("</section>")
    return "\n".join([*parts, "</body></html>\n"])


def mapping_table(
    values: Mapping[str, object], heads: tuple[str, str] = ("setting", "value"), folded: str = ""
) -> Table:
    """A table of names and values."""
    return Table(heads, list(values.items()), folded)


def value_text(value: object) -> str:
    """A setting as its file has it.

    >>> value_text(None), value_text(True), value_text(["a", 1]), value_text("a")
    ('null', 'true', '["a", 1]', 'a')
    """
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def _group(block: Block) -> str:
    """What a block stands beside, where there is room; empty for none."""
    if isinstance(block, Plot | Picture):
        return "plots"
    return "tables" if isinstance(block, Table) and not block.folded else ""


def _block(block: Block) -> str:
    if isinstance(block, str):
        return f"<p>{escape(block)}</p>"
    if isinstance(block, Table):
        return _table(block)
    if isinstance(block, Plot):
        return f"<figure><figcaption>{escape(block.title)}</figcaption>{svg(block)}</figure>"
    data, caption = base64.b64encode(block.data).decode("ascii"), escape(block.caption, quote=True)
    image = f'<img alt="{caption}" src="data:image/jpeg;base64,{data}">'
    return f"<figure>{image}<figcaption>{caption}</figcaption></figure>"


def _table(table: Table) -> str:
    columns = zip(*table.rows, strict=True) if table.rows else ((),) * len(table.heads)
    kinds = [' class="n"' if column and all(map(_is_number, column)) else "" for column in columns]
    heads = "".join(f"<th{kind}>{escape(head)}</th>" for head, kind in zip(table.heads, kinds, strict=True))
    rows = "".join(f"<tr>{''.join(_cell(cell) for cell in row)}</tr>\n" for row in table.rows)
    text = f'<div class="scroll"><table><tr>{heads}</tr>\n{rows}</table></div>'
    return f"<details><summary>{escape(table.folded)}</summary>{text}</details>" if table.folded else text


def _cell(cell: object) -> str:
    if isinstance(cell, Link):
        return f'<td class="c"><a href="{escape(cell.href, quote=True)}">{escape(cell.text)}</a></td>'
    return f'<td class="{"n" if _is_number(cell) else "c"}">{escape(_said(cell))}</td>'


def _is_number(cell: object) -> bool:
    return cell is None or (isinstance(cell, int | float) and not isinstance(cell, bool))


def _said(cell: object) -> str:
    if isinstance(cell, float):
        return f"{cell:.6g}"
    return "–" if cell is None else str(cell)
