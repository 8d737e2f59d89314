{{/* Values that contradict each other. The schema says what each of them may be. */}}
{{- define "zt-risk-exporter.checks" -}}
{{- if not (or .Values.accounts .Values.tokensSecret .Values.tokensDir .Values.discovery) }}
{{- fail "accounts is empty: list at least one, such as accounts[0].id=0123456789abcdef0123456789abcdef, or set tokensSecret" }}
{{- end }}
{{- if and .Values.tokensSecret .Values.tokensDir }}
{{- fail "tokensSecret and tokensDir are both set: one is enough" }}
{{- end }}
{{- range .Values.accounts }}
{{- $given := keys (pick . "tokenSecret" "tokenFile" "apiKeySecret" "apiKeyFile") | sortAlpha }}
{{- if gt (len $given) 1 }}
{{- fail (printf "the account %s has %s: one credential is enough" .id (join " and " $given)) }}
{{- end }}
{{- $key := or (hasKey . "apiKeySecret") (hasKey . "apiKeyFile") }}
{{- if and (hasKey . "email") (not $key) }}
{{- fail (printf "the account %s has email, but neither apiKeySecret nor apiKeyFile" .id) }}
{{- end }}
{{- if and $key (not (hasKey . "email")) }}
{{- fail (printf "the account %s has %s, but no email" .id (first $given)) }}
{{- end }}
{{- end }}
{{- if and .Values.baseline (default dict .Values.config.behaviors).baseline }}
{{- fail "baseline and config.behaviors.baseline are both set: one baseline is enough" }}
{{- end }}
{{- include "zt-risk-exporter.identityChecks" . }}
{{- include "zt-risk-exporter.globalChecks" . }}
{{- include "zt-risk-exporter.shardChecks" . }}
{{- include "zt-risk-exporter.serviceChecks" . }}
{{- include "zt-risk-exporter.pageChecks" . }}
{{- include "zt-risk-exporter.stateJobChecks" . }}
{{- include "zt-risk-exporter.monitorChecks" . }}
{{- end }}

{{- define "zt-risk-exporter.identityChecks" -}}
{{- if and .Values.hashKeySecret .Values.hashKeyFile }}
{{- fail "hashKeySecret and hashKeyFile are both set: one key is enough" }}
{{- end }}
{{- $hashed := eq (default "id" (default dict .Values.config.users).identity) "hash" }}
{{- if and $hashed (not .Values.hashKeySecret) (not .Values.hashKeyFile) }}
{{- fail "config.users.identity is hash, but neither hashKeySecret nor hashKeyFile names the key for it" }}
{{- end }}
{{- if and (not $hashed) (or .Values.hashKeySecret .Values.hashKeyFile) }}
{{- fail (printf "%s is set, but config.users.identity is not hash" (ternary "hashKeySecret" "hashKeyFile" (not .Values.hashKeyFile))) }}
{{- end }}
{{- end }}

{{- define "zt-risk-exporter.globalChecks" -}}
{{- /* The values of a parent are for all of its charts. */}}
{{- if .Chart.IsRoot }}
{{- range $name := keys .Values.global | sortAlpha }}
{{- if not (has $name (list "imageRegistry" "imagePullSecrets" "storageClass")) }}
{{- fail (printf "global.%s is not a value of this chart: global has imageRegistry, imagePullSecrets and storageClass" $name) }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{- define "zt-risk-exporter.shardChecks" -}}
{{- $sharded := gt (int .Values.shards) 1 }}
{{- if and $sharded .Values.persistence.existingClaim }}
{{- fail "persistence.existingClaim is set, but each shard needs its own claim" }}
{{- end }}
{{- if and $sharded .Values.persistence.volumeName }}
{{- fail "persistence.volumeName is set, but each shard needs its own volume" }}
{{- end }}
{{- if and .Values.persistence.retentionPolicy (not $sharded) }}
{{- fail "persistence.retentionPolicy is set, but shards is 1: helm.sh/resource-policy in persistence.annotations keeps the volume" }}
{{- end }}
{{- with .Values.podDisruptionBudget }}
{{- if and .enabled (not $sharded) }}
{{- fail "podDisruptionBudget.enabled is true, but a single exporter has one pod, so the budget would block every drain of its node" }}
{{- end }}
{{- if and (not (kindIs "invalid" .minAvailable)) (not (kindIs "invalid" .maxUnavailable)) }}
{{- fail "podDisruptionBudget has both minAvailable and maxUnavailable: one limit is enough" }}
{{- end }}
{{- end }}
{{- end }}

