"""The differ tells a regression from noise. Two answers become differences, differences evidence, evidence a verdict.

From two answers to differences: :mod:`differ.compare` (status), :mod:`differ.fields` (headers, with
:mod:`differ.header_grammars`, :mod:`differ.header_changes`, :mod:`differ.cookies` and :mod:`differ.derived`),
:mod:`differ.bodies` with :mod:`differ.bodies_of` for what a body is, :mod:`differ.raws`, :mod:`differ.jsons` and
:mod:`differ.xmls` for trees, :mod:`differ.walk` and :mod:`differ.xml_walk` for their structure, a module for each other form
(:mod:`differ.pages`, :mod:`differ.csvs`, :mod:`differ.multiparts`, :mod:`differ.protobufs`, :mod:`differ.images`,
:mod:`differ.jwts`, :mod:`differ.graphqls`), :mod:`differ.aligning` for which elements belong together, :mod:`differ.words` for
long texts, :mod:`differ.classes` for what a text is by its looks, :mod:`differ.renaming` with :mod:`differ.ids` for ids that
stand for one another. A person's rules are read and refused by :mod:`differ.rules_reading` and :mod:`differ.rules_refusing`,
marked on differences by :mod:`differ.rules` and told by :mod:`differ.ruled`. From differences to a verdict: :mod:`differ.rows`
(one row per exchange), :mod:`differ.relating` (ids across exchanges), :mod:`differ.evidence` (exact tests),
:mod:`differ.shifts` and :mod:`differ.fourfold` (what lies inside noise), :mod:`differ.folding` (one cause, one finding) by
:mod:`differ.paths` with :mod:`differ.successors` for fields that were renamed and
:mod:`differ.spread` for where a cause does not show, :mod:`differ.verdict`, :mod:`differ.result` (the ■ JSON).

Two processes compare while a run fires, :mod:`differ.worker` and, what that sets aside (:mod:`differ.watch`, :mod:`differ.attempts`),
:mod:`differ.second_look`; what ends both again and again is in :mod:`differ.letters`. :mod:`differ.close` weighs when the run has ended.
"""

from __future__ import annotations

from echolane.compiled import folders

# The compiled form of the modules that have one comes first, where it was built (docs/how-to/compile-the-differ.md).
__path__[:0] = folders("differ")
