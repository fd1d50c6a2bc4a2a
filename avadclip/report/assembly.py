"""Markup, styles and scripts of ``assets/`` -> one HTML file that loads nothing from the network."""

import base64
import hashlib
import json
import re
from html import escape
from importlib import resources
from typing import Any

from avadclip.report import assets

# In reading order; the browser gets one style sheet and one script.
STYLES = ("base.css", "list.css", "viewer.css", "judging.css", "chart.css", "results.css")
SCRIPTS = (
    "text.js",
    "data.js",
    "alarm_rule.js",
    "segments.js",
    "thinning.js",
    "player.js",
    "threshold.js",
    "zoom.js",
    "drawing.js",
    "edges.js",
    "chart.js",
    "judgements.js",
    "corrections.js",
    "judging.js",
    "orders.js",
    "list.js",
    "viewer.js",
    "app.js",
)


def assemble(title: str, index: dict[str, Any], results_html: str | None) -> str:
    """The whole page.

    Parameters
    ----------
    title : plain text.
    index : JSON values that the scripts have from the start.
    results_html : trusted markup of the second tab; None: no such tab.
    """
    style = "\n".join(_asset(name) for name in STYLES)
    # In a scope of their own: only what `app.js` exports is global.
    script = '(() => {\n"use strict";\n' + "\n".join(_asset(name) for name in SCRIPTS) + "\n})();\n"
    parts = {
        "title": escape(title),
        "policy": _policy(style, script),
        "style": style,
        "script": script,
        "index": script_json(index),
        "results": results_html or "",
        "tabs": "" if results_html is not None else "hidden",
    }
    # In one pass, so that placeholders in inserted text are not replaced.
    return re.sub(r"\{\{(\w+)\}\}", lambda place: parts[place[1]], _asset("page.html"))


def script_json(value: Any) -> str:
    """JSON that cannot end the script element around it; ASCII, so that odd file names survive as they are."""
    return json.dumps(value, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")


def _policy(style: str, script: str) -> str:
    """Content-Security-Policy: only files beside the page may be loaded, whatever a file name contains.

    ``file:`` is named because a page that is opened from disk has no origin for ``'self'``.
    """
    return "; ".join(
        [
            "default-src 'none'",
            f"script-src 'self' file: '{_digest(script)}'",
            f"style-src '{_digest(style)}'",
            "img-src 'self' file: data:",
            "media-src 'self' file:",
            "base-uri 'none'",
            "form-action 'none'",
        ]
    )


def _digest(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode("ascii")


def _asset(name: str) -> str:
    return resources.files(assets).joinpath(name).read_text(encoding="utf-8")
