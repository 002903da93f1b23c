"""Dockerfile, compose file and Kubernetes manifests: valid, without open ports, and consistent with the program they run.

No YAML library is among the dependencies. The files use a small part of YAML, which `documents` reads strictly. If PyYAML is
installed, its result must be the same.
"""

import json
import re
import shlex
import subprocess
import tomllib
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import msgspec
import pytest

from bgpdrift import settings
from bgpdrift.errors import SettingsError
from supervisor.services import BGPDRIFT
from supervisor.status import ServiceStatus, Status, SupervisorStatus, build_stopped_status

ROOT = Path(__file__).parents[3]
DEPLOY = ROOT / "supervisor" / "deploy"
START = ["python", "-m", "run_all_services", "start", "--foreground"]
STATUS = ["python", "-m", "run_all_services", "status", "--services"]
HOME = "/srv/bgpdrift"
MAX_STOP_S = len(BGPDRIFT.services) * settings.Settings().supervisor.stop_grace_s


# -- the part of YAML that the files use ---------------------------------------------------------------------------------


def documents(text: str) -> list[Any]:
    return [_Block(part).read() for part in re.split(r"^---\n", text, flags=re.MULTILINE)]


class _Block:
    """Reads mappings, sequences, plain and quoted scalars, ``{}`` and ``|`` blocks, with two spaces for each level."""

    def __init__(self, text: str) -> None:
        self.lines = text.splitlines()

    def read(self) -> Any:
        value = self._value(0)
        assert self._next() is None, f"unexpected: {self._next()}"
        return value

    def _next(self) -> tuple[int, str] | None:
        while self.lines and (not self.lines[0].strip() or self.lines[0].lstrip().startswith("#")):
            self.lines.pop(0)
        if not self.lines:
            return None
        line = self.lines[0]
        return len(line) - len(line.lstrip()), line.strip()

    def _value(self, depth: int) -> Any:
        following = self._next()
        assert following, "a value is missing"
        assert following[0] == depth, f"not indented by {depth}: {following[1]}"
        return self._sequence(depth) if following[1].startswith("- ") else self._mapping(depth)

    def _sequence(self, depth: int) -> list[Any]:
        items: list[Any] = []
        while (following := self._next()) and following[0] == depth and following[1].startswith("- "):
            item = following[1][2:]
            if re.match(r"[\w.]+:( |$)", item):
                self.lines[0] = " " * (depth + 2) + item
                items.append(self._mapping(depth + 2))
            else:
                self.lines.pop(0)
                items.append(_scalar(item))
        return items

    def _mapping(self, depth: int) -> dict[str, Any]:
        mapping: dict[str, Any] = {}
        while (following := self._next()) and following[0] == depth and not following[1].startswith("- "):
            pair = re.fullmatch(r"([\w./-]+):(?: (.+))?", following[1])
            assert pair, f"unexpected: {following[1]}"
            assert pair[1] not in mapping, f"{pair[1]} twice"
            self.lines.pop(0)
            if pair[2] == "|":
                mapping[pair[1]] = self._text(depth + 2)
            elif pair[2]:
                mapping[pair[1]] = _scalar(pair[2])
            else:
                deeper = self._next()
                mapping[pair[1]] = self._value(depth + 2) if deeper and deeper[0] > depth else None
        return mapping

    def _text(self, depth: int) -> str:
        lines = []
        while self.lines and (not self.lines[0].strip() or self.lines[0].startswith(" " * depth)):
            lines.append(self.lines.pop(0)[depth:])
        return "\n".join(lines).rstrip("\n") + "\n"


def _scalar(text: str) -> Any:
    if text.startswith('"'):
        return json.loads(text)
    if text == "{}":
        return {}
    assert not re.search(r": | #|^[&*!|>%@`'\[{]", text), f"unexpected: {text}"
    if re.fullmatch(r"-?\d+", text):
        return int(text)
    assert text.lower() not in {"yes", "no", "on", "off", "null", "~"}, f"ambiguous: {text}"
    return {"true": True, "false": False}.get(text, text)


def test_the_reader_accepts_what_the_files_use_and_refuses_the_rest() -> None:
    text = 'a: 1\nb:\n  - x\n  - name: y\n    value: "2"\nc:\n  d: |\n    [t]\n\n    u = 1\n  e: {}\nf:\n---\ng: true\n'
    first, second = documents(text)
    assert first == {
        "a": 1,
        "b": ["x", {"name": "y", "value": "2"}],
        "c": {"d": "[t]\n\nu = 1\n", "e": {}},
        "f": None,
    }
    assert second == {"g": True}
    for wrong in ("a: 1\na: 2\n", "a: yes\n", "a:\n   b: 1\n", "a: 1\n  b: 2\n", "a: [1]\n", "a\n"):
        with pytest.raises(AssertionError):
            documents(wrong)


@pytest.mark.parametrize("name", ["compose.yaml", "kubernetes.yaml"])
def test_pyyaml_reads_the_same_documents(name: str) -> None:
    yaml = pytest.importorskip("yaml")
    text = (DEPLOY / name).read_text()
    assert documents(text) == list(yaml.safe_load_all(text))


