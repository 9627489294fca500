"""Closes the sockets of kafka-python that do not connect, which its 3.0 leaves to the garbage collector.

Where that is off for long (:mod:`replayer.quiet`), each try to reach a broker that is away would keep a descriptor.
"""

from __future__ import annotations

import importlib
from typing import Any


def mend() -> None:
    """Have them closed in this process; once is enough, and more do no harm."""
    kind: Any = importlib.import_module("kafka.net.inet").KafkaNetSocket
    connect = kind.sock_connect
    if connect.__module__ == __name__:
        return

    async def sock_connect(self: Any, net: Any, sock: Any, *words: Any, **named: Any) -> Any:
        try:
            return await connect(self, net, sock, *words, **named)
        except BaseException:  # also where the wait for it is given up: what it waits with has let go of it by then
            sock.close()
            raise

    kind.sock_connect = sock_connect
