"""The Helm chart: what it renders is safe, complete, and starts commands that exist; what it is given is checked."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from echolane import __version__
from echolane.settings import NOT_SETTINGS, WHAT, load
from tests.deploy.commands import accepted
from tests.deploy.conftest import CHART, MANIFESTS, Render

WHOLE: dict[str, Any] = {
    "keys": {"existingSecret": "keys"},
    "journal": {"url": "kafka://echolane@k1:9092,k2:9092", "existingSecret": "kafka"},
    "store": {"url": "clickhouse://echolane@ch:9440/echolane?secure=1", "existingSecret": "store"},
    "settings": {"kafka.tls": True, "journal.partitions": 12, "replay.pace": "200/s"},
    "workers": {
        "replay": {"autoscaling": {"enabled": True}},
        "diff": {"autoscaling": {"enabled": True, "kind": "hpa"}},
    },
    "agents": [
        {"name": "shop", "service": "shop", "mode": "sidecar", "upstream": "http://127.0.0.1:8000", "port": 8080},
        {"name": "cart", "service": "cart", "mode": "daemonset", "upstream": "http://cart:8000", "port": 8081},
    ],
    "serviceMonitor": {"enabled": True},
    "migrations": {"store": {"url": "clickhouse://admin@ch/echolane", "existingSecret": "admin", "passwordKey": "pw"}},
    "extraEnv": [{"name": "TZ", "value": "UTC"}],
}
LEAST: dict[str, Any] = {"keys": {"existingSecret": "keys"}}


def pods(objects: list[dict[str, Any]]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every pod's name and spec, also that of a sidecar's patch."""
    for one in objects:
        name = f"{one['kind']} {one['metadata']['name']}"
        if one["kind"] == "Pod":
            yield name, one["spec"]
        elif "template" in one.get("spec", {}):
            yield name, one["spec"]["template"]["spec"]
        elif "patch.yaml" in one.get("data", {}):
            yield name, yaml.safe_load(one["data"]["patch.yaml"])["spec"]["template"]["spec"]


def containers(objects: list[dict[str, Any]]) -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
    """Every container with its pod."""
    for name, pod in pods(objects):
        for one in [*pod.get("initContainers", []), *pod.get("containers", [])]:
            yield name, pod, one


@pytest.mark.parametrize("values", [LEAST, WHOLE], ids=["least", "whole"])
def test_helm_lints_and_renders_it(program: str, render: Render, tmp_path: Any, values: dict[str, Any]) -> None:
    """With the least values and with all kinds of parts; names are given once, and no label selects another's pods."""
    objects = render(values).objects
    file = tmp_path / "lint.yaml"
    file.write_text(yaml.safe_dump(values))
    linted = subprocess.run(
        [program, "lint", str(CHART), "--strict", "--values", str(file)], capture_output=True, text=True, check=False
    )

    assert linted.returncode == 0, linted.stdout
    names = [(one["kind"], one["metadata"]["name"]) for one in objects]
    assert len(set(names)) == len(names)
    assert {kind for kind, _ in names} >= {"Deployment", "Service", "ServiceAccount", "Job", "Pod"}
    selectors = [
        json.dumps(one["spec"]["selector"]["matchLabels"])
        for one in objects
        if one["kind"] in {"Deployment", "DaemonSet"}
    ]
    assert len(set(selectors)) == len(selectors)
    for one in objects:
        if one["kind"] in {"Deployment", "DaemonSet"}:
            labels = one["spec"]["template"]["metadata"]["labels"]
            assert one["spec"]["selector"]["matchLabels"].items() <= labels.items()


def test_every_pod_is_locked_down(render: Render) -> None:
    """Not root, no capability, nothing writable but the home and /tmp, no token of the cluster, no variables of its services."""
    seen = 0
    for name, pod, one in containers(render(WHOLE).objects):
        seen += 1
        how = one["securityContext"]
        assert how["runAsNonRoot"] is how["readOnlyRootFilesystem"] is True, name
        assert how["runAsUser"] == 65532
        assert how["allowPrivilegeEscalation"] is False
        assert how["capabilities"] == {"drop": ["ALL"]}
        assert how["seccompProfile"] == {"type": "RuntimeDefault"}
        assert pod["enableServiceLinks"] is False
        if "ConfigMap" not in name:
            assert pod["automountServiceAccountToken"] is False
            assert pod["securityContext"]["runAsNonRoot"] is True
        mounts = {mount["mountPath"]: mount["name"] for mount in one["volumeMounts"]}
        assert set(mounts) == {"/var/lib/echolane", "/tmp"}
        volumes = {volume["name"]: volume for volume in pod["volumes"]}
        assert all("sizeLimit" in volumes[volume]["emptyDir"] for volume in mounts.values()), name
        assert "memory" in one["resources"]["limits"]
    assert seen == 6


