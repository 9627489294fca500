"""ClickHouse's HTTP interface before the embedded store, to read only, for Grafana and other clients of ClickHouse.

``asked`` reads a request; ``hello`` is what ClickHouse's client for Go reads first; ``told`` is what is answered, in ClickHouse's words;
``door`` is the server, beside API and pages. What may be asked is decided by :mod:`echolane.store.gate`, in the store's owner.
"""
