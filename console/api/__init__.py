"""``echolane api``: the HTTP API and the pages, for people without a shell and for machines.

:mod:`console.api.serve` is the command: it opens home, journal and store, and serves :mod:`console.api.site`, which puts each operation
of :mod:`console.api.table` behind the same gate (:mod:`console.api.gate`: host, size, rate, access, audit). An operation is a row of
the table: its method, path, role, types and handler; :mod:`console.api.openapi` makes the document of the same rows. Handlers read by
:mod:`console.api.reading` and have runs done by :mod:`console.api.launching`, which starts ``echolane run``. Who may what is in
:mod:`console.api.access` (tokens) and :mod:`console.api.sessions` (the cookie of pages); what was asked is in :mod:`console.api.audit`.
"""
