"""Values of the chart that the tests render. Together they set every value; a check in chart.py verifies this."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from chart_parts import (
    AUTHORIZATION,
    CHANGED,
    NOTE,
    OAUTH2,
    OWN_GROUP,
    SIDE,
    TEAM,
    THRESHOLDS,
    TIMES,
    TLS_FILES,
    monitor,
)

ACCOUNT = "0123456789abcdef0123456789abcdef"
USER = "182bd5e5-6e1a-4fe4-a799-aa6d9a6ab26e"
READER = Path(__file__).resolve().parents[3] / "deploy/feed/vector/values.yaml"
ONE = {"accounts": [{"id": ACCOUNT, "alias": "acme"}]}
VALUES: dict[str, dict[str, Any]] = {
    "one account": ONE,
    "with the operator": ONE
    | {
        "baseline": {"high_dlp": {"enabled": True, "risk_level": "medium"}},
        "podMonitor": {"enabled": True, "labels": {"release": "stack"}, "interval": "1m", "scrapeTimeout": "5s"},
        "prometheusRule": {
            "enabled": True,
            "namespace": "monitoring",
            "labels": {"release": "stack"},
            "annotations": NOTE,
            "runbookUrl": "https://wiki.internal/runbooks",
            "dashboardUrl": "https://grafana.internal/sub",
            "command": "docker exec risk /zt-risk-exporter",
            "keepLabels": ["namespace", "cluster"],
            "alertLabels": TEAM,
            "alerts": {"ZeroTrustMassReset": CHANGED, "ZeroTrustBehaviorSilent": {"enabled": False}},
            "extraGroups": [OWN_GROUP],
            "thresholds": THRESHOLDS,
        },
        "dashboards": {
            "enabled": True,
            "namespace": "monitoring",
            "labels": {"grafana_dashboard": "1"},
            "annotations": {"grafana_folder": "Risk"},
        },
        "networkPolicy": {
            "enabled": True,
            "from": [{"podSelector": {}}],
            "extraEgress": [{"to": [{"ipBlock": {"cidr": "10.0.0.1/32"}}], "ports": [{"port": 3128}]}],
            "labels": TEAM,
            "annotations": NOTE,
        },
    },
    "many accounts and Secrets": {
        "accounts": [
            # Only decimal digits: YAML reads it as a number unless it is quoted.
            {
                "id": "01234567890123456789012345678901",
                "budgetShare": 0.5,
                "tokenSecret": {"name": "first", "key": "a"},
            },
            {"id": "1" * 32, "alias": "second", "budgetShare": 0.5, "tokenSecret": {"name": "first", "key": "a"}},
            {"id": "2" * 32, "email": "ops@example.com", "apiKeySecret": {"name": "third", "key": "k"}},
            {"id": "3" * 32, "baseline": {"imp_travel": {"enabled": True, "risk_level": "high"}}},
        ],
        "hashKeySecret": {"name": "hash", "key": "key"},
        "config": {
            "cloudflare": {"base_url": "https://api.cloudflare.com/client/v4"},
            "intervals": {"summary": "1m", "behaviors": "10m", "integrations": "1h30m", "audit": "1d"},
            "behaviors": {"baseline": "/etc/zt-risk-exporter-baselines/all.yaml"},
            "users": {"limit": 100000, "identity": "hash"},
            "feed": {
                "stdout": True,
                "format": "ocsf",
                "keep": 3,
                "mode": "0600",
                "identity": "none",
                "details": False,
                "history": True,
                "buffer_records": 1000,
            },
            "state": {"cache_mib": 64},
            "web": {"page": False, "enable_lifecycle": True},
            "config": {"auto_reload_interval": "1m"},
            "log": {"level": "info,hyper=warn", "format": "text"},
        },
        "serviceMonitor": {"enabled": True, "labels": {"release": "stack"}, "interval": "1m", "scrapeTimeout": "5s"},
    },
    "everything of the pod": ONE
    | {
        "image": {
            "registry": "images.example.com:5000",
            "repository": "risk",
            "digest": "sha256:" + "0" * 64,
            "pullPolicy": "Always",
        },
        "imagePullSecrets": [{"name": "pull"}],
        "fullnameOverride": "risk",
        "namespaceOverride": "elsewhere",
        "commonLabels": TEAM,
        "commonAnnotations": NOTE,
        "workloadAnnotations": {"reloader.example.com/match": "true"},
        "podLabels": {"tier": "monitoring"},
        "podAnnotations": {"example.com/note": "yes"},
        "persistence": {"existingClaim": "mine"},
        "serviceAccount": {"create": False, "name": "mine"},
        "service": {
            "enabled": True,
            "type": "NodePort",
            "port": 80,
            "nodePort": 30069,
            "clusterIP": "10.96.0.69",
            "externalTrafficPolicy": "Local",
            "internalTrafficPolicy": "Local",
            "ipFamilyPolicy": "PreferDualStack",
            "ipFamilies": ["IPv4", "IPv6"],
            "appProtocol": "http",
            "labels": TEAM,
            "annotations": NOTE,
        },
        "resources": {"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"memory": "1Gi"}},
        "terminationGracePeriodSeconds": 30,
        "revisionHistoryLimit": 0,
        "podSecurityContext": {"fsGroup": 1000, "runAsUser": 1000, "runAsGroup": 1000},
        "securityContext": {"privileged": False},
        "extraEnv": [
            {"name": "HTTPS_PROXY", "value": "http://proxy.example.com:3128"},
            {"name": "NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}},
        ],
        "extraVolumes": [{"name": "anchors", "configMap": {"name": "anchors"}}],
        "extraVolumeMounts": [{"name": "anchors", "mountPath": "/etc/anchors", "readOnly": True}],
        "nodeSelector": {"kubernetes.io/os": "linux"},
        "tolerations": [
            {"key": "dedicated", "operator": "Exists"},
            {"key": "a", "operator": "Equal", "value": "b", "effect": "NoExecute", "tolerationSeconds": 60},
        ],
        "affinity": {"podAntiAffinity": {}, "podAffinity": {}, "nodeAffinity": {}},
        "priorityClassName": "low",
        "runtimeClassName": "gvisor",
        "schedulerName": "own",
        "hostAliases": [{"ip": "10.0.0.1", "hostnames": ["api.example.com"]}],
        "dnsPolicy": "None",
        "dnsConfig": {
            "nameservers": ["10.0.0.2"],
            "searches": ["example.com"],
            "options": [{"name": "ndots", "value": "1"}],
        },
        "hostUsers": False,
        "extraArgs": ["--log.level=debug"],
        "extraEnvFrom": [{"prefix": "P_", "configMapRef": {"name": "proxy"}}, {"secretRef": {"name": "proxy"}}],
        "extraInitContainers": [{"name": "init"} | SIDE],
        "extraContainers": [{"name": "side"} | SIDE],
        "lifecycle": {hook: {"httpGet": {"path": "/", "port": 9}} for hook in ("postStart", "preStop")},
        "startupProbe": TIMES | {"terminationGracePeriodSeconds": 9},
        "livenessProbe": TIMES | {"terminationGracePeriodSeconds": 9},
        "readinessProbe": TIMES | {"successThreshold": 2},
        "ingress": {
            "enabled": True,
            "className": "nginx",
            "hosts": ["risk.example.com", "*.example.org"],
            "paths": [{"path": "/risk", "pathType": "Prefix"}],
            "tls": [{"secretName": "risk-tls", "hosts": ["risk.example.com"]}],
            "labels": TEAM,
            "annotations": NOTE,
        },
        "extraObjects": [
            {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": {"name": "{{ .Release.Name }}-extra"},
                "data": {"service": '{{ include "zt-risk-exporter.serviceName" . }}'},
            },
            "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: text-{{ .Release.Name }}\n",
        ],
    },
    "a load balancer": ONE
    | {
        "global": {
            "imageRegistry": "mirror.example.com/",
            "imagePullSecrets": ["mirror", {"name": "second"}],
            "storageClass": "slow",
        },
        "service": {
            "type": "LoadBalancer",
            "loadBalancerClass": "internal",
            "loadBalancerSourceRanges": ["10.0.0.0/8"],
            "trafficDistribution": "PreferClose",
        },
        "httpRoute": {
            "enabled": True,
            "parentRefs": [
                {
                    "group": "gateway.networking.k8s.io",
                    "kind": "Gateway",
                    "name": "internal",
                    "namespace": "gateways",
                    "sectionName": "https",
                    "port": 443,
                }
            ],
            "hostnames": ["risk.example.com"],
            "matches": [
                {
                    "path": {"type": "PathPrefix", "value": "/risk"},
                    "headers": [{"name": "x", "value": "y"}],
                    "queryParams": [{"name": "a", "value": "b"}],
                    "method": "GET",
                }
            ],
            "filters": [
                {
                    "type": "URLRewrite",
                    "urlRewrite": {"path": {"type": "ReplacePrefixMatch", "replacePrefixMatch": "/"}},
                }
            ],
            "labels": TEAM,
            "annotations": NOTE,
        },
    },
    "the live page": ONE
    | {
        "ingress": {"enabled": True, "hosts": ["risk.example.com"]},
        "httpRoute": {"enabled": True, "parentRefs": [{"name": "internal"}]},
    },
    "without a Service": ONE
    | {"service": {"enabled": False}, "podMonitor": monitor({"authorization": AUTHORIZATION, "filterRunning": True})},
    "every setting of a ServiceMonitor": ONE
    | {"serviceMonitor": monitor({"oauth2": OAUTH2, "targetLabels": ["team"]})},
    "a ServiceMonitor with files of Prometheus": ONE
    | {
        "serviceMonitor": {"enabled": True, "scheme": "https", "tlsConfig": TLS_FILES, "authorization": AUTHORIZATION},
    },
    "a PodMonitor with OAuth": ONE | {"podMonitor": {"enabled": True, "oauth2": OAUTH2}},
    "accounts that are found": {
        "discovery": [
            {"tokenSecret": {"name": "user"}},
            {
                "tokenFile": "/vault/user",
                "include": ["acme*"],
                "exclude": ["*sandbox*"],
                "alias": "id",
                "interval": "1h",
                "budgetShare": 0.5,
            },
        ],
        "extraVolumes": [{"name": "vault", "emptyDir": {}}],
        "extraVolumeMounts": [{"name": "vault", "mountPath": "/vault"}],
    },
    "tokens of many accounts": {"tokensSecret": "tokens", "shards": 2},
    "tokens of many accounts, beside one that is listed": ONE | {"tokensDir": "/vault/tokens"},
    "files of other tools": {
        "accounts": [
            {"id": ACCOUNT, "alias": "acme", "tokenFile": "/vault/secrets/token"},
            {"id": "4" * 32, "email": "ops@example.com", "apiKeyFile": "/vault/secrets/key"},
        ],
        "config": {"users": {"identity": "hash"}},
        "hashKeyFile": "/vault/secrets/hash",
        "serviceAccount": {"automountServiceAccountToken": True},
        "extraVolumes": [{"name": "vault", "csi": {"driver": "secrets-store.csi.k8s.io", "readOnly": True}}],
        "extraVolumeMounts": [{"name": "vault", "mountPath": "/vault/secrets", "readOnly": True}],
    },
    "OpenShift": ONE | {"openshift": True},
    "a check of the state": ONE | {"stateJob": {"command": "check"}, "imagePullSecrets": [{"name": "pull"}]},
    "a user to forget on OpenShift": ONE
    | {"openshift": True, "stateJob": {"command": "forget", "user": USER}, "persistence": {"existingClaim": "mine"}},
    "without a volume": ONE
    | {
        "persistence": {"enabled": False, "size": "100Mi"},
        "nameOverride": "other",
        "image": {"tag": "1.2.3"},
        "networkPolicy": {"enabled": True, "from": []},
    },
    "shards": {
        "persistence": {"retentionPolicy": {"whenDeleted": "Retain", "whenScaled": "Delete"}},
        "accounts": [{"id": digit * 32, "tokenSecret": {"name": "tokens", "key": digit}} for digit in "abcdef"],
        "shards": 3,
        "podMonitor": {"enabled": True},
        "extraEnv": [{"name": "HTTPS_PROXY", "value": "http://proxy.example.com:3128"}],
        "podDisruptionBudget": {
            "enabled": True,
            "maxUnavailable": "50%",
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
            "labels": TEAM,
            "annotations": NOTE,
        },
        "topologySpreadConstraints": [
            {
                "maxSkew": 1,
                "topologyKey": "topology.kubernetes.io/zone",
                "whenUnsatisfiable": "ScheduleAnyway",
                "minDomains": 2,
                "matchLabelKeys": ["pod-template-hash"],
                "nodeAffinityPolicy": "Honor",
                "nodeTaintsPolicy": "Ignore",
            },
            {
                "maxSkew": 2,
                "topologyKey": "kubernetes.io/hostname",
                "whenUnsatisfiable": "DoNotSchedule",
                "labelSelector": {"matchLabels": {"tier": "own"}},
            },
        ],
    },
    "shards of which a minimum stays": ONE | {"shards": 2, "podDisruptionBudget": {"enabled": True, "minAvailable": 1}},
    "shards of which one forgets a user": ONE
    | {"shards": 3, "stateJob": {"command": "forget", "user": USER, "shard": 1}},
    "shards whose state is shown": ONE | {"shards": 2, "stateJob": {"command": "show"}},
    "a protected port": ONE
    | {
        "web": {"configSecret": "web"},
        "config": {
            "web": {
                "allowed_hosts": "exporter.internal",
                "grafana_url": "https://grafana.internal",
                "telemetry_path": "/risk",
            },
        },
        "podMonitor": {
            "enabled": True,
            "scheme": "https",
            "tlsConfig": {"ca": {"secret": {"name": "web", "key": "ca.crt"}}, "serverName": "exporter.internal"},
            "basicAuth": {
                "username": {"name": "web", "key": "username", "optional": False},
                "password": {"name": "web", "key": "password", "optional": False},
            },
        },
    },
    "a protected port behind a Service": ONE
    | {
        "web": {"configSecret": "web"},
        "serviceMonitor": {
            "enabled": True,
            "scheme": "https",
            "tlsConfig": {"insecureSkipVerify": True},
            "basicAuth": {
                "username": {"name": "web", "key": "username", "optional": False},
                "password": {"name": "web", "key": "password", "optional": False},
            },
        },
    },
    "protected shards": {
        "accounts": [{"id": digit * 32} for digit in "abc"],
        "shards": 2,
        "web": {"configSecret": "web"},
    },
    "a reader of the feed": ONE | yaml.safe_load(READER.read_text(encoding="utf-8")),
    "shards without a volume": ONE | {"shards": 2, "persistence": {"enabled": False}},
    "a custom volume": ONE
    | {
        "persistence": {
            "storageClassName": "fast",
            "size": "2Gi",
            "volumeName": "disk-1",
            "accessModes": ["ReadWriteOncePod"],
            "selector": {
                "matchLabels": {"disk": "fast"},
                "matchExpressions": [{"key": "zone", "operator": "In", "values": ["a"]}],
            },
            "labels": TEAM,
            "annotations": NOTE,
        },
        "serviceAccount": {"labels": TEAM, "annotations": NOTE},
    },
}
