"""What of a stock transaction is demand: what customers took, or would have taken."""

from __future__ import annotations


def demand_of(transaction_type: str | None, quantity: int) -> int:
    """Return the demand of a transaction, signed, in the quantity's unit.

    A sale is demand, and a void that brings something back takes as much away. A return does not: it was wanted when it
    was sold. Receipts, transfers, waste, counts and adjustments are none.

    Args:
        transaction_type: of the contract; None is a sale below 0, else a receipt.
        quantity: signed, below 0 leaves the shelf.
    """
    if transaction_type == "sale" or (transaction_type is None and quantity < 0):
        return -quantity
    if transaction_type == "void" and quantity > 0:
        return -quantity
    return 0
