"""What runs beside the worker: Prometheus, Grafana, and the dashboard as code."""
