"""What the viewer alone looks like: the strip of scans, the grid of layers, the first screen."""

from __future__ import annotations

import json

from oct_core.words import say
from pages.ui.app.services import MAX_UPLOAD_BYTES

# Selectors of Streamlit's own parts are data-testids and the classes of keys (st-key-...).
_STYLE = """
<style>
.oct-zoom {
  all: unset; display: block; cursor: zoom-in; border-radius: .3rem; width: 100%;
  box-sizing: border-box;
}
.oct-zoom:focus-visible { outline: 3px solid #0072b2; outline-offset: 2px; }
.oct-maps img { outline: 1px solid rgba(128, 128, 128, .45); outline-offset: -1px; }
[data-testid="stMain"] [data-testid="stHeading"] h1 { font-size: 1.9rem; padding: .2rem 0; }
.oct-scan img { max-height: 46vh; object-fit: contain; }
.st-key-oct_strip { flex-wrap: nowrap !important; overflow-x: auto; padding: 4px 4px .4rem;
  scroll-snap-type: x proximity; }
.st-key-oct_strip > div { flex: none; scroll-snap-align: center; }
.st-key-oct_strip button {
  aspect-ratio: 16 / 11; align-items: flex-end; padding: 0; overflow: hidden;
  background: #000 center / contain no-repeat; border: 1px solid rgba(128, 128, 128, .5);
}
.st-key-oct_strip button:hover { border-color: #56b4e9; }
.st-key-oct_strip button[kind="primary"] {
  outline: 3px solid #0072b2; outline-offset: 1px; background-color: #000;
}
.st-key-oct_strip button > div { width: 100%; justify-content: center;
  background: rgba(0, 0, 0, .72); }
.st-key-oct_strip button p {
  color: #fff; font-size: .74rem; line-height: 1.5; white-space: nowrap; overflow: hidden;
}
.st-key-oct_strip .oct-badge { padding-top: .25rem; }
.oct-tools { display: flex; flex-wrap: wrap; gap: .3rem 1.4rem; align-items: center; }
.oct-tools button {
  all: unset; cursor: pointer; font-size: .85rem; padding: .2rem .8rem; border-radius: .5rem;
  border: 1px solid rgba(128, 128, 128, .5);
}
.oct-tools button[aria-pressed="false"] { background: #b3402e; border-color: #b3402e; color: #fff; }
.oct-tools button[aria-pressed="false"]::after { content: " ✕"; }
.oct-tools button:hover { border-color: #0072b2; }
.oct-tools button:focus-visible { outline: 3px solid #0072b2; outline-offset: 2px; }
.oct-scroll { overflow-x: auto; padding: 3px; }
.oct-row { margin: 0; align-self: center; border-left: 4px solid var(--own); padding-left: .5rem;
  font-size: .8rem; line-height: 1.35; }
.oct-row b, .oct-row span { display: block; } .oct-row span { opacity: .8; }
.oct-layers { min-width: min-content; }
.oct-layers .oct-row { position: sticky; left: 0; z-index: 1; }
.oct-answers.oct-maps { gap: .6rem; }
.oct-card h2 { margin: 0; padding: 0; font-weight: 500; font-size: .85rem; }
.oct-card figure { margin-top: .5rem; }
.oct-card figure img { max-height: 24vh; object-fit: contain; }
.oct-wait { margin-top: .5rem; aspect-ratio: 3 / 2; border-radius: .3rem;
  background: rgba(128, 128, 128, .12); }
.oct-card:not(.oct-wide) .oct-call + .oct-muted { display: none; }
[data-testid="stMain"] [data-testid="stFileUploaderDropzone"] { padding: .5rem .7rem; }
[data-testid="stHeading"] h2 { font-size: 1.2rem; padding: .4rem 0; }
@media (min-width: 1101px) {
  .oct-bars { grid-template-columns: auto 1fr 2.9rem; }
  .oct-card:not(.oct-wide) .oct-bars { margin-top: .3rem; }
}
@media (max-width: 700px) {
  .oct-layers { grid-auto-columns: 60vw; }
  .oct-card figure img { max-height: none; }
}
</style>
"""
_ZONE = '[data-testid="stFileUploaderDropzone"]'


def style() -> str:
    """The style sheet, with the drop zone's words in the language of the session: Streamlit's own
    are English.
    """
    kinds = say(
        "At most {megabytes} MB a file: PNG, JPEG, TIFF, BMP, WebP, JPEG 2000, PNM",
        megabytes=MAX_UPLOAD_BYTES // 2**20,
    )
    rules = []
    for part, words, size in (
        (f"{_ZONE} button p", say("Choose files"), "1rem"),
        (f"{_ZONE} [data-testid='stFileUploaderDropzoneInstructions'] span", kinds, ".8rem"),
    ):
        content = json.dumps(words, ensure_ascii=False)
        rules.append(
            f"{part} {{ font-size: 0; white-space: normal }} "
            f"{part}::before {{ content: {content}; font-size: {size} }}"
        )
    return f"{_STYLE}<style>{' '.join(rules)}</style>"
