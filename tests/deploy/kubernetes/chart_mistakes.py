"""Wrong values of the chart, and what the error message must contain."""

from __future__ import annotations

from typing import Any

from chart_values import ACCOUNT, ONE, USER

FIRST = ONE["accounts"][0]


def account(**more: Any) -> dict[str, Any]:
    return {"accounts": [FIRST | more]}


REJECTED: list[tuple[dict[str, Any], str]] = [
    ({}, "accounts is empty: list at least one"),
    ({"tokensSecret": "a", "tokensDir": "/b"}, "tokensSecret and tokensDir are both set: one is enough"),
    ({"discovery": [{"alias": "id"}]}, "at '/discovery/0'"),
    ({"tokensSecret": "A"}, "at '/tokensSecret': 'A' does not match pattern"),
    ({"accounts": [{"alias": "acme"}]}, "missing property 'id'"),
    ({"accounts": [{"id": "acme"}]}, "at '/accounts/0/id': 'acme' does not match pattern"),
    ({"accounts": [{"id": 1}]}, "at '/accounts/0/id': got number, want string"),
    (account(token="secret"), "additional properties 'token' not allowed"),
    (account(budgetShare=2), "at '/accounts/0/budgetShare': maximum: got 2, want 1"),
    (account(email="a@b.c"), f"the account {ACCOUNT} has email, but neither apiKeySecret nor apiKeyFile"),
    (account(apiKeyFile="/run/key"), f"the account {ACCOUNT} has apiKeyFile, but no email"),
    (
        account(email="a@b.c", apiKeySecret={"name": "a"}, tokenSecret={"name": "b"}),
        f"the account {ACCOUNT} has apiKeySecret and tokenSecret: one credential is enough",
    ),
    (account(tokenFile="/t", tokenSecret={}), "has tokenFile and tokenSecret: one credential is enough"),
    (account(tokenFile="token"), "at '/accounts/0/tokenFile': 'token' does not match pattern"),
    (ONE | {"config": {"intervals": {"sumary": "30s"}}}, "additional properties 'sumary' not allowed"),
    (ONE | {"config": {"intervals": {"summary": "30"}}}, "at '/config/intervals/summary': '30' does not match pattern"),
    (ONE | {"config": {"users": {"limit": -1}}}, "at '/config/users/limit': minimum: got -1, want 0"),
    (ONE | {"config": {"users": {"identity": "name"}}}, "value must be one of 'id', 'hash', 'email', 'none'"),
    (ONE | {"config": {"users": {"identity": "hash"}}}, "neither hashKeySecret nor hashKeyFile names the key"),
    (ONE | {"hashKeySecret": {"name": "hash"}}, "hashKeySecret is set, but config.users.identity is not hash"),
    (
        ONE
        | {
            "baseline": {"a": {"enabled": True, "risk_level": "low"}},
            "config": {"behaviors": {"baseline": "/run/baseline"}},
        },
        "both set: one baseline is enough",
    ),
    (ONE | {"hashKeyFile": "/run/hash"}, "hashKeyFile is set, but config.users.identity is not hash"),
    (ONE | {"hashKeyFile": "/run/hash", "hashKeySecret": {"name": "hash"}}, "both set: one key is enough"),
    (ONE | {"config": {"web": {"listen_address": ":1"}}}, "additional properties 'listen_address' not allowed"),
    (ONE | {"replicas": 2}, "additional properties 'replicas' not allowed"),
    (ONE | {"global": {"imageRegistri": "a"}}, "global.imageRegistri is not a value of this chart"),
    (ONE | {"global": {"imageRegistry": 1}}, "at '/global/imageRegistry': got number, want string"),
    (ONE | {"global": {"imagePullSecrets": [{"nam": "a"}]}}, "additional properties 'nam' not allowed"),
    (ONE | {"shards": 0}, "at '/shards': minimum: got 0, want 1"),
    (ONE | {"shards": 2, "persistence": {"existingClaim": "mine"}}, "each shard needs its own claim"),
    (ONE | {"shards": 2, "persistence": {"volumeName": "mine"}}, "each shard needs its own volume"),
    (ONE | {"persistence": {"retentionPolicy": {"whenDeleted": "Delete"}}}, "retentionPolicy is set, but shards is 1"),
    (ONE | {"shards": 2, "service": {"type": "NodePort"}}, "one address for all shards would return the metrics"),
    (ONE | {"shards": 2, "service": {"clusterIP": "10.0.0.1"}}, "service.clusterIP empty"),
    (ONE | {"shards": 2, "service": {"enabled": False}}, "service.enabled must be true"),
    (ONE | {"shards": 2, "ingress": {"enabled": True, "hosts": ["a"]}}, "would show the page of any one shard"),
    (ONE | {"service": {"nodePort": 30000}}, "service.nodePort is set, but service.type is ClusterIP"),
    (ONE | {"service": {"loadBalancerClass": "a", "type": "NodePort"}}, "need service.type LoadBalancer, not NodePort"),
    (ONE | {"service": {"externalTrafficPolicy": "Local"}}, "but service.type is ClusterIP"),
    (ONE | {"service": {"type": "Nodeport"}}, "at '/service/type': value must be one of 'ClusterIP', 'NodePort'"),
    (ONE | {"service": {"enabled": False}, "serviceMonitor": {"enabled": True}}, "use podMonitor"),
    (ONE | {"ingress": {"enabled": True}}, "ingress.hosts is empty"),
    (ONE | {"ingress": {"hosts": ["https://a"]}}, "at '/ingress/hosts/0': 'https://a' does not match pattern"),
    (ONE | {"ingress": {"paths": [{"path": "/"}]}}, "missing property 'pathType'"),
    (
        ONE | {"ingress": {"enabled": True, "hosts": ["a"]}, "config": {"web": {"page": False}}},
        "ingress.enabled is true, but config.web.page is false",
    ),
    (
        ONE | {"ingress": {"enabled": True, "hosts": ["a"]}, "service": {"enabled": False}},
        "ingress.enabled is true, but service.enabled is false",
    ),
    (ONE | {"httpRoute": {"enabled": True}}, "httpRoute.parentRefs is empty"),
    (ONE | {"httpRoute": {"parentRefs": [{"namespace": "a"}]}}, "missing property 'name'"),
    (ONE | {"podDisruptionBudget": {"enabled": True}}, "the budget would block every drain"),
    (ONE | {"shards": 2, "podDisruptionBudget": {"minAvailable": 1, "maxUnavailable": 0}}, "one limit is enough"),
    (ONE | {"podDisruptionBudget": {"minAvailable": "half"}}, "at '/podDisruptionBudget/minAvailable'"),
    (ONE | {"stateJob": {"command": "forget"}}, "stateJob.command is forget, but stateJob.user is empty"),
    (
        ONE | {"stateJob": {"command": "check", "user": USER}},
        "stateJob.user is set, but stateJob.command is not forget",
    ),
    (ONE | {"stateJob": {"command": "delete"}}, "value must be one of '', 'show', 'check', 'forget'"),
    (ONE | {"stateJob": {"command": "forget", "user": "ann@example.com"}}, "at '/stateJob/user': 'ann@example.com'"),
    (ONE | {"stateJob": {"command": "check"}, "persistence": {"enabled": False}}, "there is no state"),
    (ONE | {"shards": 2, "stateJob": {"command": "forget", "user": USER}}, "stateJob.shard is empty"),
    (ONE | {"shards": 2, "stateJob": {"command": "check", "shard": 2}}, "stateJob.shard is 2, but shards is 2"),
    (ONE | {"stateJob": {"shard": 0, "command": "check"}}, "stateJob.shard is 0, but shards is 1"),
    (ONE | {"commonLabels": {"app.kubernetes.io/name": "risk"}}, "invalid propertyName 'app.kubernetes.io/name'"),
    (ONE | {"podLabels": {"app.kubernetes.io/instance": "eu"}}, "invalid propertyName 'app.kubernetes.io/instance'"),
    (ONE | {"terminationGracePeriodSeconds": 5}, "minimum: got 5, want 6"),
    (ONE | {"persistence": {"size": "much"}}, "at '/persistence/size': 'much' does not match pattern"),
    (ONE | {"extraArgs": ["--config.file=/a"]}, "at '/extraArgs/0': 'not' failed"),
    (ONE | {"extraArgs": ["--web.listen-address", ":1"]}, "at '/extraArgs/1': ':1' does not match pattern"),
    (ONE | {"extraEnv": [{"key": "A", "value": "b"}]}, "additional properties 'key' not allowed"),
    (ONE | {"extraEnv": [{"name": "A", "value": 1}]}, "at '/extraEnv/0/value': got number, want string"),
    (ONE | {"extraVolumeMounts": [{"name": "a", "path": "/a"}]}, "additional properties 'path' not allowed"),
    (ONE | {"tolerations": [{"effect": "NoRun"}]}, "at '/tolerations/0/effect': value must be one of"),
    (ONE | {"affinity": {"podAntiAfinity": {}}}, "additional properties 'podAntiAfinity' not allowed"),
    (ONE | {"securityContext": {"runAsUsr": 1}}, "at '/securityContext': additional properties 'runAsUsr'"),
    (
        ONE | {"extraVolumes": [{"name": "a", "configmap": {}}]},
        "at '/extraVolumes/0': additional properties 'configmap'",
    ),
    (ONE | {"extraContainers": [{"name": "a"}]}, "missing property 'image'"),
    (ONE | {"podMonitor": {"oauth2": {"clientID": {}}}}, "at '/podMonitor/oauth2': additional properties 'clientID'"),
    (
        ONE | {"networkPolicy": {"from": [{"namespace": "a"}]}},
        "at '/networkPolicy/from/0': additional properties 'namespace'",
    ),
    (ONE | {"livenessProbe": {"httpGet": {"path": "/"}}}, "additional properties 'httpGet' not allowed"),
    (ONE | {"livenessProbe": {"successThreshold": 2}}, "additional properties 'successThreshold' not allowed"),
    (ONE | {"namespaceOverride": "Risk"}, "at '/namespaceOverride': 'Risk' does not match pattern"),
    (
        ONE | {"podMonitor": {"enabled": True}, "serviceMonitor": {"enabled": True}},
        "the exporter would be scraped twice",
    ),
    (ONE | {"podMonitor": {"jobLabel": "app"}}, "additional properties 'jobLabel' not allowed"),
    (ONE | {"podMonitor": {"targetLabels": ["app"]}}, "additional properties 'targetLabels' not allowed"),
    (
        ONE | {"podMonitor": {"relabelings": [{"source_labels": []}]}},
        "additional properties 'source_labels' not allowed",
    ),
    (
        ONE | {"podMonitor": {"scrapeTimeout": "31s"}},
        "scrapeTimeout is 31s, which is longer than podMonitor.interval, 30s",
    ),
    (
        ONE | {"podMonitor": {"tlsConfig": {"serverName": "a"}}},
        "podMonitor.tlsConfig is set, but podMonitor.scheme is http",
    ),
    (
        ONE | {"serviceMonitor": {"basicAuth": {"username": {"name": "a", "key": "b"}}, "oauth2": {"scopes": []}}},
        "serviceMonitor has basicAuth and oauth2: one is enough",
    ),
    (ONE | {"prometheusRule": {"alerts": {"ZeroTrustMassResets": {"enabled": False}}}}, "'ZeroTrustMassResets'"),
    (ONE | {"prometheusRule": {"alerts": {"ZeroTrustMassReset": False}}}, "got boolean, want object"),
    (ONE | {"prometheusRule": {"thresholds": {"riseUser": 1}}}, "additional properties 'riseUser' not allowed"),
    (ONE | {"prometheusRule": {"thresholds": {"riseUsers": "10"}}}, "got string, want integer"),
    (ONE | {"prometheusRule": {"thresholds": {"pending": 3600}}}, "got number, want string"),
    (
        ONE | {"prometheusRule": {"runbookUrl": "wiki/"}},
        "at '/prometheusRule/runbookUrl': 'wiki/' does not match pattern",
    ),
    (ONE | {"prometheusRule": {"keepLabels": ["name space"]}}, "'name space' does not match pattern"),
    (ONE | {"prometheusRule": {"extraGroups": [{"rules": []}]}}, "missing property 'name'"),
]
