"""A real Apache Kafka broker for tests and benchmarks: ``python -m bench.broker`` installs it (``make parts``).

Maven resolves the broker's jars into ``.parts/kafka``; a :class:`Broker` is one KRaft node on free ports of this machine, with a
listener of each kind: plain, with a user and password (``alice``, ``right``; PLAIN and SCRAM), with TLS, with both (SCRAM). It can be
killed, stopped and started again on its data. One that is ``guarded`` asks for rights: alice and whoever comes in plain has all of them.
A :class:`Cluster` is several of them.
"""

from __future__ import annotations

import datetime
import importlib
import ipaddress
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from base64 import urlsafe_b64encode
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from bench.once import PARTS, by_turns
from bench.ports import free_port

VERSION = "4.1.0"
LIBS = PARTS / "kafka" / VERSION
HINT = "make parts (with a Java runtime and Maven: apt-get install default-jre-headless maven)"
HEAP = "-Xmx512m"
START_WAIT_S = 180.0
"""A broker listens after 4 to 7 s on a quiet machine; one that has much to recover on a busy one took 90."""
FAILOVER_MS = 4000
"""After so long without a word of a node its partitions are led by others: less than its start takes, so that a kill has it happen."""
USER, PASSWORD = "alice", "right"

_LAST = f"kafka-tools-{VERSION}.jar"
_POM = f"""<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>
<groupId>echolane.parts</groupId><artifactId>kafka</artifactId><version>1</version><dependencies><dependency>
<groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>{VERSION}</version>
</dependency><dependency>
<groupId>org.apache.kafka</groupId><artifactId>kafka-tools</artifactId><version>{VERSION}</version>
<exclusions><exclusion><groupId>*</groupId><artifactId>*</artifactId></exclusion></exclusions>
</dependency></dependencies></project>"""
_CONFIG = """process.roles=broker,controller
node.id={node}
controller.quorum.voters={voters}
broker.session.timeout.ms={session_ms}
listeners=PLAIN://127.0.0.1:{plain},SASL://127.0.0.1:{sasl},TLS://127.0.0.1:{tls},BOTH://127.0.0.1:{both},CONTROLLER://127.0.0.1:{controller}
listener.security.protocol.map=PLAIN:PLAINTEXT,SASL:SASL_PLAINTEXT,TLS:SSL,BOTH:SASL_SSL,CONTROLLER:PLAINTEXT
inter.broker.listener.name=PLAIN
controller.listener.names=CONTROLLER
listener.name.sasl.sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-512
listener.name.sasl.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required user_{user}="{password}";
listener.name.sasl.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
listener.name.tls.ssl.keystore.type=PEM
listener.name.tls.ssl.keystore.location={folder}/server.pem
listener.name.both.ssl.keystore.type=PEM
listener.name.both.ssl.keystore.location={folder}/server.pem
listener.name.both.sasl.enabled.mechanisms=SCRAM-SHA-512
listener.name.both.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
log.dirs={folder}/data
num.network.threads=2
num.io.threads=4
offsets.topic.replication.factor={replicas}
offsets.topic.num.partitions=4
transaction.state.log.replication.factor={replicas}
transaction.state.log.min.isr={in_step}
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
auto.create.topics.enable=false
log.cleaner.dedupe.buffer.size=4194304
file.delete.delay.ms=1000
"""
_GUARD = f"""authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:ANONYMOUS;User:{USER}
"""


def lacks() -> str:
    """What this machine lacks for a broker; empty when nothing."""
    if not shutil.which("java"):
        return "the program java"
    if not installed() and not shutil.which("mvn"):
        return "the program mvn"
    return ""


def installed() -> bool:
    """Whether the jars are there: the last one that is put there is."""
    return (LIBS / _LAST).exists()


