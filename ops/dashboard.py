"""The Grafana dashboard "Is it well?" as code: `python -m ops.dashboard` writes its JSON.

The description of each panel is what `consumer/metrics.py` says of its metric: what it means, and what to do.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from consumer.metrics import PREFIX
from ops.panels import NOW, OVER_TIME, Panel

PATH: Final = Path(__file__).parent / "grafana" / "dashboards" / "is-it-well.json"
DATA_SOURCE: Final = {"type": "prometheus", "uid": "prometheus"}
_WIDTH: Final = 24
_STAT_HEIGHT: Final = 4
_HEIGHT: Final = 8
_COLORS: Final = ("yellow", "red")
_SCHEMA_VERSION: Final = 39
"""Of Grafana's dashboard format; a newer Grafana migrates it when it reads it."""


def dashboard() -> dict[str, Any]:
    """Return the dashboard in Grafana's JSON model."""
    placed = [(panel, _WIDTH // len(NOW), _STAT_HEIGHT) for panel in NOW]
    placed += [(panel, _WIDTH // 2, _HEIGHT) for panel in OVER_TIME]
    panels = []
    x = y = 0
    for number, (panel, width, height) in enumerate(placed, start=1):
        panels.append(_panel(panel) | {"id": number, "gridPos": {"x": x, "y": y, "w": width, "h": height}})
        x += width
        if x + width > _WIDTH:
            x, y = 0, y + height
    return {
        "uid": "smart-inventory-is-it-well",
        "title": "Smart Inventory: is it well?",
        "tags": ["smart-inventory"],
        "schemaVersion": _SCHEMA_VERSION,
        "editable": False,
        "graphTooltip": 1,  # one cross-hair through all panels
        "refresh": "5s",
        "time": {"from": "now-15m", "to": "now"},
        "templating": {"list": [_instances()]},
        "panels": panels,
    }


def _instances() -> dict[str, Any]:
    query = f"label_values({PREFIX}build_info, instance)"
    return {
        "name": "instance",
        "label": "Worker",
        "type": "query",
        "datasource": DATA_SOURCE,
        "query": {"query": query, "refId": "instances"},
        "definition": query,
        "refresh": 2,  # whenever the time range changes: workers come and go
        "sort": 1,
        "multi": True,
        "includeAll": True,
        "allValue": ".*",
        "current": {"text": ["All"], "value": ["$__all"]},
    }


def _panel(panel: Panel) -> dict[str, Any]:
    defaults: dict[str, Any] = {"unit": panel.unit, "min": 0}
    if panel.kind == "stat":
        steps: list[dict[str, Any]] = [{"color": "green", "value": None}]
        steps += [
            {"color": color, "value": at} for color, at in zip(("yellow", "red"), panel.steps or (), strict=False)
        ]
        defaults["thresholds"] = {"mode": "absolute", "steps": steps}
        options: dict[str, Any] = {"reduceOptions": {"calcs": ["lastNotNull"]}, "colorMode": "value"}
    else:
        defaults["custom"] = {
            "lineWidth": 1,
            "fillOpacity": 60 if panel.is_stacked else 10,
            "stacking": {"mode": "normal" if panel.is_stacked else "none"},
        }
        options = {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi"}}
    return {
        "title": panel.title,
        "description": panel.description(),
        "type": panel.kind,
        "datasource": DATA_SOURCE,
        "targets": [
            {
                "refId": chr(ord("A") + number),
                "datasource": DATA_SOURCE,
                "expr": query.expression,
                "legendFormat": query.legend or "__auto",
            }
            for number, query in enumerate(panel.queries)
        ],
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "options": options,
    }


def rendered() -> str:
    """Return the file's text."""
    return json.dumps(dashboard(), indent=2) + "\n"


if __name__ == "__main__":
    PATH.parent.mkdir(parents=True, exist_ok=True)
    PATH.write_text(rendered(), encoding="utf-8")
