"""Python columns to Arrow, by the types the engine names: pure, no socket and no engine inside.

:mod:`echolane.store.client` encodes with it what it sends; the owner hands the stream to the engine unread.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate, chain
from typing import Any

import pyarrow as pa

from echolane.store import QueryError

SLICE_BYTES_MAX = 32 * 1024 * 1024
"""An insert is cut into messages of about this size, so the owner's memory does not grow with the caller's batch."""
SLICE_ROWS_MAX = 65_536
"""Above the flush of any room (10 k rows); one slice becomes one part on the disk."""

_SCALARS: dict[str, pa.DataType] = {
    "String": pa.string(),
    "Bool": pa.bool_(),
    "Float32": pa.float32(),
    "Float64": pa.float64(),
    **{f"Int{bits}": pa.type_for_alias(f"int{bits}") for bits in (8, 16, 32, 64)},
    **{f"UInt{bits}": pa.type_for_alias(f"uint{bits}") for bits in (8, 16, 32, 64)},
}
_WRAPPED = re.compile(r"(LowCardinality|Nullable|Array)\((.*)\)")
_TIMES = {"DateTime64(9": pa.timestamp("ns"), "DateTime64(6": pa.timestamp("us"), "DateTime64(3": pa.timestamp("ms")}


def arrow_type(clickhouse_type: str) -> pa.DataType:
    """The Arrow type a column of ``clickhouse_type`` is sent as."""
    if found := _WRAPPED.fullmatch(clickhouse_type):
        inner = arrow_type(found[2])
        return pa.list_(inner) if found[1] == "Array" else inner
    if kind := _SCALARS.get(clickhouse_type) or _TIMES.get(clickhouse_type.split(",")[0].rstrip(")")):
        return kind
    raise QueryError(f"a column of type {clickhouse_type} cannot be inserted into; use one of {', '.join(_SCALARS)}")
