"""The audit as one HTML file that needs nothing else: outcomes, tables, pictures of near pairs."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from html import escape

from PIL import Image

from oct_core.data.audit import Audit, Finding, NearPair, part_words
from oct_core.data.manifest import Record
from oct_core.data.reading import find_again
from oct_core.errors import OctError
from oct_core.words import RESEARCH_LINE, say

_ROWS, _PAIRS, _WIDTH = 500, 60, 360
_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto; padding: 0 1rem;
  color: #1a1a1a; background: #fff; }
h2 { margin-top: 2.2rem; font-size: 1.15rem; }
h2 small { font-weight: normal; padding: .1rem .5rem; border-radius: .3rem; background: #e4f1e7; }
h2 small.look { background: #fbe5d0; }
table { border-collapse: collapse; display: block; overflow-x: auto; max-height: 30rem; }
th, td { text-align: left; padding: .2rem .8rem .2rem 0; border-bottom: 1px solid #ddd;
  overflow-wrap: anywhere; }
figure { display: flex; gap: 1rem; margin: 1rem 0; flex-wrap: wrap; }
figure div { max-width: 360px; overflow-wrap: anywhere; font-size: .85rem; }
img { display: block; width: 360px; max-width: 100%; background: #000; }
"""


def audit_page(audit: Audit) -> str:
    """An HTML document. It holds small pictures of the near pairs, at most 60, the most alike
    first, and at most 500 rows of each table.
    """
    title = say("Audit of {source}", source=audit.source)
    parts = [
        "<!doctype html>",
        '<meta charset="utf-8"><meta name="viewport" content="width=device-width">',
        f"<title>{_text(title)}</title><style>{_STYLE}</style><h1>{_text(title)}</h1>",
        f"<p>{_text(say(RESEARCH_LINE))}</p>",
        f"<p>{_text(say('This page holds pictures of scans: keep it as you keep the scans.'))}</p>",
    ]
    for finding in audit.findings:
        parts.append(_section(finding))
    if audit.near:
        parts.append(f"<h2>{_text(say('Pictures of the near duplicates'))}</h2>")
        parts.append(_pictures(audit.near))
    return "\n".join(parts) + "\n"


def _text(text: object) -> str:
    """Escaped; bytes of file names that are not UTF-8 are spelled out."""
    return escape(str(text).encode("utf-8", "backslashreplace").decode("utf-8"))


def _section(finding: Finding) -> str:
    mark = "<small>" if finding.sound else '<small class="look">'
    state = say("nothing found") if finding.sound else say("look at this")
    lines = [f"<h2>{_text(finding.title)} {mark}{_text(state)}</small></h2>"]
    lines.append(f"<p>{_text(finding.text)}</p>")
    if finding.rows:
        head = "".join(f"<th>{_text(column)}</th>" for column in finding.columns)
        body = "".join(
            "<tr>" + "".join(f"<td>{_text(cell)}</td>" for cell in row) + "</tr>"
            for row in finding.rows[:_ROWS]
        )
        lines.append(f"<table><tr>{head}</tr>{body}</table>")
    if len(finding.rows) > _ROWS:
        lines.append(f"<p>{_text(_more(len(finding.rows) - _ROWS))}</p>")
    return "\n".join(lines)


def _more(number: int) -> str:
    return say("and {number} more", number=number)


def _pictures(pairs: Sequence[NearPair]) -> str:
    lines = []
    records = {each.path: each for pair in pairs[:_PAIRS] for each in (pair.first, pair.second)}
    # in the order of their paths: rows of an array are read forwards
    pictures = {path: _picture(records[path]) for path in sorted(records)}
    for pair in pairs[:_PAIRS]:
        caption = say("{bits} of 255 bits differ", bits=pair.bits)
        both = "".join(f"<div>{pictures[each.path]}</div>" for each in (pair.first, pair.second))
        lines.append(f"<figure>{both}<div>{_text(caption)}</div></figure>")
    if len(pairs) > _PAIRS:
        lines.append(f"<p>{_text(_more(len(pairs) - _PAIRS))}</p>")
    return "\n".join(lines)


def _picture(record: Record) -> str:
    caption = f"{record.path} ({part_words(record)}, {record.label}, {record.patient})"
    try:
        image = Image.fromarray(find_again(record.path).scan.pixels)
    except OctError as error:  # prepared scans may have moved since
        return f"{_text(error)}<br>{_text(caption)}"
    image.thumbnail((_WIDTH, _WIDTH))
    file = io.BytesIO()
    image.save(file, "JPEG", quality=80)
    data = base64.b64encode(file.getvalue()).decode("ascii")
    return f'<img alt="" src="data:image/jpeg;base64,{data}">{_text(caption)}'
