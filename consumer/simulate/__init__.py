"""Shops to try the worker on: a real retail year, a synthetic shop, faults among their events, and a sender.

Everything but `sender` is a pure generator: no clock, no Kafka, the same arguments give the same bytes. The modules
are imported one by one, because each has its own needs (`completejourney` pandas, `sender` the Kafka client).
"""
