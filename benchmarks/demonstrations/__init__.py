"""One module a demonstration: `SEED` and `demonstrate(report, broker, directory)`."""
