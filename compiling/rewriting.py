"""A module's source as Cython takes it: records that a ``.pxd`` file makes C structs of get the ``__init__`` that msgspec gives them.

Nothing else of the source changes, save that ``x.__class__`` is asked as ``type(x)``, which C answers without a look-up.
"""

from __future__ import annotations

import ast
import re
from typing import NamedTuple, TypeGuard

STRUCT = "msgspec.Struct"
_CDEF = re.compile(r"^cdef class (\w+)", re.MULTILINE)
_ATTRIBUTE = re.compile(r"^    cdef public \w+ (\w+)$", re.MULTILINE)


class Unsupported(Exception):  # noqa: N818
    """The source says something that this rewriting does not know."""


class Field(NamedTuple):
    """One field of a record."""

    name: str
    default: ast.expr | None
    """None where one has to be given."""
    made: ast.expr | None
    """What makes a default for each record anew."""


Records = dict[str, list[Field]]
"""The fields of each class that was rewritten, those of its base first."""


def declared(pxd: str) -> dict[str, set[str]]:
    """The attributes of each class of a ``.pxd`` file."""
    found = list(_CDEF.finditer(pxd))
    ends = [*(one.start() for one in found), len(pxd)][1:]
    return {one[1]: set(_ATTRIBUTE.findall(pxd[one.start() : end])) for one, end in zip(found, ends, strict=True)}


def rewritten(source: str, pxd: str, records: Records) -> str:
    """The module for Cython; the records it has are added to those of the modules before.

    Raises:
        Unsupported: a record and its declaration do not say the same, or a record is made in a way not known here.
    """
    tree = ast.parse(source)
    attributes = declared(pxd)
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            _rewrite(node, attributes.get(node.name), records)
    return ast.unparse(ast.fix_missing_locations(_Classes().visit(tree)))


def _rewrite(node: ast.ClassDef, attributes: set[str] | None, records: Records) -> None:
    base = ast.unparse(node.bases[0]) if node.bases else ""
    if base in records:
        before = records[base]
    elif attributes is not None and base in {"", STRUCT}:
        before = []
    else:
        return
    if not base:  # a plain class, whose attributes are its slots
        named = {name for one in node.body if _is_slots(one) for name in ast.literal_eval(one.value)}
        node.body = [one for one in node.body if not _is_slots(one)]
    else:
        fields = [_field(one) for one in node.body if isinstance(one, ast.AnnAssign)]
        records[node.name] = [*before, *fields]
        named = {one.name for one in fields}
        node.body = [one for one in node.body if not isinstance(one, ast.AnnAssign)]
        node.body.insert(1, _init(base if before else "", before, fields))
        node.keywords = []
        node.bases = node.bases if before else []
    if attributes is not None and attributes != named:
        apart = ", ".join(sorted(attributes ^ named))
        raise Unsupported(
            f"class {node.name}: {apart}: not in both the class and its .pxd file; add or drop it in compiling/"
        )


def _is_slots(node: ast.stmt) -> TypeGuard[ast.Assign]:
    return isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__slots__"


def _field(node: ast.AnnAssign) -> Field:
    name, value = ast.unparse(node.target), node.value
    if isinstance(value, ast.Call):
        made = [word.value for word in value.keywords if word.arg == "default_factory"]
        if ast.unparse(value.func) != "msgspec.field" or len(made) != 1 or value.args or len(value.keywords) != 1:
            raise Unsupported(f"field {name}: {ast.unparse(value)}: only msgspec.field(default_factory=…) is known")
        # dict[str, str]() is a dict() that is made in a roundabout way.
        return Field(name, None, made[0].value if isinstance(made[0], ast.Subscript) else made[0])
    if isinstance(value, ast.List | ast.Dict | ast.Set):
        raise Unsupported(
            f"field {name}: a literal that all records would share; write msgspec.field(default_factory=…)"
        )
    return Field(name, value, None)


def _init(base: str, before: list[Field], fields: list[Field]) -> ast.stmt:
    """The ``__init__`` of a record."""
    arguments = ["self"]
    for one in [*before, *fields]:
        default = "None" if one.made is not None else "" if one.default is None else ast.unparse(one.default)
        arguments.append(f"{one.name}={default}" if default else one.name)
    lines = [f"{base}.__init__(self, {', '.join(one.name for one in before)})"] if base else []
    for one in fields:
        value = one.name if one.made is None else f"{ast.unparse(one.made)}() if {one.name} is None else {one.name}"
        lines.append(f"self.{one.name} = {value}")
    return ast.parse(f"def __init__({', '.join(arguments)}):\n    " + "\n    ".join(lines)).body[0]


class _Classes(ast.NodeTransformer):
    """``type(x)`` for ``x.__class__``."""

    def visit_Attribute(self, node: ast.Attribute) -> ast.expr:
        """One attribute."""
        self.generic_visit(node)
        if node.attr != "__class__":
            return node
        return ast.Call(ast.Name("type", ast.Load()), [node.value], [])
