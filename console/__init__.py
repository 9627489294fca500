"""The roof: what a person, a script or CI touches.

* :mod:`console.main` reads the command line, runs one command and turns every error into one line and an exit code.
* one file a command: :mod:`console.record`, :mod:`console.imports`, :mod:`console.recordings`, :mod:`console.run`,
  :mod:`console.runs` (runs and show), :mod:`console.dlq`, :mod:`console.doctor`, :mod:`console.config`, :mod:`console.demo`.
* what people see of a result: :mod:`console.terminal`, :mod:`console.page`, :mod:`console.junit`, :mod:`console.markdown`.

It may import every room; no room imports it. stdout is data, stderr is talk.
"""
