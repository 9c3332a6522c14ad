"""The report's page: its frame, its looks, and the pieces that its sections are made of."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

BLUE: Final = "#0072B2"
ORANGE: Final = "#D55E00"
INK: Final = "#1A1A1A"
GREY: Final = "#6E6E6E"
BAND_80: Final = "#9CC7E4"
BAND_95: Final = "#DCEBF6"

# Nothing may be loaded and no script run, whatever the data says: a second wall behind the escaping.
_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'"

_STYLE: Final = f"""
:root {{ color-scheme: light; }}
* {{ box-sizing: border-box; }}
body {{ margin: 0; background: #fff; color: {INK};
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Helvetica, Arial, sans-serif; }}
main {{ max-width: 1188px; margin: 0 auto; padding: 24px; }}
h1 {{ font-size: 27px; line-height: 1.25; margin: 0 0 12px; }}
h2 {{ font-size: 20px; margin: 44px 0 6px; padding-top: 14px; border-top: 1px solid #d0d0d0; }}
h3 {{ font-size: 16px; margin: 26px 0 4px; }}
h1, figcaption, dd, .tile, .legend {{ overflow-wrap: anywhere; }}
p {{ margin: 6px 0 12px; max-width: 92ch; }}
.verdict {{ font-size: 20px; line-height: 1.4; margin: 0 0 12px; padding: 12px 16px; max-width: none;
  border-left: 6px solid {ORANGE}; background: #f5f5f5; }}
.verdict.won {{ border-color: {BLUE}; }}
.tiles {{ display: grid; grid-template-columns: repeat(auto-fit, minmax(235px, 1fr)); gap: 16px; margin: 20px 0; }}
.tile {{ border: 1px solid #c8c8c8; border-radius: 6px; padding: 12px 16px; }}
.tile h3 {{ margin: 0; font-size: 14px; font-weight: 600; }}
.tile strong {{ display: block; margin: 2px 0; font-size: 24px; line-height: 1.3; color: {BLUE}; }}
.tile p {{ margin: 0; font-size: 14px; line-height: 1.4; }}
dl {{ display: grid; grid-template-columns: max-content 1fr; gap: 3px 16px; margin: 12px 0; font-size: 14px; }}
dt {{ font-weight: 600; }}
dd {{ margin: 0; }}
.grid {{ display: grid; gap: 18px 16px;
  grid-template-columns: repeat(auto-fill, minmax(min(100%, var(--least)), 1fr)); }}
figure {{ margin: 12px 0 0; min-width: 0; break-inside: avoid; }}
figcaption {{ font-size: 14px; font-weight: 600; line-height: 1.35; }}
svg {{ display: block; max-width: 100%; height: auto; }}
.grid svg {{ width: 100%; }}
.scroll {{ overflow-x: auto; }}
.scroll svg {{ min-width: 760px; }}
.legend {{ display: flex; flex-wrap: wrap; gap: 2px 18px; font-size: 14px; margin: 6px 0; }}
.legend i {{ display: inline-block; width: 22px; margin-right: 6px; vertical-align: middle;
  print-color-adjust: exact; -webkit-print-color-adjust: exact; }}
table {{ border-collapse: collapse; font-size: 12px; line-height: 1.3; font-variant-numeric: tabular-nums; }}
caption {{ text-align: left; font-size: 15px; font-weight: 600; padding: 18px 0 4px; }}
caption small {{ display: block; font-size: 13px; font-weight: 400; }}
th, td {{ padding: 3px 6px; text-align: right; border-bottom: 1px solid #e0e0e0; white-space: nowrap; }}
thead th {{ vertical-align: bottom; border-bottom: 2px solid #8a8a8a; }}
thead th:first-child {{ text-align: left; }}
tbody th {{ position: sticky; left: 0; background: #fff; text-align: left; font-weight: 400; }}
tr.ours th, tr.ours td {{ background: {BAND_95}; print-color-adjust: exact; -webkit-print-color-adjust: exact; }}
code {{ font: 13px ui-monospace, Menlo, Consolas, "DejaVu Sans Mono", monospace; }}
@media (max-width: 640px) {{
  main {{ padding: 14px; }}
  h1 {{ font-size: 22px; }}
  .verdict {{ font-size: 17px; }}
  dl {{ grid-template-columns: 1fr; gap: 0; }}
  dd {{ margin-bottom: 6px; }}
}}
@media print {{
  main {{ max-width: none; padding: 0; }}
  .scroll {{ overflow: visible; }}
  .scroll svg {{ min-width: 0; }}
  table {{ font-size: 6.5pt; }}
  th, td {{ padding: 2px 3px; }}
}}
"""


def escape(text: str) -> str:
    """Return a text from the data as HTML has it; what UTF-8 cannot write, as a file's name may hold, becomes `?`."""
    return html.escape(text.encode("utf-8", "replace").decode())


def page(title: str, body: Iterable[str]) -> str:
    """Return the document.

    Args:
        title: plain text.
        body: HTML.
    """
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<main>\n"
        + "\n".join(body)
        + "\n</main>\n</body>\n</html>\n"
    )


def told(text: str) -> str:
    """Return a paragraph of plain text, nothing of none."""
    return f"<p>{escape(text)}</p>" if text else ""


def section(title: str, text: str, *body: str) -> str:
    """Return a section: its title, what the reader is to see in it (both plain text), and HTML."""
    return "\n".join([f"<section>\n<h2>{escape(title)}</h2>", told(text), *body, "</section>"])


def figure(svg: str, caption: str = "") -> str:
    """Return a figure with a caption in plain text."""
    return f"<figure>{f'<figcaption>{escape(caption)}</figcaption>' if caption else ''}{svg}</figure>"


def wide(content: str) -> str:
    """Return content that a narrow screen scrolls sideways instead of making it too small to read."""
    return f'<div class="scroll">{content}</div>'


def grid(least: int, figures: Iterable[str]) -> str:
    """Return figures side by side, as many as fit with so many pixels each."""
    return f'<div class="grid" style="--least:{least}px">{"".join(figures)}</div>'


def legend(entries: Iterable[tuple[str, str, int]]) -> str:
    """Return what colours mean: text, colour, and the height of its sample in pixels."""
    items = "".join(
        f'<span><i style="background:{colour};height:{height}px"></i>{escape(text)}</span>'
        for text, colour, height in entries
    )
    return f'<div class="legend">{items}</div>'


def terms(pairs: Iterable[tuple[str, str]]) -> str:
    """Return a list of terms and what is said of each, both plain text."""
    return f"<dl>{''.join(f'<dt>{escape(term)}</dt><dd>{escape(text)}</dd>' for term, text in pairs)}</dl>"


def tile(title: str, figure_: str, note: str) -> str:
    """Return a figure to be seen at a glance; all plain text."""
    return f'<div class="tile"><h3>{escape(title)}</h3><strong>{escape(figure_)}</strong><p>{escape(note)}</p></div>'
