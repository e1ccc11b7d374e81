"""What every pod of the chart must be: Pod Security `restricted`, and rules of this project on top.

`problems` says in words what is wrong with one pod; the tests call it on all of them, and on pods
that were spoilt on purpose.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from chart.rendering import Object, Pod

VOLUMES = {
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "persistentVolumeClaim",
    "projected",
    "secret",
}
IMAGE = re.compile(r"^[^:@]+(?::[0-9]+/[^:@]+)?(?::(?P<tag>[\w][\w.-]*)|@sha256:[0-9a-f]{64})$")
SECRET_NAME = re.compile(r"PASSWORD|TOKEN|API_KEY|AUTH_STRING|CONNECTION_URL|SECRET")
# Where something is, not what it is.
PLACE = re.compile(r"_(FILE|NAME|KEY|DIRECTORY)$")
# The worker makes Jobs, the reconciler ends them, the doctor and the clean-up after an uninstall
# look at what is there.
TOKEN_HOLDERS = {"reconciler", "test", "uninstall", "worker"}
# They serve nobody but the kubelet, so that nothing waits for them to be ready.
UNASKED = {"reconciler", "worker"}


def problems(pod: Pod) -> list[str]:
    """Return all that is wrong with a pod; nothing if it may run."""
    found = [*_of_the_pod(pod), *_of_context(pod), *_of_volumes(pod), *_of_probes(pod)]
    for container in pod.containers:
        name = container["name"]
        for check in (_container, _resources, _image, _environment):
            found += [f"{name}: {problem}" for problem in check(container)]
    return found


def _of_context(pod: Pod) -> Iterator[str]:
    context = pod.spec.get("securityContext", {})
    if context.get("runAsNonRoot") is not True:
        yield "runAsNonRoot is not true"
    for key in ("runAsUser", "runAsGroup", "fsGroup"):
        number = context.get(key)
        if not isinstance(number, int) or number <= 0:
            yield f"{key} is no number above 0"
    if context.get("seccompProfile", {}).get("type") != "RuntimeDefault":
        yield "seccompProfile is not RuntimeDefault"
    if "sysctls" in context or "supplementalGroups" in context:
        yield "sysctls or supplementalGroups are set"


def _of_the_pod(pod: Pod) -> Iterator[str]:
    for key in ("hostNetwork", "hostPID", "hostIPC"):
        if pod.spec.get(key):
            yield f"{key} is on"
    if pod.spec.get("automountServiceAccountToken") is not (pod.component in TOKEN_HOLDERS):
        yield "automountServiceAccountToken is for those alone that speak to Kubernetes"
    if not pod.spec.get("serviceAccountName"):
        yield "there is no serviceAccountName"
    if pod.spec.get("enableServiceLinks") is not False:
        yield "enableServiceLinks is not false"


def _of_volumes(pod: Pod) -> Iterator[str]:
    volumes = {volume["name"]: volume for volume in pod.spec.get("volumes", [])}
    for name, volume in volumes.items():
        for kind in set(volume) - {"name"} - VOLUMES:
            yield f"volume {name} is a {kind}"
    mounted = set()
    for container in pod.containers:
        paths = [mount["mountPath"] for mount in container.get("volumeMounts", [])]
        if len(paths) != len(set(paths)):
            yield f"{container['name']}: two mounts in one place"
        for mount in container.get("volumeMounts", []):
            name = mount["name"]
            mounted.add(name)
            if name not in {*volumes, *pod.claims}:
                yield f"{container['name']}: there is no volume {name}"
            readable = volumes.get(name, {}).keys() & {"secret", "configMap", "projected"}
            if readable and not mount.get("readOnly"):
                yield f"{container['name']}: {name} is not mounted readOnly"
        if "/tmp" not in paths:  # noqa: S108 -- a place in the pod
            yield f"{container['name']}: /tmp is not writable"
    for name in {*volumes, *pod.claims} - mounted:
        yield f"volume {name} is not mounted"


def _of_probes(pod: Pod) -> Iterator[str]:
    """A container that serves is watched; one that nobody connects to has no readiness."""
    for container in pod.spec["containers"]:
        if not container.get("ports"):
            continue
        wanted = (
            {"livenessProbe"} if pod.component in UNASKED else {"livenessProbe", "readinessProbe"}
        )
        for missing in wanted - set(container):
            yield f"{container['name']}: there is no {missing}"
        ports = {port["name"] for port in container["ports"]}
        for key in ("startupProbe", "livenessProbe", "readinessProbe"):
            for how in ("httpGet", "tcpSocket"):
                port = container.get(key, {}).get(how, {}).get("port", next(iter(ports)))
                if port not in ports:
                    yield f"{container['name']}: {key} asks a port {port} that is not there"
    if pod.served and not any(container.get("ports") for container in pod.spec["containers"]):
        yield "a workload without ports, and so without probes"


def _container(container: Object) -> Iterator[str]:
    context = container.get("securityContext", {})
    wanted: dict[str, Any] = {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "runAsNonRoot": True,
        "capabilities": {"drop": ["ALL"]},
    }
    for key, value in wanted.items():
        if context.get(key) != value:
            yield f"{key} is not {value}"
    for key in set(context) - set(wanted):
        yield f"securityContext.{key} overrides the pod's"
    if any("hostPort" in port for port in container.get("ports", [])):
        yield "a hostPort is used"


def _resources(container: Object) -> Iterator[str]:
    resources = container.get("resources", {})
    for kind, name in (("requests", "cpu"), ("requests", "memory"), ("limits", "memory")):
        if not resources.get(kind, {}).get(name):
            yield f"no {kind} of {name}"


def _image(container: Object) -> Iterator[str]:
    match = IMAGE.match(container.get("image", ""))
    if not match:
        yield f"image {container.get('image')!r} has no tag"
    elif match["tag"] == "latest":
        yield "image is latest"
    if container.get("imagePullPolicy") not in {"IfNotPresent", "Always", "Never"}:
        yield "imagePullPolicy is missing"


def _environment(container: Object) -> Iterator[str]:
    names = [variable["name"] for variable in container.get("env", [])]
    for name in {name for name in names if names.count(name) > 1}:
        yield f"{name} is set twice"
    for variable in container.get("env", []):
        name = variable["name"]
        if "value" in variable and SECRET_NAME.search(name) and not PLACE.search(name):
            yield f"{name} is a secret in clear text"
        if "value" in variable and not isinstance(variable["value"], str):
            yield f"{name} is no text"
