"""A module that imports what is not installed."""

import no_such_package_anywhere  # type: ignore[import-not-found]  # noqa: F401 -- that is the fault
