"""Python columns to Arrow, by the types the engine names: pure, no socket and no engine inside.

:mod:`echolane.store.client` encodes with it what it sends; the owner hands the stream to the engine unread.
"""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Generator, Mapping, Sequence
from importlib.abc import MetaPathFinder
from typing import Any, cast

from echolane.store import QueryError
from echolane.store.rows import checked

pa: Any = importlib.import_module("pyarrow")  # it has no types of its own

SLICE_BYTES_MAX = 8 * 1024 * 1024
"""An insert is cut into messages of about this size, so the owner's memory does not grow with the caller's batch."""
SLICE_ROWS_MAX = 16_384
"""Above the flush of a room (10 k rows), so that one becomes one part on the disk; small enough that in a larger batch the next
slice is made while the one before is written."""
_PROBED_MIN = 64
"""Shorter columns are not worth a look whether they are constant."""

_SCALARS: dict[str, Any] = {
    "String": pa.string(),
    "Bool": pa.bool_(),
    "Float32": pa.float32(),
    "Float64": pa.float64(),
    **{f"Int{bits}": pa.type_for_alias(f"int{bits}") for bits in (8, 16, 32, 64)},
    **{f"UInt{bits}": pa.type_for_alias(f"uint{bits}") for bits in (8, 16, 32, 64)},
}
_WRAPPED = re.compile(r"(LowCardinality|Nullable|Array)\((.*)\)")
_TIMES = {"DateTime64(9": pa.timestamp("ns"), "DateTime64(6": pa.timestamp("us"), "DateTime64(3": pa.timestamp("ms")}


class _WithoutPandas(MetaPathFinder):
    """pyarrow imports pandas, if it is there, when it meets its first list: 0.5 to 1 s of work for something never used."""

    def find_spec(self, fullname: str, *_: object) -> None:
        """Deny pandas, and only pandas."""
        if fullname == "pandas":
            raise ModuleNotFoundError("not for pyarrow", name=fullname)


def _decide_about_pandas() -> None:
    """Have pyarrow look for pandas now, in vain. It asks once; the rest of the process may import pandas as it likes."""
    finder = _WithoutPandas()
    sys.meta_path.insert(0, finder)
    try:
        pa.array([0])
    finally:
        sys.meta_path.remove(finder)


_decide_about_pandas()


def arrow_type(clickhouse_type: str) -> Any:
    """The Arrow type a column of ``clickhouse_type`` is sent as."""
    if found := _WRAPPED.fullmatch(clickhouse_type):
        inner = arrow_type(found[2])
        return pa.list_(inner) if found[1] == "Array" else inner
    if kind := _SCALARS.get(clickhouse_type) or _TIMES.get(clickhouse_type.partition(",")[0].rstrip(")")):
        return kind
    raise QueryError(f"a column of type {clickhouse_type} cannot be inserted into; use one of {', '.join(_SCALARS)}")


def slices(columns: Mapping[str, Sequence[Any]], types: Mapping[str, str], table: str) -> Generator[memoryview]:
    """``columns`` as Arrow IPC streams of bounded size, in order; made one by one as they are asked for.

    Raises:
        QueryError: an unknown column, unequal lengths, or a value that its column cannot hold.
    """
    total = checked(columns, types, table)
    for start in range(0, total, SLICE_ROWS_MAX):
        part = {name: values[start : start + SLICE_ROWS_MAX] for name, values in columns.items()}
        yield from _cut(_batch(part, types, table))


def clean(columns: Mapping[str, Sequence[Any]], types: Mapping[str, str], table: str) -> dict[str, list[Any]]:
    """``columns`` with texts that have a UTF-8.

    Raises:
        QueryError: a value that its column cannot hold; it names the column.
    """
    _batch(columns, types, table)
    return {name: _without_surrogates(list(values)) for name, values in columns.items()}


def _batch(columns: Mapping[str, Sequence[Any]], types: Mapping[str, str], table: str) -> Any:
    arrays: list[Any] = []
    for name, values in columns.items():
        try:
            arrays.append(_array(values, arrow_type(types[name])))
        except (pa.ArrowException, ValueError, TypeError, OverflowError) as error:
            raise QueryError(f"table {table}, column {name} ({types[name]}): {error}") from error
    return pa.RecordBatch.from_arrays(arrays, names=list(columns))


def _array(values: Sequence[Any], kind: Any) -> Any:
    try:
        if len(values) >= _PROBED_MIN and _is_constant(values):
            return pa.repeat(pa.scalar(values[0], kind), len(values))
        return pa.array(values, kind)
    except UnicodeEncodeError:
        # A lone surrogate has no UTF-8. Callers replace them; one that slips through must not cost the whole batch.
        return pa.array(_without_surrogates(values), kind)


def _is_constant(values: Sequence[Any]) -> bool:
    """Whether a column repeats one text or number, as the run and the service do: comparing is cheaper than converting."""
    first = values[0]
    return (
        isinstance(first, str | int)
        and isinstance(values, list)
        and first == values[-1] == values[len(values) // 2]
        and values.count(first) == len(values)
    )


def _without_surrogates(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode("utf-8")
    if isinstance(value, Sequence):
        return [_without_surrogates(item) for item in cast("Sequence[Any]", value)]
    return value


def _cut(batch: Any) -> Generator[memoryview]:
    """The batch in IPC streams of at most about SLICE_BYTES_MAX, halved until they fit (one row may be larger)."""
    if batch.nbytes > SLICE_BYTES_MAX and batch.num_rows > 1:
        half = batch.num_rows // 2
        yield from _cut(batch.slice(0, half))
        yield from _cut(batch.slice(half))
        return
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    yield memoryview(sink.getvalue())
