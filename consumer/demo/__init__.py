"""`smart-inventory demo`: a shop, a broker and the real worker, to be watched for half a minute.

`place` says where it happens, `shop` sends, `worker_process` is the worker, `answers` and `readings` hear of what it
does, `board` and `verdict` make sense of that, `live`, `plain` and `summary` show it, `session` ties them together.
"""
