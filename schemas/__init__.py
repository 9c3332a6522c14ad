"""The contract between shops, the worker and the services downstream."""

from schemas.dead_letter import InvalidEvent, Reason
from schemas.prediction import StockPrediction
from schemas.transaction import InventoryTransaction

__all__ = ["InvalidEvent", "InventoryTransaction", "Reason", "StockPrediction"]