def test_every_container_starts_a_command_that_exists(render: Render) -> None:
    """Our own parser takes each, and each image is the chart's of the version it says."""
    for name, _, one in containers(render(WHOLE).objects):
        assert one["image"] == f"echolane:{__version__}", name
        accepted([str(word) for word in one["args"]])


def test_the_environment_is_settings_that_exist_and_secrets_by_reference(render: Render) -> None:
    """Our own loader takes each container's environment; every password and key comes out of a Secret, and only where it is needed."""
    secret = {name for name in NOT_SETTINGS if name.endswith(("PASSWORD", "_KEY"))}
    for name, _, one in containers(render(WHOLE).objects):
        environ = {variable["name"]: variable.get("value", "s3cret") for variable in one["env"]}
        found = load({}, environ, CHART / "none.toml")
        given = {variable["name"] for variable in one["env"] if "valueFrom" in variable}
        assert given == secret & set(environ), name
        assert found.kafka.tls is True
        assert found.journal.partitions == 12
        wants = {"ECHOLANE_KAFKA_PASSWORD"} if "record" in one["args"] else {"ECHOLANE_STORE_PASSWORD"}
        if one["args"][0] in {"worker", "record"} or one["args"] == ["doctor"]:
            wants |= {"ECHOLANE_KAFKA_PASSWORD", "ECHOLANE_SEAL_KEY", "ECHOLANE_MARK_KEY"}
        assert given == wants, name
    (job,) = render(WHOLE).of("Job")
    store = {v["name"]: v for v in job["spec"]["template"]["spec"]["containers"][0]["env"]}
    assert store["ECHOLANE_STORE"]["value"] == "clickhouse://admin@ch/echolane"
    assert store["ECHOLANE_STORE_PASSWORD"]["valueFrom"]["secretKeyRef"] == {"name": "admin", "key": "pw"}


def test_tables_are_made_before_anything_starts(render: Render) -> None:
    """The Job is a hook before install and upgrade that needs nothing the chart makes, and it can be left out."""
    (job,) = render(WHOLE).of("Job")

    assert job["metadata"]["annotations"]["helm.sh/hook"] == "pre-install,pre-upgrade"
    assert "serviceAccountName" not in job["spec"]["template"]["spec"]
    assert job["spec"]["template"]["spec"]["restartPolicy"] == "Never"
    assert job["spec"]["template"]["spec"]["containers"][0]["args"] == ["doctor", "--only", "store", "--repair"]
    assert not render({**WHOLE, "migrations": {"enabled": False}}).of("Job")


def test_probes_ask_ports_that_are_there(render: Render) -> None:
    """Agents and workers have a start-up, a liveness and a readiness probe, each at a port of theirs."""
    seen = 0
    for name, _, one in containers(render(WHOLE).objects):
        if one["args"][0] == "doctor":
            continue
        ports = {port["name"]: port["containerPort"] for port in one["ports"]}
        for kind in ("startupProbe", "livenessProbe", "readinessProbe"):
            probe = one[kind]
            port = (probe.get("httpGet") or probe["tcpSocket"])["port"]
            assert port in ports or port in ports.values(), (name, kind)
            seen += 1
        if one["args"][0] == "worker":
            assert one["livenessProbe"]["httpGet"]["path"] == "/livez"
            assert one["readinessProbe"]["httpGet"]["path"] == "/readyz"
            assert one["args"][-1] == f"0.0.0.0:{ports['health']}"
        else:
            assert f"0.0.0.0:{ports['echolane']}" in one["args"]
    assert seen == 12


def test_workers_scale_on_the_lag_that_they_tell(render: Render) -> None:
    """KEDA asks the workers' own Service, an HPA the metric they offer; what scales sets no number of its own."""
    rendered = render(WHOLE)
    (scaled,) = rendered.of("ScaledObject")
    (hpa,) = rendered.of("HorizontalPodAutoscaler")
    services = {one["metadata"]["name"]: one for one in rendered.of("Service")}
    deployments = {one["metadata"]["name"]: one for one in rendered.of("Deployment")}

    (trigger,) = scaled["spec"]["triggers"]
    host, port, path = re.fullmatch(r"http://([^.]+)\.ns\.svc:(\d+)(/.*)", trigger["metadata"]["url"]).groups()
    assert trigger["type"] == "metrics-api"
    assert (services[host]["spec"]["ports"][0]["port"], path) == (int(port), "/lag")
    assert trigger["metadata"]["valueLocation"] == "replay"
    assert scaled["spec"]["scaleTargetRef"]["name"] in deployments
    assert hpa["spec"]["metrics"][0]["external"]["metric"] == {
        "name": "echolane_lag_frames",
        "selector": {"matchLabels": {"role": "diff"}},
    }
    assert hpa["spec"]["scaleTargetRef"]["name"] in deployments
    assert all("replicas" not in one["spec"] for one in deployments.values())
    fixed = render(LEAST)
    assert [one["spec"]["replicas"] for one in fixed.of("Deployment")] == [2, 2]
    assert not fixed.of("ScaledObject")
    for service in services.values():
        assert any(
            service["spec"]["selector"].items() <= pod["spec"]["template"]["metadata"]["labels"].items()
            for pod in [*deployments.values(), *rendered.of("DaemonSet")]
        )


