"""The labels of series that an operator scrapes."""

from __future__ import annotations


def target_labels(instance: str) -> dict[str, str]:
    """Labels that Alloy and the operators of Prometheus and VictoriaMetrics give a target besides job and instance."""
    return {
        "cluster": "production",
        "container": "zt-risk-exporter",
        "endpoint": "metrics",
        "namespace": "security",
        "node": "node-1",
        "pod": f"zt-risk-exporter-{instance.partition(':')[0]}",
        "prometheus": "monitoring/k8s",
        "prometheus_replica": "prometheus-k8s-0",
        "service": "zt-risk-exporter",
    }


def with_target_labels(labels: dict[str, str]) -> dict[str, str]:
    """The labels of a sample after the scrape by an operator: a label of the metric that collides gets a prefix."""
    added = target_labels(labels.get("instance", ""))
    return added | {f"exported_{name}" if name in added else name: value for name, value in labels.items()}
