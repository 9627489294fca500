"""What every door of the journal refuses alike: names, numbers of partitions, bytes that no reader could give back."""

from __future__ import annotations

import re
from collections.abc import Sequence

from echolane.errors import HomeError, UsageError
from echolane.frame import FRAME_BYTES_MAX, FrameDamaged, peek

PARTITIONS_MAX = 1024
"""More partitions than workers anyone starts; each costs a look at every roll of a file, or a file on every broker."""
_TOPIC = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,200}")


def check_topic(topic: str, partitions: int) -> None:
    """UsageError for a topic that cannot be made."""
    if not _TOPIC.fullmatch(topic):
        raise UsageError(f"topic `{topic}` needs letters, digits, dots and hyphens only")
    if not 0 < partitions <= PARTITIONS_MAX:
        raise UsageError(f"topic `{topic}` cannot have {partitions} partitions; 1 to {PARTITIONS_MAX} are possible")


def other_partitions(topic: str, found: int, wanted: int) -> HomeError:
    """What is said of a topic that is there with another number of partitions."""
    return HomeError(f"topic `{topic}` has {found} partitions, not {wanted}; they are fixed once it exists")


def no_partition(topic: str, partition: int, partitions: int) -> HomeError:
    """What is said of a partition that a topic does not have."""
    return HomeError(f"topic `{topic}` has no partition {partition}; it has {partitions}")


def check_frames(frames: Sequence[bytes]) -> None:
    """ValueError for bytes that are no frame, or one that is too large."""
    for frame in frames:
        if len(frame) > FRAME_BYTES_MAX:
            raise ValueError(f"a frame of {len(frame)} bytes is over the limit of {FRAME_BYTES_MAX}")
        try:
            peek(frame)
        except FrameDamaged as error:
            raise ValueError(f"this is no frame: {error}") from error
