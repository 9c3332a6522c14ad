"""`make demo-recovery`: the worker killed again and again, while a reader holds what it sees to an independent loop."""