{{- define "zt-risk-exporter.serviceChecks" -}}
{{- with .Values.service }}
{{- if and (gt (int $.Values.shards) 1) (ne .type "ClusterIP") }}
{{- fail (printf "service.type is %s, but one address for all shards would return the metrics of any one shard" .type) }}
{{- end }}
{{- if and (gt (int $.Values.shards) 1) (or .clusterIP (not .enabled)) }}
{{- fail "shards have a Service without an address, for their names: service.enabled must be true and service.clusterIP empty" }}
{{- end }}
{{- if and .nodePort (eq .type "ClusterIP") }}
{{- fail "service.nodePort is set, but service.type is ClusterIP" }}
{{- end }}
{{- if and (or .loadBalancerClass .loadBalancerSourceRanges) (ne .type "LoadBalancer") }}
{{- fail (printf "service.loadBalancerClass and service.loadBalancerSourceRanges need service.type LoadBalancer, not %s" .type) }}
{{- end }}
{{- if and .externalTrafficPolicy (eq .type "ClusterIP") }}
{{- fail "service.externalTrafficPolicy is set, but service.type is ClusterIP" }}
{{- end }}
{{- if and $.Values.serviceMonitor.enabled (not .enabled) }}
{{- fail "serviceMonitor.enabled is true, but service.enabled is false: use podMonitor" }}
{{- end }}
{{- end }}
{{- end }}

{{- define "zt-risk-exporter.pageChecks" -}}
{{- range $way := list "ingress" "httpRoute" }}
{{- if (get $.Values $way).enabled }}
{{- if gt (int $.Values.shards) 1 }}
{{- fail (printf "%s.enabled is true, but one address for all shards would show the page of any one shard" $way) }}
{{- end }}
{{- if not $.Values.service.enabled }}
{{- fail (printf "%s.enabled is true, but service.enabled is false" $way) }}
{{- end }}
{{- if eq (default dict $.Values.config.web).page false }}
{{- fail (printf "%s.enabled is true, but config.web.page is false: there is no live page" $way) }}
{{- end }}
{{- end }}
{{- end }}
{{- if and .Values.ingress.enabled (not .Values.ingress.hosts) }}
{{- fail "ingress.hosts is empty: list at least one name" }}
{{- end }}
{{- if and .Values.httpRoute.enabled (not .Values.httpRoute.parentRefs) }}
{{- fail "httpRoute.parentRefs is empty: list at least one gateway" }}
{{- end }}
{{- end }}

{{- define "zt-risk-exporter.stateJobChecks" -}}
{{- with .Values.stateJob }}
{{- if and .command (not $.Values.persistence.enabled) }}
{{- fail (printf "stateJob.command is %s, but persistence.enabled is false: there is no state" .command) }}
{{- end }}
{{- if and (eq .command "forget") (not .user) }}
{{- fail "stateJob.command is forget, but stateJob.user is empty" }}
{{- end }}
{{- $shards := int $.Values.shards }}
{{- if and (eq .command "forget") (gt $shards 1) (kindIs "invalid" .shard) }}
{{- fail "stateJob.command is forget, but stateJob.shard is empty: name the shard that watches the user's account" }}
{{- end }}
{{- if not (kindIs "invalid" .shard) }}
{{- if or (le $shards 1) (ge (int .shard) $shards) }}
{{- fail (printf "stateJob.shard is %d, but shards is %d" (int .shard) $shards) }}
{{- end }}
{{- end }}
{{- if and .user (ne .command "forget") }}
{{- fail "stateJob.user is set, but stateJob.command is not forget" }}
{{- end }}
{{- end }}
{{- end }}

{{- define "zt-risk-exporter.monitorChecks" -}}
{{- if and .Values.podMonitor.enabled .Values.serviceMonitor.enabled }}
{{- fail "podMonitor.enabled and serviceMonitor.enabled are both true: the exporter would be scraped twice" }}
{{- end }}
{{- range $kind := list "podMonitor" "serviceMonitor" }}
{{- $monitor := get $.Values $kind }}
{{- $ways := list }}
{{- range $way := list "basicAuth" "authorization" "oauth2" }}
{{- if get $monitor $way }}{{ $ways = append $ways $way }}{{ end }}
{{- end }}
{{- if gt (len $ways) 1 }}
{{- fail (printf "%s has %s: one is enough" $kind (join " and " $ways)) }}
{{- end }}
{{- if and $monitor.tlsConfig (eq $monitor.scheme "http") }}
{{- fail (printf "%s.tlsConfig is set, but %s.scheme is http" $kind $kind) }}
{{- end }}
{{- $interval := include "zt-risk-exporter.seconds" $monitor.interval | float64 }}
{{- if gt (include "zt-risk-exporter.seconds" $monitor.scrapeTimeout | float64) $interval }}
{{- fail (printf "%s.scrapeTimeout is %s, which is longer than %s.interval, %s" $kind $monitor.scrapeTimeout $kind $monitor.interval) }}
{{- end }}
{{- end }}
{{- end }}
