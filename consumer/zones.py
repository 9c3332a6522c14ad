"""Time zones, from the data that comes with this software: a system's own may be of any year."""

from __future__ import annotations

from importlib import resources
from zoneinfo import ZoneInfo

import tzdata

from consumer.errors import SettingsError

ZONE_DATA: str = tzdata.IANA_VERSION
"""The version of the data, such as 2026b."""


def zone_of(name: str, variable: str = "STORE_TIMEZONE") -> ZoneInfo:
    """Return an IANA time zone.

    Args:
        name: of the zone.
        variable: what it was given as.

    Raises:
        SettingsError: there is none of this name.
    """
    try:
        # A name with dots would be a path, maybe one that leads elsewhere.
        parts = [] if "." in name else name.split("/")
        with resources.files("tzdata").joinpath("zoneinfo", *parts).open("rb") as data:
            return ZoneInfo.from_file(data, key=name)
    except (OSError, ValueError):
        raise SettingsError(
            f"{variable}={name}: expected an IANA time zone such as Europe/Berlin or UTC; there is none of this name"
        ) from None
