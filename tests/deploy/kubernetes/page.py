"""Checks the ways to the live page, and the names of objects in another namespace."""

from __future__ import annotations

import re
from typing import Any

from chart_values import VALUES
from sources import ROOT, charted, only

ASSETS = ROOT / "src/server/assets.rs"


def files_of_the_page() -> set[str]:
    text = ASSETS.read_text(encoding="utf-8")
    found = set(re.findall(r'(?:path: |script\()"(/[\w.-]*)"', text))
    assert len(found) > 3, "this test does not understand the files of the page"
    return found | {"/api/v1/status"}


def the_page_is_reachable_and_the_metrics_are_not() -> None:
    found = charted(VALUES["the live page"])
    (rule,) = only(found, "Ingress")["spec"]["rules"]
    paths = {one["path"] for one in rule["http"]["paths"]}
    assert paths == files_of_the_page()
    assert {one["pathType"] for one in rule["http"]["paths"]} == {"Exact"}
    (route,) = only(found, "HTTPRoute")["spec"]["rules"]
    assert {match["path"]["value"] for match in route["matches"]} == paths
    assert {match["path"]["type"] for match in route["matches"]} == {"Exact"}


def both_ways_lead_to_the_port_of_the_service() -> None:
    found = charted(VALUES["the live page"])
    service = only(found, "Service")
    (port,) = service["spec"]["ports"]
    (route,) = only(found, "HTTPRoute")["spec"]["rules"]
    assert route["backendRefs"] == [{"name": service["metadata"]["name"], "port": port["port"]}]
    for path in only(found, "Ingress")["spec"]["rules"][0]["http"]["paths"]:
        backend = path["backend"]["service"]
        assert backend == {"name": service["metadata"]["name"], "port": {"name": port["name"]}}


def every_object_is_in_the_namespace_that_the_values_name() -> None:
    def namespaces(values: dict[str, Any]) -> dict[str, str]:
        found = charted({key: value for key, value in values.items() if key != "extraObjects"})
        return {f"{one['kind']} {one['metadata']['name']}": one["metadata"]["namespace"] for one in found}

    assert set(namespaces(VALUES["everything of the pod"]).values()) == {"elsewhere"}
    own = namespaces(VALUES["with the operator"])
    assert {name for name, namespace in own.items() if namespace == "monitoring"} == {
        name for name in own if name.startswith("PrometheusRule ") or "-dashboard-" in name
    }
    # A monitor elsewhere says where its targets are.
    monitor = only(charted(VALUES["every setting of a ServiceMonitor"]), "ServiceMonitor")
    assert monitor["metadata"]["namespace"] == "monitoring"
    assert monitor["spec"]["namespaceSelector"] == {"matchNames": ["risk"]}
    assert "namespaceSelector" not in only(charted(VALUES["with the operator"]), "PodMonitor")["spec"]


CHECKS = [
    the_page_is_reachable_and_the_metrics_are_not,
    both_ways_lead_to_the_port_of_the_service,
    every_object_is_in_the_namespace_that_the_values_name,
]