# -- the image ---------------------------------------------------------------------------------------------------------


def instructions() -> list[tuple[str, str]]:
    text = re.sub(r"^#.*\n", "", (DEPLOY / "Dockerfile").read_text(), flags=re.MULTILINE).replace("\\\n", "")
    pairs = [line.split(None, 1) for line in text.splitlines() if line.strip()]
    return [(word, " ".join(rest.split())) for word, rest in pairs]


def last(word: str) -> str:
    return [rest for name, rest in instructions() if name == word][-1]


def test_the_dockerfile_uses_only_valid_instructions() -> None:
    known = {"FROM", "ARG", "WORKDIR", "COPY", "RUN", "ENV", "USER", "VOLUME", "STOPSIGNAL", "HEALTHCHECK", "CMD"}
    assert {word for word, _ in instructions()} <= known


def test_the_image_starts_the_supervisor_and_asks_it_for_its_status() -> None:
    """The exec form is needed: a shell as process 1 would not pass TERM on."""
    assert json.loads(last("CMD")) == START
    assert json.loads(last("HEALTHCHECK").partition("CMD ")[2]) == STATUS
    assert last("STOPSIGNAL") == "SIGTERM"


def test_the_image_does_not_run_as_root_and_keeps_its_data_in_a_volume() -> None:
    assert last("USER") == "10001:10001"
    assert last("WORKDIR") == HOME
    assert last("VOLUME") == f"{HOME}/data"
    assert f"-o bgpdrift -g bgpdrift -m 0750 {HOME}/data" in last("RUN")
    assert "--uid 10001 --gid 10001" in last("RUN")


def copied() -> list[str]:
    return [
        path for word, rest in instructions() if word == "COPY" and "--from" not in rest for path in rest.split()[:-1]
    ]


def test_the_image_is_built_from_all_files_of_the_package() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    tools = project["tool"]["setuptools"]
    packages = [pattern.rstrip("*") for pattern in tools["packages"]["find"]["include"]]
    modules = [f"{module}.py" for module in tools["py-modules"]]
    documents = [project["project"]["readme"], *project["project"]["license-files"]]
    assert sorted(copied()) == sorted([*packages, *modules, *documents, "pyproject.toml", "constraints.txt"])
    assert [path for path in copied() if not (ROOT / path).exists()] == []


