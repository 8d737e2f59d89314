"""The Pod Security Standard "restricted", as Kubernetes 1.37 documents it, for pods on Linux."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from typing import Any

Object = dict[str, Any]

VOLUMES = {
    "configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "image", "persistentVolumeClaim", "projected", "secret",
}  # fmt: skip
SYSCTLS = {
    "kernel.shm_rmid_forced", "net.ipv4.ip_local_port_range", "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.ip_unprivileged_port_start", "net.ipv4.ping_group_range", "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_keepalive_intvl", "net.ipv4.tcp_keepalive_probes", "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_rmem", "net.ipv4.tcp_syncookies", "net.ipv4.tcp_wmem",
}  # fmt: skip
SELINUX_TYPES = {"", "container_t", "container_init_t", "container_kvm_t", "container_engine_t"}
PROFILES = {"RuntimeDefault", "Localhost"}


def containers(pod: Object) -> list[Object]:
    return [one for kind in ("containers", "initContainers", "ephemeralContainers") for one in pod.get(kind, [])]


def violations(pod: Object) -> Iterator[str]:
    """The settings of this pod's spec that "restricted" forbids."""
    for key in ("hostNetwork", "hostPID", "hostIPC"):
        if pod.get(key):
            yield key
    for volume in pod.get("volumes", []):
        if set(volume) - {"name"} - VOLUMES:
            yield f"volume {volume['name']}"
    context = pod.get("securityContext", {})
    for sysctl in context.get("sysctls", []):
        if sysctl["name"] not in SYSCTLS:
            yield f"sysctl {sysctl['name']}"
    yield from context_violations(context, "the pod")
    for container in containers(pod):
        yield from container_violations(container, context)


def context_violations(context: Object, owner: str) -> Iterator[str]:
    """Violations in the security context of a pod or of a container."""
    options = context.get("seLinuxOptions", {})
    if options.get("type", "") not in SELINUX_TYPES or options.get("user") or options.get("role"):
        yield f"seLinuxOptions of {owner}"
    for key in ("seccompProfile", "appArmorProfile"):
        if key in context and context[key].get("type") not in PROFILES:
            yield f"{key} of {owner}"
    if context.get("runAsUser") == 0:
        yield f"runAsUser of {owner}"
    if context.get("windowsOptions", {}).get("hostProcess"):
        yield f"hostProcess of {owner}"


def container_violations(container: Object, pod_context: Object) -> Iterator[str]:
    name, own = container["name"], container.get("securityContext", {})
    yield from context_violations(own, name)
    if own.get("privileged"):
        yield f"privileged {name}"
    if own.get("allowPrivilegeEscalation") is not False:
        yield f"allowPrivilegeEscalation of {name}"
    if own.get("procMount", "Default") != "Default":
        yield f"procMount of {name}"
    capabilities = own.get("capabilities", {})
    if "ALL" not in capabilities.get("drop", []):
        yield f"capabilities that {name} does not drop"
    if set(capabilities.get("add", [])) - {"NET_BIND_SERVICE"}:
        yield f"capabilities that {name} adds"
    if own.get("runAsNonRoot", pod_context.get("runAsNonRoot")) is not True:
        yield f"runAsNonRoot of {name}"
    if "seccompProfile" not in own and "seccompProfile" not in pod_context:
        yield f"no seccompProfile for {name}"
    if any("hostPort" in port for port in container.get("ports", [])):
        yield f"hostPort of {name}"
    hooks = [container.get(probe, {}) for probe in ("livenessProbe", "readinessProbe", "startupProbe")]
    hooks += container.get("lifecycle", {}).values()
    if any("host" in hook.get(way, {}) for hook in hooks for way in ("httpGet", "tcpSocket")):
        yield f"host in a probe of {name}"


# Each of these changes breaks the standard: path and new value. `None` removes the key.
BREACHES: list[tuple[list[str | int], Any]] = [
    (["hostNetwork"], True),
    (["hostPID"], True),
    (["hostIPC"], True),
    (["volumes", 0], {"name": "config", "hostPath": {"path": "/"}}),
    (["securityContext", "sysctls"], [{"name": "kernel.msgmax", "value": "1"}]),
    (["securityContext", "seccompProfile"], None),
    (["securityContext", "seccompProfile", "type"], "Unconfined"),
    (["securityContext", "runAsNonRoot"], None),
    (["securityContext", "runAsUser"], 0),
    (["securityContext", "seLinuxOptions"], {"type": "spc_t"}),
    (["containers", 0, "securityContext", "runAsNonRoot"], False),
    (["containers", 0, "securityContext", "appArmorProfile"], {"type": "Unconfined"}),
    (["containers", 0, "securityContext", "privileged"], True),
    (["containers", 0, "securityContext", "allowPrivilegeEscalation"], None),
    (["containers", 0, "securityContext", "procMount"], "Unmasked"),
    (["containers", 0, "securityContext", "capabilities"], None),
    (["containers", 0, "securityContext", "capabilities", "add"], ["NET_RAW"]),
    (["containers", 0, "ports", 0, "hostPort"], 10069),
    (["containers", 0, "livenessProbe", "httpGet", "host"], "127.0.0.1"),
    (["initContainers"], [{"name": "init", "image": "init"}]),
]


def breached(pod: Object, where: list[str | int], what: Any) -> Object:
    changed = deepcopy(pod)
    place: Any = changed
    for step in where[:-1]:
        place = place[step]
    if what is None:
        del place[where[-1]]
    else:
        place[where[-1]] = what
    return changed
