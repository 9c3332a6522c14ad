"""docker-compose.yml as Compose reads it, as far as it uses Compose."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from ruamel.yaml import YAML

from tests.stage import ROOT

if TYPE_CHECKING:
    from collections.abc import Mapping

PATH: Final = ROOT / "docker-compose.yml"
OURS: Final = ("topics", "simulator", "worker", "cli")
"""The services that run `smart-inventory`."""

_VARIABLE: Final = re.compile(r"\$\{(?P<name>[A-Z_]+):-(?P<default>[^}]*)\}")


def _interpolated(node: Any, environment: Mapping[str, str]) -> Any:
    """Put variables into every text: `${NAME:-default}` is the default where the variable is unset or empty."""
    if isinstance(node, dict):
        return {key: _interpolated(value, environment) for key, value in node.items()}
    if isinstance(node, list):
        return [_interpolated(value, environment) for value in node]
    if isinstance(node, str):
        return _VARIABLE.sub(lambda found: environment.get(found["name"]) or found["default"], node)
    return node


def variables() -> dict[str, str]:
    """Return what may be set from outside, with the defaults."""
    return {found["name"]: found["default"] for found in _VARIABLE.finditer(PATH.read_text())}


def project(environment: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Return the whole file, anchors resolved and, as Compose does it, variables put in after that."""
    loaded: dict[str, Any] = _interpolated(YAML(typ="safe").load(PATH.read_text()), environment or {})
    return loaded


def services(environment: Mapping[str, str] | None = None) -> dict[str, dict[str, Any]]:
    """Return the services by name."""
    found: dict[str, dict[str, Any]] = project(environment)["services"]
    return found


def seconds(duration: str) -> float:
    """Return a duration such as 30s or 1m30s in seconds."""
    parts = re.findall(r"(\d+)([smh])", duration)
    assert parts, duration
    assert "".join(number + unit for number, unit in parts) == duration
    return sum(int(number) * {"s": 1, "m": 60, "h": 3600}[unit] for number, unit in parts)


def mebibytes(size: str) -> int:
    """Return a size such as 512m or 1g in MiB."""
    return int(size[:-1]) * {"m": 1, "g": 1024}[size[-1]]
