"""Masks: secrets are replaced by stand-ins before anything leaves the process that saw them.

Floor plan::

    masker.py   Masker: a request or response in, the same with masks out (the way in)
    rules.py    what is masked by default and what a user may change
    names.py    which names promise a secret
    atoms.py    one atom, one mask: keyed, same class, recognised when it comes back
    claims.py   what a JSON web token says, with its texts and numbers masked one by one
    scan.py     secrets by their look: e-mail, JWT, card, keys of known issuers
    pairs.py    secrets by their name: JSON, text, XML, HTML
    forms.py    request targets, urlencoded and multipart forms
    fields.py   header values: credentials, cookies, challenges
    edits.py    spans, replacements and how to take them back

Originals of requests go into the seal (:mod:`echolane.seal`). Masks are no promise to find all personal data; they are what can be
done on every exchange, by default, in microseconds.
"""

from echolane.masks.masker import MaskedRequest, MaskedResponse, Masker
from echolane.masks.rules import DEFAULT, MaskRules

__all__ = ["DEFAULT", "MaskRules", "MaskedRequest", "MaskedResponse", "Masker"]