def test_the_build_context_contains_only_the_files_of_the_image() -> None:
    lines = [line for line in (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines() if not line.startswith("#")]
    assert lines[0] == "*"
    assert sorted(line[1:] for line in lines if line.startswith("!")) == sorted(copied())
    assert not any(fnmatch(path, pattern) for path in copied() for pattern in lines[1:] if not pattern.startswith("!"))


# -- compose -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def composed() -> dict[str, Any]:
    (document,) = documents((DEPLOY / "compose.yaml").read_text())
    assert set(document) == {"name", "services", "volumes"}
    (service,) = document["services"].values()
    assert [volume.split(":")[0] for volume in service["volumes"]] == list(document["volumes"])
    return dict(service)


def test_compose_builds_the_image_and_leaves_the_command_to_it(composed: dict[str, Any]) -> None:
    build = composed["build"]
    assert (DEPLOY / build["context"] / build["dockerfile"]).resolve() == DEPLOY / "Dockerfile"
    assert not {"command", "entrypoint"} & set(composed)
    assert composed["volumes"] == [f"data:{last('VOLUME')}"]


def test_compose_gives_time_to_stop_and_adds_no_other_process_1(composed: dict[str, Any]) -> None:
    assert float(composed["stop_grace_period"].removesuffix("s")) > MAX_STOP_S
    assert composed["init"] is False
    assert composed["restart"] == "unless-stopped"


def published(ports: list[str]) -> list[str]:
    """Return the ports that other machines can reach."""
    return [port for port in ports if not str(port).startswith(("127.0.0.1:", "[::1]:"))]


def test_compose_gives_no_privileges_and_opens_no_port_to_other_machines(composed: dict[str, Any]) -> None:
    assert composed["cap_drop"] == ["ALL"]
    assert composed["security_opt"] == ["no-new-privileges:true"]
    assert composed["read_only"] is True
    assert not {"privileged", "network_mode", "pid", "cap_add"} & set(composed)
    assert published(composed.get("ports", [])) == []
    assert published(["8004:8004", "127.0.0.1:8004:8004"]) == ["8004:8004"]


def test_compose_sets_known_settings(composed: dict[str, Any]) -> None:
    assert settings.load(env=composed["environment"]).feed.client == "bgpdrift"


# -- Kubernetes --------------------------------------------------------------------------------------------------------


@pytest.fixture
def kinds() -> dict[str, dict[str, Any]]:
    manifests = documents((DEPLOY / "kubernetes.yaml").read_text())
    assert {document["metadata"]["name"] for document in manifests} == {"bgpdrift"}
    return {document["kind"]: document for document in manifests}


@pytest.fixture
def pod(kinds: dict[str, dict[str, Any]]) -> dict[str, Any]:
    return dict(kinds["StatefulSet"]["spec"]["template"]["spec"])


@pytest.fixture
def container(pod: dict[str, Any]) -> dict[str, Any]:
    (one,) = pod["containers"]
    return dict(one)


def test_the_manifests_have_known_kinds_and_versions(kinds: dict[str, dict[str, Any]]) -> None:
    assert {kind: document["apiVersion"] for kind, document in kinds.items()} == {
        "ConfigMap": "v1",
        "Service": "v1",
        "NetworkPolicy": "networking.k8s.io/v1",
        "StatefulSet": "apps/v1",
    }


def test_all_manifests_select_the_one_pod(kinds: dict[str, dict[str, Any]]) -> None:
    stateful = kinds["StatefulSet"]["spec"]
    labels = stateful["template"]["metadata"]["labels"]
    assert stateful["replicas"] == 1
    assert stateful["selector"]["matchLabels"] == labels
    assert kinds["Service"]["spec"]["selector"] == labels
    assert kinds["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"] == labels
    assert stateful["serviceName"] == kinds["Service"]["metadata"]["name"]


def test_the_pod_accepts_no_connections(kinds: dict[str, dict[str, Any]], container: dict[str, Any]) -> None:
    assert kinds["NetworkPolicy"]["spec"]["policyTypes"] == ["Ingress"]
    assert "ingress" not in kinds["NetworkPolicy"]["spec"]
    assert "ports" not in container
    assert "ports" not in kinds["Service"]["spec"]
    assert kinds["Service"]["spec"]["clusterIP"] == "None"


def test_the_pod_has_no_privileges(pod: dict[str, Any], container: dict[str, Any]) -> None:
    user = last("USER").split(":")
    assert [str(pod["securityContext"][key]) for key in ("runAsUser", "runAsGroup")] == user
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["automountServiceAccountToken"] is False
    limits = container["securityContext"]
    assert (limits["allowPrivilegeEscalation"], limits["readOnlyRootFilesystem"]) == (False, True)
    assert limits["capabilities"] == {"drop": ["ALL"]}


def test_no_service_of_the_cluster_is_read_as_a_setting(pod: dict[str, Any]) -> None:
    """Kubernetes sets a variable for a Service bgpdrift-web that looks like a setting, and an unknown setting stops the start."""
    with pytest.raises(SettingsError):
        settings.load(env={"BGPDRIFT_WEB_PORT": "tcp://10.0.0.1:8004"})
    assert pod["enableServiceLinks"] is False


def test_the_settings_of_the_pod_can_be_read(
    kinds: dict[str, dict[str, Any]], container: dict[str, Any], tmp_path: Path
) -> None:
    ((name, text),) = kinds["ConfigMap"]["data"].items()
    (tmp_path / name).write_text(text)
    loaded = settings.load(tmp_path / name, env={})
    mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    assert loaded.data_dir == mounts["data"] == last("VOLUME")
    assert container["env"] == [{"name": "BGPDRIFT_CONFIG", "value": f"{mounts['config']}/{name}"}]


def test_every_mounted_volume_is_defined(
    kinds: dict[str, dict[str, Any]], pod: dict[str, Any], container: dict[str, Any]
) -> None:
    claims = [claim["metadata"]["name"] for claim in kinds["StatefulSet"]["spec"]["volumeClaimTemplates"]]
    volumes = {volume["name"] for volume in pod["volumes"]} | set(claims)
    assert {mount["name"] for mount in container["volumeMounts"]} == volumes


def test_the_pod_has_time_to_stop(pod: dict[str, Any]) -> None:
    assert pod["terminationGracePeriodSeconds"] > MAX_STOP_S


def test_the_pod_is_ready_only_when_all_services_are(container: dict[str, Any]) -> None:
    assert container["readinessProbe"]["exec"]["command"] == STATUS
    assert "command" not in container


def is_alive(container: dict[str, Any], status: Status) -> bool:
    """Return the result of the liveness probe for a status."""
    shell, option, line = container["livenessProbe"]["exec"]["command"]
    query, _, judgement = line.partition(" | ")
    assert query == shlex.join([*STATUS, "--json"])
    document = msgspec.json.encode(status).decode() + "\n"
    return subprocess.run([shell, option, judgement], input=document, text=True, timeout=60).returncode == 0


def test_the_pod_is_ended_if_the_supervisor_does_not_answer_and_not_for_a_service(container: dict[str, Any]) -> None:
    down = ServiceStatus("lstm_detector", "crashloop", None, 9, 0.0, 0, "exit 1")
    assert is_alive(container, Status(SupervisorStatus(1, "degraded", 60.0), (down,)))
    assert not is_alive(container, build_stopped_status(BGPDRIFT.names))
    assert container["startupProbe"]["exec"] == container["livenessProbe"]["exec"]
