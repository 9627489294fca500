"""Clients of a Kafka cluster: made, kept, asked again, and their errors told in our words. The only file that imports kafka-python.

Everything here is safe to share between threads: kafka-python does its input and output in a thread of its own, and a consumer
belongs to one reader at a time.
"""

from __future__ import annotations

import importlib
import logging
import os
import ssl
import threading
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple, TypeVar

from echolane import log
from echolane.errors import EcholaneError, HomeError, JournalDown, JournalFull, UsageError
from echolane.journal.kafka_address import Address
from echolane.journal.kafka_settings import RECORD_BYTES_MAX
from echolane.journal.kafka_sockets import mend

T = TypeVar("T")
FETCH_BYTES = 4 * 1024 * 1024
"""Asked of a broker at a time. Larger ones read no faster; a reader holds two of them, or one frame of 16 MiB."""
FIRST_WAIT_S = 5.0
BOOTSTRAP_S = 2.0
"""The first word with a cluster takes milliseconds; in between, what keeps it from answering is looked at."""
REQUEST_S = 10.0
"""A request without an answer is given up after this and sent again: a broker that lives answers in milliseconds."""
IDLE_CONSUMERS = 4
"""Consumers kept for the next reader; making one costs 20 ms, keeping one a thread and a connection to each broker."""
RETRY_S = (0.1, 1.0)
"""What could not be done yet (no leader, no coordinator) is tried again after the first, doubling up to the second."""


class Need(NamedTuple):
    """The right that a question to the cluster needs, for who may not ask it."""

    operation: str
    """As `kafka-acls.sh` takes it."""
    group: str = ""
    """The group that it is about, where that is known."""


DESCRIBE = Need("Describe")
RIGHTS = "docs/how-to/run-on-kafka-and-clickhouse.md#what-users-need"


