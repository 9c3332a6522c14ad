"""Where a shelf is heading: each item's demand over the coming days, learned online from the closed days of the log.

Pure, and order-free: what closes an item's day depends on its own past and on what the days before have left in the
pools, never on which item was closed first. So a close may be spread over records and batches as suits the worker.
To the byte on every processor: + - * / and square roots, element by element; sums over items are of integers.
"""