def install() -> None:
    """Let Maven fetch the broker's jars, once: whole or not at all."""
    if installed():
        return
    with by_turns(LIBS.parent), tempfile.TemporaryDirectory(dir=LIBS.parent) as folder:
        if installed():
            return
        (Path(folder) / "pom.xml").write_text(_POM)
        words = ["mvn", "-q", "-B", "dependency:copy-dependencies", "-DoutputDirectory=libs", "-DincludeScope=runtime"]
        done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"mvn could not fetch Kafka {VERSION}:\n{done.stdout}{done.stderr}")
        LIBS.mkdir(exist_ok=True)  # one that an older Echolane made has no tools
        for jar in sorted((Path(folder) / "libs").iterdir(), key=lambda jar: jar.name == _LAST):
            jar.rename(LIBS / jar.name)


class Quorum(NamedTuple):
    """A node's place among the nodes of its cluster."""

    node: int
    """From 1 on."""
    controllers: Sequence[int]
    """The port at which each node votes."""
    cluster: str
    """The cluster's id."""

    @classmethod
    def alone(cls) -> Quorum:
        """A cluster of one."""
        return cls(1, [free_port()], cluster_id())


def cluster_id() -> str:
    """An id as Kafka has them. One that began with a hyphen would be taken for a flag."""
    return urlsafe_b64encode(b"E" + uuid.uuid4().bytes[1:]).decode().rstrip("=")  # noqa: TID251 - Kafka's id, not ours