class _LastWord(logging.Handler):
    """Keeps why connections failed, which says more than "no broker answered", and keeps it off the user's terminal."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.why, self.rank = "", 0

    def forget(self) -> None:
        """Begin anew."""
        self.why, self.rank = "", 0

    def emit(self, record: logging.LogRecord) -> None:
        """Remember the most telling of several reasons, and of those the last."""
        args = record.args if isinstance(record.args, tuple) else ()
        error = next((arg for arg in args if isinstance(arg, Exception)), None)
        if error is None or "Connection lost" not in record.msg:
            return
        rank = next((rank for word, rank in _TELLING.items() if word in f"{type(error).__name__} {error}"), 0)
        if rank == _CLOSED and not any(getattr(arg, "broker_version_data", None) is not None for arg in args):
            rank = 0  # before versions were exchanged it says nothing about the way in
        if rank >= self.rank:
            self.why, self.rank = str(error), rank


_CLOSED, _NO_KAFKA, _TLS, _MECHANISM, _USER = 1, 2, 3, 4, 5
_TELLING = {
    "SaslAuthenticationFailed": _USER,
    "Sasl": _MECHANISM,
    "SSL": _TLS,
    "Invalid frame length": _NO_KAFKA,
    "disconnected": _CLOSED,
}
_last_word = _LastWord()


def kafka() -> Any:
    """kafka-python; HomeError when it is not installed."""
    try:
        module = importlib.import_module("kafka")
        importlib.import_module("crc32c")
    except ImportError as error:
        raise HomeError("a journal on Kafka needs kafka-python: pip install 'echolane[kafka]'") from error
    mend()
    logger = logging.getLogger("kafka")
    if _last_word not in logger.handlers:
        logger.addHandler(_last_word)
        logger.propagate = False
    return module


class Clients:
    """One process's clients of one cluster."""

    def __init__(self, address: Address, environ: Mapping[str, str] = os.environ) -> None:
        self.address, self._kafka = address, kafka()
        self.errors: Any = importlib.import_module("kafka.errors")
        self._network: Any = importlib.import_module("kafka.net.compat").KafkaNetClient
        self._common = self._how(environ)
        # Both may be taken again by who holds them: the collector ends a reading that was dropped in whatever thread it runs.
        self._guard, self._making = threading.RLock(), threading.RLock()
        self._idle: list[Any] = []
        self._closed = self._let_in = False
        self._admin: Any = None
        # An address that leads nowhere is said soon: at the start a person waits.
        self.asked(lambda admin: admin.describe_cluster(), wait_s=min(FIRST_WAIT_S, address.wait_s))

    def __repr__(self) -> str:
        return f"<Clients of {self.address.shown}, {'closed' if self._closed else 'open'}>"

    def _how(self, environ: Mapping[str, str]) -> dict[str, Any]:
        """What every client is told."""
        address = self.address
        how: dict[str, Any] = {
            "bootstrap_servers": list(address.servers),
            "client_id": "echolane",
            "security_protocol": address.protocol,
            "request_timeout_ms": int(min(REQUEST_S, address.wait_s / 2) * 1000),
            "bootstrap_timeout_ms": int(min(BOOTSTRAP_S, address.wait_s) * 1000),
            "reconnect_backoff_max_ms": 1000,
        }
        if address.tls:
            try:
                context = ssl.create_default_context(cafile=address.ca_file or None)
                if address.cert_file:
                    context.load_cert_chain(address.cert_file, address.key_file)
            except (OSError, ssl.SSLError) as error:
                raise UsageError(f"the files for TLS to Kafka cannot be used: {error}") from error
            how["ssl_context"] = context
        if address.sasl:
            how["sasl_mechanism"] = address.sasl.upper()
            how["sasl_plain_username"] = address.user
            how["sasl_plain_password"] = address.password(environ)
        return how

    def asked(
        self, question: Callable[[Any], T], what: str = "", wait_s: float | None = None, need: Need = DESCRIBE
    ) -> T:
        """What a question to the cluster gives; asked again while the cluster is not ready, up to the address's patience.

        ``what`` names the topic and ``need`` the right that it takes, for messages.
        """
        deadline, pause = time.monotonic() + (wait_s or self.address.wait_s), RETRY_S[0]
        _last_word.forget()
        while True:
            admin = None
            try:
                admin = self._the_admin()
                answer = question(admin)
            except self.errors.KafkaError as error:
                if not self._is_passing(error) or time.monotonic() + pause > deadline:
                    raise self.refusal(error, what, need) from error
                if admin is not None and pause > RETRY_S[0]:
                    self._forget(admin)  # it may hold on to a broker that is no longer in charge
            else:
                self._let_in = True
                return answer
            time.sleep(pause)
            pause = min(pause * 2, RETRY_S[1])

    def _is_passing(self, error: Any) -> bool:
        """Whether the same question may be answered in a moment; a broker that shuts its door will shut it again."""
        unknown = isinstance(error, self.errors.UnknownTopicOrPartitionError)
        return bool(error.retriable) and not unknown and not self._shut_out()

    def _shut_out(self) -> str:
        """Why the brokers end our connections, where that is not for want of a broker."""
        rank, why, address = _last_word.rank, _last_word.why, self.address
        if rank == _TLS:
            return f"TLS failed: {why}; look at kafka.ca_file, and at the names in the broker's certificate"
        if rank == _NO_KAFKA:
            return "it answers with what is not Kafka's protocol; perhaps it wants TLS (kafka.tls = true)"
        if rank == _USER or (rank == _CLOSED and address.sasl and not self._let_in):
            return (
                f"it ends the connection of user `{address.user}`: a wrong user or password, or another kafka.sasl "
                f"than `{address.sasl}`"
            )
        if rank == _MECHANISM:
            return (
                f"it does not offer {address.sasl or 'a way in without a user'}; set another kafka.sasl or kafka.user"
            )
        return ""

    def _the_admin(self) -> Any:
        # Not made under the guard: that takes as long as no broker answers, and a consumer is given back meanwhile.
        with self._making:
            if self._closed:
                raise HomeError("the journal is closed")
            if self._admin is None:
                self._admin = self._made("KafkaAdminClient")
            return self._admin

    def _made(self, kind: str, **settings: Any) -> Any:
        """A client. What one that cannot be made has opened is closed here: the library leaves a thread for each attempt."""
        opened: list[Any] = []
        # A connection that stands but says nothing is given up like a request; the clients have no word for this by themselves.
        setup_ms = self._common["request_timeout_ms"]
        setup = {"socket_connection_setup_timeout_ms": setup_ms, "socket_connection_setup_timeout_max_ms": setup_ms}

        def network(**how: Any) -> Any:
            opened.append(self._network(**how, **setup))
            return opened[0]

        try:
            return getattr(self._kafka, kind)(**self._common, **settings, kafka_client=network)
        except BaseException:
            for client in opened:
                client.close()
            opened.clear()
            raise

    def _forget(self, admin: Any) -> None:
        with self._making:
            if self._admin is admin:
                self._admin = None
        admin.close()

    def producer(self) -> Any:
        """A producer that sends only when it is flushed, so that what one append holds travels in one batch."""
        wait_ms = int(self.address.wait_s * 1000)
        linger_ms = max(0, wait_ms - self._common["request_timeout_ms"])
        with self.translated():
            return self._made(
                "KafkaProducer",
                acks="all",
                enable_idempotence=True,
                delivery_timeout_ms=wait_ms,
                linger_ms=linger_ms,
                batch_size=RECORD_BYTES_MAX - 8192,
                max_request_size=2 * RECORD_BYTES_MAX,
                max_block_ms=wait_ms,
                allow_auto_create_topics=False,
                metrics_enabled=False,
            )

    def abandon(self, producer: Any) -> None:
        """End a producer, now: nothing of it is sent behind the back of a caller who was told that an append failed.

        Its own ``close`` gives up where something is still to be sent, and leaves its sender at work; so that is ended first.
        """
        sender = producer._sender  # noqa: SLF001 - see above
        sender.force_close()
        sender.join(self.address.wait_s)
        try:
            producer.close(timeout=0)
        except self.errors.KafkaError as error:
            log.event("journal.producer-left", error=str(error))

    @contextmanager
    def consumer(self, *, fresh: bool = False) -> Generator[Any]:
        """A consumer of one's own while the block lasts. It is in no group, so slow work disturbs nobody.

        ``fresh``: one that nobody has used, and those that wait to be used again are let go of.
        """
        if fresh:
            self._let_idle_go()
        consumer = self._a_consumer()
        try:
            yield consumer
        except Exception:
            consumer.close(autocommit=False, timeout_ms=0)  # whatever state it is in
            raise
        finally:
            self._given_back(consumer)

    def _given_back(self, consumer: Any) -> None:
        if consumer.config is None or consumer._closed:  # noqa: SLF001 - it has no other way to say so
            return
        consumer.unsubscribe()
        with self._guard:
            if not self._closed and len(self._idle) < IDLE_CONSUMERS:
                self._idle.append(consumer)
                return
        consumer.close(autocommit=False)

    def _let_idle_go(self) -> None:
        with self._guard:
            idle, self._idle = self._idle, []
        for consumer in idle:
            consumer.close(autocommit=False, timeout_ms=0)

    def _a_consumer(self) -> Any:
        with self._guard:
            if self._closed:
                raise HomeError("the journal is closed")
            if self._idle:
                return self._idle.pop()
        with self.translated():
            return self._made("KafkaConsumer", **READING)

    def member(self, group: str, **settings: Any) -> Any:
        """A consumer that is a member of a group."""
        with self.translated():
            return self._made("KafkaConsumer", **{**READING, "group_id": group, **settings})

    def place(self, topic: str, partition: int) -> Any:
        """What kafka-python calls a partition of a topic."""
        return self._kafka.TopicPartition(topic, partition)

    @contextmanager
    def translated(self, what: str = "", need: Need = DESCRIBE) -> Generator[None]:
        """Foreign errors end here."""
        try:
            yield
        except self.errors.KafkaError as error:
            raise self.refusal(error, what, need) from error

    def _lacking(self, error: Any, what: str, need: Need) -> str:
        """Which right a user lacks."""
        errors, address, operation = self.errors, self.address, need.operation
        topic = f"topic `{address.prefix}{what}`" if what else f"topics that begin with `{address.prefix}`"
        if isinstance(error, errors.GroupAuthorizationFailedError):
            thing = f"group `{need.group}`" if need.group else f"groups that begin with `{address.prefix}`"
        elif isinstance(error, errors.TopicAuthorizationFailedError):
            thing = topic
        elif operation == "Write":  # whoever may write to a topic may do so idempotently, but on old brokers
            thing = f"{topic} (before Kafka 2.8: IdempotentWrite on the cluster)"
        else:
            thing = "the cluster"
        return (
            f"Kafka user `{address.user or 'ANONYMOUS'}` may not do this: it lacks {operation} on {thing} of {address.shown}; "
            f"who needs what: {RIGHTS}"
        )

    def refusal(self, error: Any, what: str = "", need: Need = DESCRIBE) -> EcholaneError:
        """A foreign error in our words: what, where, and what to do."""
        errors, address = self.errors, self.address
        if isinstance(error, errors.AuthorizationError) or "ClusterAuthorizationFailed" in str(error):
            return HomeError(self._lacking(error, what, need))
        where = f"topic `{what}` on {address.shown}" if what else address.shown
        for kinds, words in (
            (errors.UnknownTopicOrPartitionError, f"there is no topic `{what}` on {address.shown}"),
            (
                (errors.MessageSizeTooLargeError, errors.RecordListTooLargeError),
                f"{where} takes smaller records than a frame may be; set its max.message.bytes to {RECORD_BYTES_MAX}",
            ),
            (
                (errors.NotEnoughReplicasError, errors.NotEnoughReplicasAfterAppendError),
                f"{where} has fewer brokers in step than its min.insync.replicas asks for; start them",
            ),
            (
                errors.UnsupportedVersionError,
                f"{address.shown} is too old a Kafka; 2.5 or newer is needed ({error})",
            ),
        ):
            if isinstance(error, kinds):
                return HomeError(words)
        if isinstance(error, errors.KafkaStorageError):
            return JournalFull(f"a broker of {where} cannot write its log; free its disk, or look at its log")
        if shut_out := self._shut_out():
            return HomeError(f"{address.shown} does not let us in: {shut_out}")
        if isinstance(error, (errors.RetriableError, errors.UnknownBrokerIdError)):
            why = f" ({_last_word.why})" if _last_word.why else ""
            return JournalDown(
                f"no broker of {where} answers by {address.protocol}; is Kafka running and reachable there, and is that its "
                f"way in (kafka.tls, kafka.user)?{why}"
            )
        return HomeError(f"{where}: {error}")

    def close(self) -> None:
        """Let go of every connection."""
        with self._guard:
            self._closed = True
            idle, self._idle = self._idle, []
        with self._making:
            admin, self._admin = self._admin, None
        for consumer in idle:
            consumer.close(autocommit=False)
        if admin is not None:
            admin.close()


READING: dict[str, Any] = {
    "group_id": None,
    "enable_auto_commit": False,
    "auto_offset_reset": "earliest",
    "fetch_max_bytes": FETCH_BYTES,
    "max_partition_fetch_bytes": FETCH_BYTES,
    "fetch_max_wait_ms": 100,
    "allow_auto_create_topics": False,
    "metrics_enabled": False,
}
