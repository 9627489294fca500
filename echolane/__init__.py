"""The floor: vocabulary and doors, no business rules.

Every room imports this package and nothing beside it. The words live in :mod:`echolane.exchange`
(what was recorded) and :mod:`echolane.observation` (what each target answered); both travel in frames
(:mod:`echolane.frame`) through the journal (:mod:`echolane.journal`), and results end in the store
(:mod:`echolane.store`). What must balance is in :mod:`echolane.ledger`, what went wrong in
:mod:`echolane.errors`, what can be set in :mod:`echolane.settings`.
"""

__version__ = "0.1.0"