class Broker:
    """One node. ``start`` waits until it listens; everything it writes is under ``folder``."""

    def __init__(self, folder: Path, quorum: Quorum | None = None, *, guarded: bool = False) -> None:
        self.folder = folder = folder.resolve()
        self.plain, self.sasl, self.tls, self.both = (free_port() for _ in range(4))
        quorum = quorum or Quorum.alone()
        replicas = min(3, len(quorum.controllers))
        self.ca = folder / "ca.pem"
        self.process: subprocess.Popen[bytes] | None = None
        folder.mkdir(parents=True, exist_ok=True)
        _certificate(folder / "server.pem", self.ca)
        config = _CONFIG.format(
            folder=folder,
            plain=self.plain,
            sasl=self.sasl,
            tls=self.tls,
            both=self.both,
            node=quorum.node,
            voters=",".join(f"{node}@127.0.0.1:{port}" for node, port in enumerate(quorum.controllers, 1)),
            controller=quorum.controllers[quorum.node - 1],
            session_ms=9000 if replicas == 1 else FAILOVER_MS,
            replicas=replicas,
            in_step=max(1, replicas - 1),
            user=USER,
            password=PASSWORD,
        )
        (folder / "server.properties").write_text(config + (_GUARD if guarded else ""))
        self._java("kafka.tools.StorageTool", "format", "-t", quorum.cluster, "-c", "server.properties", *_scram())

    def __repr__(self) -> str:
        return f"<Broker 127.0.0.1:{self.plain}, {'up' if self.process else 'down'}>"

    def url(self, query: str = "") -> str:
        """The journal's URL of the plain listener."""
        return f"kafka://127.0.0.1:{self.plain}" + (f"?{query}" if query else "")

    def _command(self, *words: str) -> list[str]:
        return ["java", HEAP, "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", f"{LIBS}/*", *words]

    def _java(self, *words: str) -> None:
        done = subprocess.run(self._command(*words), cwd=self.folder, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"{' '.join(words[:2])} failed:\n{done.stdout}{done.stderr}")

    def start(self) -> None:
        """Start it on its data, and wait until it listens."""
        self.launch()
        self.wait_listening()

    def launch(self) -> None:
        """Start it on its data. It listens once most nodes of its cluster run."""
        with (self.folder / "broker.log").open("ab") as words:
            self.process = subprocess.Popen(
                self._command("kafka.Kafka", "server.properties"),
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=words,
                stderr=words,
                start_new_session=True,
            )

    def wait_listening(self) -> None:
        """Wait until it listens."""
        assert self.process is not None
        deadline = time.monotonic() + START_WAIT_S
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.plain), 1.0).close()
            except OSError:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    text = (self.folder / "broker.log").read_text("utf-8", "replace")
                    raise RuntimeError(f"the broker does not listen:\n{text[-4000:]}") from None
                time.sleep(0.1)
            else:
                return

    def signal(self, number: signal.Signals) -> None:
        """SIGSTOP, SIGCONT and the like."""
        assert self.process is not None
        self.process.send_signal(number)

    def kill(self) -> None:
        """End it like a power cut of its process: kill -9."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """End it in good order."""
        self._end(signal.SIGTERM)

    def _end(self, number: signal.Signals) -> None:
        if self.process is not None:
            self.process.send_signal(number)
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(30)
            self.process = None


class Cluster:
    """Several nodes that keep every entry together, each of which may be killed and started again."""

    def __init__(self, folder: Path, count: int) -> None:
        controllers, cluster = [free_port() for _ in range(count)], cluster_id()
        self.nodes = [
            Broker(folder / f"node-{node}", Quorum(node, controllers, cluster)) for node in range(1, count + 1)
        ]

    def __repr__(self) -> str:
        return f"<Cluster of {self.nodes}>"

    def url(self, query: str = "") -> str:
        """The journal's URL of all their plain listeners."""
        servers = ",".join(f"127.0.0.1:{node.plain}" for node in self.nodes)
        return f"kafka://{servers}" + (f"?{query}" if query else "")

    def start(self) -> None:
        """Start all, and wait until all listen."""
        for node in self.nodes:
            node.launch()
        for node in self.nodes:
            node.wait_listening()

    def lagging(self) -> list[str]:
        """Partitions of which not every replica has what was acknowledged, or that nobody leads; why nothing answers, where nothing does."""
        kafka = importlib.import_module("kafka")
        servers = [f"127.0.0.1:{node.plain}" for node in self.nodes]
        try:
            admin = kafka.KafkaAdminClient(bootstrap_servers=servers)
        except kafka.errors.KafkaError as error:
            return [f"no answer: {error}"]
        try:
            topics = admin.describe_topics()
        except kafka.errors.KafkaError as error:
            return [f"no answer: {error}"]
        finally:
            admin.close()
        return [
            f"{topic['name']}-{one['partition_index']}: led by {one['leader_id']}, {one['isr_nodes']} of {one['replica_nodes']} in step"
            for topic in topics
            for one in topic["partitions"]
            if one["leader_id"] < 0 or len(one["isr_nodes"]) < len(one["replica_nodes"])
        ]

    def wait_in_step(self) -> None:
        """Wait until every replica has everything: only then may another node be ended, or nobody has what was acknowledged."""
        deadline = time.monotonic() + START_WAIT_S
        while lagging := self.lagging():
            if time.monotonic() > deadline:
                raise RuntimeError(f"{self} is not in step: {'; '.join(lagging[:20])}\n{self.words()}")
            time.sleep(0.5)

    def words(self) -> str:
        """What each node wrote last."""
        logs = [(node, node.folder / "broker.log") for node in self.nodes]
        return "\n".join(
            f"== {node}\n{log.read_text('utf-8', 'replace')[-4000:]}" for node, log in logs if log.exists()
        )

    def kill(self) -> None:
        """End all at once."""
        for node in self.nodes:
            node.kill()


def _scram() -> list[str]:
    return ["--add-scram", f"SCRAM-SHA-512=[name={USER},password={PASSWORD}]"]


def _certificate(server: Path, ca: Path) -> None:
    """A key and a certificate for 127.0.0.1, which is its own authority."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=7))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = certificate.public_bytes(serialization.Encoding.PEM)
    ca.write_bytes(pem)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    server.write_bytes(private + pem)
    os.chmod(server, 0o600)


if __name__ == "__main__":
    if lack := lacks():
        sys.exit(f"Kafka needs {lack}: {HINT}")
    install()
    print(f"Kafka {VERSION} is in {LIBS}")
