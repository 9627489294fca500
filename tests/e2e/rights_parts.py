"""A broker that asks for rights, and the users that the guide makes on it: its own commands, with Kafka's own tools."""

from __future__ import annotations

import argparse
import importlib
import os
import re
import shlex
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.broker import HEAP, LIBS, PASSWORD, USER, Broker

GUIDE = Path(__file__).resolve().parents[2] / "docs" / "how-to" / "run-on-kafka-and-clickhouse.md"
TOOLS = {"kafka-configs.sh": "kafka.admin.ConfigCommand", "kafka-acls.sh": "org.apache.kafka.tools.AclCommand"}
ADMIN = """security.protocol=SASL_SSL
ssl.truststore.type=PEM
ssl.truststore.location={ca}
sasl.mechanism=SCRAM-SHA-512
sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required username="{user}" password="{password}";
"""
NOTED = """#!/bin/sh
{{ printf '%s\\0' {tool} "$@"; echo; }} >> commands
"""
"""A tool's stand-in while the guide's code runs: it notes what it was called with."""
BY_THE_TOOLS = "echolane"
"""The user that Kafka's own tools make, of which each call costs seconds of a Java program's start. The others' calls have the same form:
they are read strictly here, and asked of the broker in one conversation."""


def told(section: str, language: str) -> list[str]:
    """The guide's code of one language under a heading, as it stands there."""
    text = GUIDE.read_text("utf-8")
    found = re.search(rf"^(#+) {re.escape(section)}\n(.*?)(?=^#{{1,4}} |\Z)", text, re.DOTALL | re.MULTILINE)
    assert found, f"the guide has no section {section}"
    return re.findall(rf"^ *```{language}\n(.*?)^ *```", found[2], re.DOTALL | re.MULTILINE)


class Guarded:
    """The broker with the guide's users. Each comes in by TLS and SCRAM with the password that the guide gives it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.broker = Broker(folder / "kafka", guarded=True)
        self.password_file = folder / "password"

    def start(self) -> None:
        """Start it, and do what the guide tells an administrator."""
        self.broker.start()
        (self.folder / "admin.properties").write_text(
            ADMIN.format(ca=self.broker.ca, user=USER, password=PASSWORD), "ascii"
        )
        self.password_file.write_text("change-me\n", "ascii")
        quick = _Quick(self.broker)
        for tool, *words in self._calls():
            if words[words.index("--bootstrap-server") + 1] != f"127.0.0.1:{self.broker.both}":
                raise AssertionError(words)
            if BY_THE_TOOLS in words or f"User:{BY_THE_TOOLS}" in words:
                self._java(TOOLS[tool], words)
            else:
                quick.call(tool, words)
        quick.close()

    def _calls(self) -> list[list[str]]:
        """What the guide's code calls, word by word as a shell makes it."""
        text = "\n".join(told("What users need", "sh"))
        assert text.count("kafka-1:9092") == 1
        text = text.replace("kafka-1:9092", f"127.0.0.1:{self.broker.both}")
        shims = self.folder / "bin"
        shims.mkdir()
        for tool in TOOLS:
            (shims / tool).write_text(NOTED.format(tool=tool), "ascii")
            (shims / tool).chmod(0o755)
        environ = {**os.environ, "PATH": f"{shims}:{os.environ['PATH']}"}
        words = ["sh", "-euc", text]
        done = subprocess.run(
            words, cwd=self.folder, env=environ, capture_output=True, text=True, timeout=60, check=False
        )
        assert (done.returncode, done.stdout + done.stderr) == (0, "")
        lines = (self.folder / "commands").read_text("utf-8").splitlines()
        return [line.split("\0")[:-1] for line in lines]

    def _java(self, tool: str, words: list[str]) -> None:
        command = ["java", HEAP, "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", f"{LIBS}/*", tool, *words]
        done = subprocess.run(
            command, cwd=self.folder, capture_output=True, text=True, timeout=60, check=False, stdin=subprocess.DEVNULL
        )
        assert done.returncode == 0, f"{words}: {done.stdout}\n{done.stderr}"

    def url(self, user: str) -> str:
        """The journal as one of the users reaches it."""
        options = f"tls=true&ca_file={self.broker.ca}&password_file={self.password_file}"
        return f"kafka://{user}@127.0.0.1:{self.broker.both}?{options}"

    def settings(self) -> str:
        """The guide's own `echolane.toml`, with this broker's places in it."""
        (text,) = told("Point Echolane at it", "toml")
        for theirs, ours in (
            ("kafka-1:9092,kafka-2:9092,kafka-3:9092", f"127.0.0.1:{self.broker.both}"),
            ("/run/secrets/kafka", str(self.password_file)),
            ("/etc/ssl/kafka-ca.pem", str(self.broker.ca)),
        ):
            assert theirs in text
            text = text.replace(theirs, ours)
        return text


