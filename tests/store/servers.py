"""A real ClickHouse server for tests: Debian's, of 2018, in a folder of its own, on ports of its own, to be stopped and killed."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from pathlib import Path

from bench.ports import free_port

START_S = 120.0
"""It listens after 2 to 4 s on an idle machine."""
CONFIG = """<yandex>
  <logger><level>warning</level><log>{folder}/server.log</log><errorlog>{folder}/errors.log</errorlog></logger>
  <listen_host>127.0.0.1</listen_host>
  <tcp_port>{port}</tcp_port>{tls}
  <path>{folder}/data/</path><tmp_path>{folder}/tmp/</tmp_path>
  <mark_cache_size>16777216</mark_cache_size><uncompressed_cache_size>0</uncompressed_cache_size>
  <users_config>{folder}/users.xml</users_config>
  <default_profile>default</default_profile><default_database>default</default_database>
  <max_connections>64</max_connections>
</yandex>
"""
TLS = """
  <tcp_port_secure>{port}</tcp_port_secure>
  <openSSL><server><certificateFile>{folder}/server.crt</certificateFile><privateKeyFile>{folder}/server.key</privateKeyFile>
    <verificationMode>none</verificationMode><loadDefaultCAFile>false</loadDefaultCAFile></server></openSSL>"""
USER = """<{name}><password>{password}</password><networks><ip>::/0</ip></networks>
      <profile>{profile}</profile><quota>default</quota></{name}>"""
USERS = """<yandex>
  <profiles><default><max_memory_usage>1000000000</max_memory_usage></default><readonly><readonly>1</readonly></readonly></profiles>
  <quotas><default/></quotas>
  <users>{users}</users>
</yandex>
"""


class Server:
    """One server process after the other on one folder and one port."""

    def __init__(self, program: str, folder: Path, *, certificate: tuple[bytes, bytes] | None = None) -> None:
        self._program, self.folder = program, folder
        self.port, self.secure_port = free_port(), free_port()
        for name in ("data", "tmp"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        tls = ""
        if certificate:
            (folder / "server.crt").write_bytes(certificate[0])
            (folder / "server.key").write_bytes(certificate[1])
            tls = TLS.format(folder=folder, port=self.secure_port)
        (folder / "config.xml").write_text(CONFIG.format(folder=folder, port=self.port, tls=tls))
        users = [("default", "", "default"), ("writer", "s3cret'p@ss", "default"), ("viewer", "look", "readonly")]
        listed = "\n".join(USER.format(name=n, password=p, profile=profile) for n, p, profile in users)
        (folder / "users.xml").write_text(USERS.format(users=listed))
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it listens."""
        command = [self._program, f"--config-file={self.folder / 'config.xml'}"]
        with (self.folder / "output.log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, cwd=self.folder, start_new_session=True)
        deadline = time.monotonic() + START_S
        while not self.listens():
            assert self._process.poll() is None, (self.folder / "output.log").read_text()[-2000:]
            assert time.monotonic() < deadline, "the server did not listen"
            time.sleep(0.05)

    def listens(self) -> bool:
        """Whether it accepts."""
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
        except OSError:
            return False
        return True

    def signal(self, number: int) -> None:
        """Stop it, let it go on, or kill it."""
        assert self._process is not None
        os.kill(self._process.pid, number)

    def kill(self) -> None:
        """End it at once, whatever it is at."""
        if self._process is not None and self._process.poll() is None:
            self.signal(signal.SIGCONT)
            self._process.kill()
        if self._process is not None:
            self._process.wait(60)

    def url(self, database: str = "default", user: str = "", options: str = "") -> str:
        """Its address."""
        return f"clickhouse://{user}127.0.0.1:{self.port}/{database}?{options}"
