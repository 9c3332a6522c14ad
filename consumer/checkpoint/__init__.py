"""Checkpoints: the model's state made durable, named by the log position that it belongs to."""

from consumer.checkpoint.model_file import load_model, save_model

__all__ = ["load_model", "save_model"]
