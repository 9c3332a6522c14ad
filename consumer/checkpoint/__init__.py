"""Checkpoints: the model's state made durable, named by the log position that it belongs to."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from consumer.checkpoint.model_file import load_model, save_model

__all__ = ["load_model", "save_model"]


def __getattr__(name: str) -> object:
    """Import what is exported only where it is asked for: River comes with it, which takes longer than all else."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from consumer.checkpoint import model_file  # noqa: PLC0415

    return getattr(model_file, name)
