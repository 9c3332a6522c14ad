"""The contract as JSON Schemas: generated files; `python -m schemas.json` writes them anew."""
