"""A report as one HTML file that needs nothing else: no script, no request, pictures inside."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from html import escape

from oct_core.figures.lettering import Ink
from oct_core.scan_report.content import Fact, Image, MapGroup, Predictor, ScanReport

# The policy has a browser refuse whatever is not in the file itself.
_HEAD = """<!doctype html>
<html lang="{language}"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>{title}</title><style>{style}</style></head><body>"""
_STYLE = """
@page { size: A4; margin: 14mm 14mm 16mm }
:root { color-scheme: light; --ink: #1c1e24; --quiet: #5c616c; --line: #dfe2e8 }
* { box-sizing: border-box }
body { font: .9rem/1.45 system-ui, -apple-system, "Segoe UI", "Apple SD Gothic Neo",
  "Malgun Gothic", "Noto Sans KR", "NanumGothic", sans-serif; color: var(--ink);
  background: #fff; max-width: 60rem; margin: 0 auto; padding: 2rem 1.25rem }
header { display: flex; flex-wrap: wrap; justify-content: space-between; align-items: baseline;
  gap: .2rem 1rem; border-bottom: 2px solid var(--ink); padding-bottom: .5rem }
h1 { font-size: 1.35rem; margin: 0 }
h2 { font-size: 1rem; margin: 1.6rem 0 .6rem }
h3 { font-size: .9rem; font-weight: 600; margin: 1rem 0 .4rem; padding-left: .6rem;
  border-left: 4px solid var(--own) }
p { margin: .3rem 0 }
.quiet { color: var(--quiet); font-size: .82rem }
.verdict { margin: 1rem 0; padding: .8rem 1rem; border-left: 6px solid var(--kind);
  background: color-mix(in srgb, var(--kind) 7%, #fff); border-radius: 0 6px 6px 0 }
.verdict b { font-size: 1.5rem; line-height: 1.25; color: var(--kind) }
.verdict ul { margin: .4rem 0 0; padding-left: 1.1rem }
.scan { display: grid; grid-template-columns: 1.25fr 1fr; gap: 1.25rem; align-items: start }
img { display: block; width: 100%; height: auto; border-radius: 3px }
dl { margin: 0 } dt { color: var(--quiet); font-size: .78rem } dd { margin: 0 0 .55rem }
.long { font: .72rem/1.4 ui-monospace, SFMono-Regular, Consolas, monospace;
  overflow-wrap: anywhere }
.models { display: grid; grid-template-columns: repeat(auto-fit, minmax(11rem, 1fr)); gap: .75rem }
.model { border: 1px solid var(--line); border-top: 4px solid var(--own); border-radius: 4px;
  padding: .6rem .75rem .7rem }
.model h3 { margin: 0; padding: 0; border: 0; font-size: .82rem; font-weight: 500;
  color: var(--quiet) }
.call { font-size: 1.15rem; font-weight: 650; margin: .1rem 0 0 }
.bars { display: grid; grid-template-columns: auto 1fr auto; gap: .22rem .5rem;
  align-items: center; font-size: .76rem; margin-top: .5rem; font-variant-numeric: tabular-nums }
.bars i { height: .6rem; background: #e8eaee; border-radius: 2px; overflow: hidden }
.bars i b { display: block; height: 100%; background: var(--own) }
.bars span:nth-child(3n) { text-align: right }
.none .call, .none .bars { color: #8b8f98 } .none .bars b { background: #a8acb4 }
.key { display: flex; gap: .7rem; align-items: center; margin: .25rem 0 }
.key img { width: 8rem; height: .7rem; flex: none }
.row { display: grid; gap: .6rem; margin-bottom: .6rem }
figure { margin: 0 } figcaption { font-size: .74rem; line-height: 1.3; margin-top: .25rem }
figcaption span { display: block; color: var(--quiet) }
.origin { display: grid; grid-template-columns: minmax(9rem, auto) 1fr; gap: .15rem 1rem }
.origin dt, .origin dd { margin: 0; padding: .1rem 0 }
footer { border-top: 1px solid var(--line); margin-top: 1.4rem; padding-top: .5rem }
@media (max-width: 40rem) {
  .scan, .origin { grid-template-columns: 1fr } .row { grid-template-columns: 1fr 1fr !important }
}
@media print {
  html { font-size: 12px }
  body { font-size: .85rem; padding: 0; max-width: none;
    -webkit-print-color-adjust: exact; print-color-adjust: exact }
  .models { grid-template-columns: repeat(4, 1fr) }
  .scan, .verdict, .model, .row, figure, .origin { break-inside: avoid }
  h2, h3, .key { break-after: avoid }
}
"""


def html_page(report: ScanReport) -> str:
    """The report as an HTML document."""
    kind = f'style="--kind:{_hex(report.ink)}"'
    head = _HEAD.format(
        language=_text(report.language), title=_text(report.title), style=_STYLE.strip()
    )
    answers, maps, origin = map(_text, report.headings)
    reasons = "".join(f"<li>{_text(reason)}</li>" for reason in report.reasons)
    parts = [
        head,
        f'<header><h1>{_text(report.title)}</h1><span class="quiet">{_text(report.made_words)}'
        "</span></header>",
        f'<p class="quiet">{_text(report.research)}</p>',
        f'<section class="verdict" {kind}><b>{_text(report.verdict)}</b>',
        f"<p>{_text(report.verdict_class)}</p>" if report.verdict_class else "",
        f"<ul>{reasons}</ul></section>" if reasons else "</section>",
        f'<section class="scan"><div>{_img(report.scan)}</div>',
        f"<div>{_facts(report.facts)}</div></section>",
        f"<h2>{answers}</h2>",
        f'<section class="models{"" if report.answered else " none"}">',
        *map(_model, report.predictors),
        "</section>",
        *(f'<p class="quiet">{_text(words)}</p>' for words in report.grounds),
    ]
    if report.groups:
        parts.append(f"<h2>{maps}</h2>")
        parts += [
            f'<p class="key quiet">{_img(key.image)}{_text(key.words)}</p>' for key in report.keys
        ]
        parts += map(_group, report.groups)
    parts += [
        *(f'<p class="quiet">{_text(remark)}</p>' for remark in report.remarks),
        f"<h2>{origin}</h2>",
        _facts(report.origin, "origin"),
        f'<footer class="quiet">{_text(report.program)} · {_text(report.research)}</footer>',
        "</body></html>",
    ]
    return "\n".join(filter(None, parts)) + "\n"


def _text(text: str) -> str:
    """Escaped; bytes of file names that are not UTF-8 are spelled out."""
    return escape(text.encode("utf-8", "backslashreplace").decode("utf-8"))


def _hex(ink: Ink) -> str:
    return "#{:02x}{:02x}{:02x}".format(*ink)


def _img(image: Image) -> str:
    data = base64.b64encode(image.data).decode("ascii")
    return (
        f'<img src="data:image/jpeg;base64,{data}" width="{image.width}" '
        f'height="{image.height}" alt="{_text(image.alt)}">'
    )


def _facts(facts: Sequence[Fact], kind: str = "") -> str:
    rows = "".join(
        f"<dt>{_text(fact.label)}</dt><dd{' class=long' if fact.long else ''}>"
        f"{_text(fact.value)}</dd>"
        for fact in facts
    )
    return f'<dl class="{kind}">{rows}</dl>'


def _model(predictor: Predictor) -> str:
    bars = "".join(
        f"<span>{_text(bar.label)}</span>"
        f'<i><b style="--own:{bar.colour};width:{bar.share:.2%}"></b></i>'
        f"<span>{bar.share:.1%}</span>"
        for bar in predictor.bars
    )
    return (
        f'<div class="model" style="--own:{predictor.colour}"><h3>{_text(predictor.title)}</h3>'
        f'<p class="call">{_text(predictor.call)} {predictor.confidence:.1%}</p>'
        f'<p class="quiet">{_text(predictor.call_title)}</p><div class="bars">{bars}</div></div>'
    )


def _group(group: MapGroup) -> str:
    columns = max(3, *map(len, group.rows))
    rows = "".join(
        f'<div class="row" style="grid-template-columns:repeat({columns},minmax(0,1fr))">'
        + "".join(
            f"<figure>{_img(cell.image)}<figcaption>{_text(cell.title)}"
            f"{f'<span>{_text(cell.caption)}</span>' if cell.caption else ''}</figcaption></figure>"
            for cell in row
        )
        + "</div>"
        for row in group.rows
    )
    return f'<h3 style="--own:{group.colour}">{_text(group.title)}</h3>{rows}'
