"""Smart Inventory: stock transactions in, predicted stock levels out, the model a pure function of the log."""

__version__ = "0.1.0"
