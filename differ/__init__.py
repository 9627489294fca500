"""The differ tells a regression from noise. Two answers become differences, differences evidence, evidence a verdict.

From two answers to differences: :mod:`differ.compare` (status), :mod:`differ.fields` (headers), :mod:`differ.bodies`
with :mod:`differ.bodies_of` for what a body is, :mod:`differ.raws`, :mod:`differ.jsons` and :mod:`differ.xmls` for trees,
:mod:`differ.walk` for their structure, :mod:`differ.classes` for what a text is by its looks, :mod:`differ.renaming` with
:mod:`differ.ids` for ids that stand for one another. From differences to a verdict: :mod:`differ.rows` (one row per exchange),
:mod:`differ.relating` (ids across exchanges), :mod:`differ.evidence` (exact tests),
:mod:`differ.folding` (one cause, one finding), :mod:`differ.verdict`, :mod:`differ.result` (the ■ JSON).

Two processes use it: :mod:`differ.worker` compares while a run fires, :mod:`differ.close` weighs when it has ended.
"""
