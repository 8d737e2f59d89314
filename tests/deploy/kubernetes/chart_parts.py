"""Parts of the values in chart_values.py."""

from __future__ import annotations

from typing import Any

NOTE = {"example.com/note": "yes"}
TEAM = {"team": "security"}


def monitor(own: dict[str, Any]) -> dict[str, Any]:
    """Every setting of a monitor, apart from the ways to authorize, of which only one is allowed."""
    return {
        "enabled": True,
        "namespace": "monitoring",
        "labels": {"release": "stack"},
        "annotations": NOTE,
        "interval": "1m30s",
        "scrapeTimeout": "1m",
        "scheme": "https",
        "tlsConfig": {
            "ca": {"configMap": {"name": "web", "key": "ca.crt"}},
            "cert": {"secret": {"name": "web", "key": "tls.crt"}},
            "keySecret": {"name": "web", "key": "tls.key"},
            "serverName": "exporter.internal",
            "insecureSkipVerify": False,
            "minVersion": "TLS12",
            "maxVersion": "TLS13",
        },
        "proxyUrl": "http://proxy.example.com:3128",
        "params": {"mode": ["a", "b"]},
        "honorLabels": True,
        "honorTimestamps": False,
        "followRedirects": False,
        "enableHttp2": True,
        "relabelings": [
            {
                "sourceLabels": ["__meta_kubernetes_pod_node_name"],
                "separator": ";",
                "regex": "(.*)",
                "targetLabel": "node",
                "replacement": "$1",
                "action": "replace",
            }
        ],
        "metricRelabelings": [
            {"sourceLabels": ["__name__"], "regex": "process_.*", "action": "drop"},
            {"sourceLabels": ["user"], "modulus": 8, "targetLabel": "part", "action": "hashmod"},
        ],
        "podTargetLabels": ["team"],
        "attachMetadata": {"node": True},
        "scrapeClass": "internal",
        "sampleLimit": 100000,
        "targetLimit": 10,
        "labelLimit": 30,
        "labelNameLengthLimit": 64,
        "labelValueLengthLimit": 256,
    } | own


AUTHORIZATION = {"type": "Bearer", "credentials": {"name": "scrape", "key": "token", "optional": True}}
# Files in the pod of Prometheus.
TLS_FILES = {"caFile": "/etc/ca.crt", "certFile": "/etc/tls.crt", "keyFile": "/etc/tls.key"}
OAUTH2 = {
    "clientId": {"secret": {"name": "oauth", "key": "id"}},
    "clientSecret": {"name": "oauth", "key": "secret"},
    "tokenUrl": "https://login.example.com/token",
}
# An alert with every change.
CHANGED = {
    "enabled": True,
    "severity": "page",
    "for": "10m",
    "keepFiringFor": "1h",
    "labels": TEAM,
    "annotations": {"contact": "soc"},
}
OWN_GROUP = {
    "name": "own",
    "interval": "1m",
    "query_offset": "10s",
    "limit": 10,
    "labels": TEAM,
    "partial_response_strategy": "abort",
    "rules": [
        {"record": "account:cloudflare_zt_risk_users:sum", "expr": "sum by (account) (cloudflare_zt_risk_users)"},
        {
            "alert": "ManyUsers",
            "expr": "account:cloudflare_zt_risk_users:sum > 10",
            "for": "5m",
            "keep_firing_for": "5m",
            "labels": {"severity": "warning"},
            "annotations": {"summary": "Many users."},
        },
    ],
}
THRESHOLDS = {
    "riseUsers": 100,
    "risePercent": 30,
    "usualUsers": 50,
    "usualPercent": 15,
    "campaignUsers": 1000000,
    "campaignFactor": 4,
    "campaignUsersNoHistory": 500,
    "unattended": "2d",
    "resetUsers": 200,
    "resetPercent": 7,
    "silentEvents": 70,
    "stalePolls": 5,
    "expiryNotice": "3w",
    "pending": "90m",
    "closedConnections": 60,
}
TIMES = {"initialDelaySeconds": 1, "periodSeconds": 3, "timeoutSeconds": 2, "failureThreshold": 90}
SIDE = {
    "image": "side:1",
    "securityContext": {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    },
}