class _Quick:
    """Calls of Kafka's tools, by kafka-python. What it does not know is an error."""

    def __init__(self, broker: Broker) -> None:
        self._kafka: Any = importlib.import_module("kafka.admin")
        self._admin = self._kafka.KafkaAdminClient(bootstrap_servers=f"127.0.0.1:{broker.plain}")

    def call(self, tool: str, words: list[str]) -> None:
        """One call."""
        parser = argparse.ArgumentParser(tool, allow_abbrev=False)
        for name in ("--bootstrap-server", "--command-config", "--entity-type", "--entity-name", "--add-config"):
            parser.add_argument(name)
        for name in ("--add", "--alter", "--cluster"):
            parser.add_argument(name, action="store_true")
        parser.add_argument("--allow-principal")
        parser.add_argument("--resource-pattern-type", choices=["prefixed", "literal"], default="literal")
        for name in ("--operation", "--topic", "--group"):
            parser.add_argument(name, action="append", default=[])
        args = parser.parse_args(words)
        (self._user if tool == "kafka-configs.sh" else self._allow)(args)

    def _user(self, args: argparse.Namespace) -> None:
        assert args.alter
        assert args.entity_type == "users"
        found = re.fullmatch(r"SCRAM-SHA-512=\[password=(.+)\]", args.add_config)
        assert found, args.add_config
        users: Any = importlib.import_module("kafka.admin._users")
        one = users.UserScramCredentialUpsertion(args.entity_name, "SCRAM-SHA-512", password=found[1])
        assert set(self._admin.alter_user_scram_credentials([one]).values()) == {None}

    def _allow(self, args: argparse.Namespace) -> None:
        assert args.add
        kafka = self._kafka
        pattern = kafka.ACLResourcePatternType[args.resource_pattern_type.upper()]
        things = [kafka.ResourcePattern(kafka.ResourceType.TOPIC, name, pattern) for name in args.topic]
        things += [kafka.ResourcePattern(kafka.ResourceType.GROUP, name, pattern) for name in args.group]
        if args.cluster:
            literal = kafka.ACLResourcePatternType.LITERAL
            things.append(kafka.ResourcePattern(kafka.ResourceType.CLUSTER, "kafka-cluster", literal))
        operations = [kafka.ACLOperation[re.sub(r"(?<!^)(?=[A-Z])", "_", name).upper()] for name in args.operation]
        allow = kafka.ACLPermissionType.ALLOW
        wanted = [
            kafka.ACL(args.allow_principal, "*", operation, allow, thing)
            for thing in things
            for operation in operations
        ]
        done = self._admin.create_acls(wanted)
        assert (len(done["succeeded"]), done["failed"]) == (len(wanted), [])
        assert wanted

    def close(self) -> None:
        """End the conversation."""
        self._admin.close()


def commands(section: str, names: Mapping[str, str]) -> list[list[str]]:
    """The `echolane …` lines of a section, as words without the program, with its placeholders filled in."""
    lines = [line for block in told(section, "") for line in block.splitlines() if line.startswith("echolane ")]
    return [[names.get(word, word) for word in shlex.split(line, comments=True)[1:]] for line in lines]
