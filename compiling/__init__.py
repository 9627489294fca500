"""The differ's hot modules as C extensions, from the very source that runs without them (optional: ``make compiled``).

:mod:`compiling.rewriting` says each module's records as classes that C can hold, the ``.pxd`` files here give types to what is
called most, Cython makes C of both, and :mod:`compiling.building` puts the result into ``build/compiled``, where
:mod:`echolane.compiled` finds it. The pure form is the reference; tests/differ/test_compiled.py holds both to equal results.
"""