def test_agents_stand_beside_a_service_or_on_every_node(render: Render) -> None:
    """A sidecar is a patch with a native sidecar that starts first and ends last; a node's agent is reached from its own node alone."""
    rendered = render(WHOLE)
    (patch,) = rendered.of("ConfigMap")
    pod = yaml.safe_load(patch["data"]["patch.yaml"])["spec"]["template"]["spec"]
    (agent,) = pod["initContainers"]
    (daemon,) = rendered.of("DaemonSet")
    (service,) = [one for one in rendered.of("Service") if one["spec"].get("internalTrafficPolicy")]

    assert agent["restartPolicy"] == "Always"
    assert agent["args"][agent["args"].index("--upstream") + 1] == "http://127.0.0.1:8000"
    assert daemon["spec"]["updateStrategy"]["rollingUpdate"]["maxUnavailable"] == 0
    assert (service["spec"]["internalTrafficPolicy"], service["spec"]["ports"][0]["port"]) == ("Local", 8081)
    notes = render(WHOLE, "--show-only", "templates/agents.yaml").text
    assert patch["metadata"]["name"] in notes


def test_keys_are_made_once_and_kept(render: Render) -> None:
    """Without a Secret of keys it is an error that says how to make one; with keys.create one is made that outlives the release."""
    refused = render({})
    (secret,) = render({"keys": {"create": True}}).of("Secret")

    assert refused.code
    assert "keys.existingSecret names no Secret" in refused.error
    assert secret["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"
    import base64

    assert all(re.fullmatch(r"[0-9a-f]{64}", base64.b64decode(value).decode()) for value in secret["data"].values())
    assert not render(WHOLE).of("Secret")


REFUSED = {
    "a word that is none": ({"workers": {"replay": {"replica": 3}}}, "replica"),
    "a password in the store's URL": ({"store": {"url": "clickhouse://u:hunter2@h/d"}}, "store.url holds a password"),
    "a password in the journal's URL": ({"journal": {"url": "kafka://u:hunter2@h"}}, "journal.url holds a password"),
    "another kind of autoscaler": (
        {"workers": {"diff": {"autoscaling": {"kind": "magic"}}}},
        "/workers/diff/autoscaling/kind",
    ),
    "an agent without a service": (
        {"agents": [{"name": "a", "mode": "sidecar", "upstream": "http://h", "port": 1}]},
        "service",
    ),
    "an upstream with a path": (
        {"agents": [{"name": "a", "service": "a", "mode": "sidecar", "upstream": "http://h/p", "port": 1}]},
        "/agents/0/upstream",
    ),
    "a port that is none": (
        {"agents": [{"name": "a", "service": "a", "mode": "daemonset", "upstream": "http://h", "port": 70000}]},
        "/agents/0/port",
    ),
    "a setting that is none": ({"settings": {"colour": "red"}}, "colour"),
    "a number that is a text": ({"workers": {"replay": {"replicas": "two"}}}, "/workers/replay/replicas"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_values_that_are_wrong_are_refused_by_name(render: Render, what: str) -> None:
    """A typo never becomes a release: the schema says which value."""
    values, words = REFUSED[what]
    done = render({**LEAST, **values})

    assert done.code
    assert words in done.error
    assert "hunter2" not in done.error


def test_every_setting_may_be_a_value(render: Render) -> None:
    """What `echolane config` lists can be given under `settings`, but what the chart itself says."""
    said = {"home", "store", "journal.url"}
    values = {name: load({}, {}, CHART / "none").explain(name)[0].value for name in WHAT if name not in said}
    values = {name: value for name, value in values.items() if not isinstance(value, list) and value != ""}
    (job, *_) = render({**LEAST, "settings": values}).of("Job")

    environ = {v["name"]: v["value"] for v in job["spec"]["template"]["spec"]["containers"][0]["env"]}
    load({}, environ, CHART / "none")
    assert len(environ) >= len(values)


def test_chart_image_and_program_have_one_version() -> None:
    """The chart's appVersion and the compose file's image are what `echolane --version` says."""
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text("utf-8"))

    assert chart["appVersion"] == __version__
    assert f"echolane:${{ECHOLANE_VERSION:-{__version__}}}" in (MANIFESTS / "compose.yaml").read_text("utf-8")
