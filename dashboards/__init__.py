"""Grafana and Prometheus, as code: what to look at and when to be woken. It imports none of the rooms; it knows their tables and metrics.

``statements`` is the SQL of the panels; ``panels`` builds Grafana's JSON from it, and run as a module writes ``grafana/*.json``.
``provisioning/`` has data sources and the folder of dashboards, ``prometheus/`` what to scrape and the alerts.
"""
