{{- define "zt-risk-exporter.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{/* At most 52 characters: the pods of a StatefulSet have a label with its name and 11 more, and a label has at most 63. */}}
{{- define "zt-risk-exporter.fullname" -}}
{{- $name := include "zt-risk-exporter.name" . }}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 52 | trimSuffix "-" }}
{{- else if contains $name .Release.Name }}
{{- .Release.Name | trunc 52 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name $name | trunc 52 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "zt-risk-exporter.serviceName" -}}
{{- include "zt-risk-exporter.fullname" . }}{{ if gt (int .Values.shards) 1 }}-shards{{ end }}
{{- end }}

{{- define "zt-risk-exporter.selectorLabels" -}}
app.kubernetes.io/name: {{ include "zt-risk-exporter.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "zt-risk-exporter.labels" -}}
{{ include "zt-risk-exporter.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "zt-risk-exporter.serviceAccountName" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "zt-risk-exporter.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- default "default" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{/* The Secret, key and file of a credential, as JSON. Arguments: root, the credential in the values, the default key. */}}
{{- define "zt-risk-exporter.secret" -}}
{{- $values := default dict (index . 1) }}
{{- $name := default (include "zt-risk-exporter.fullname" (index . 0)) $values.name }}
{{- $key := default (index . 2) $values.key }}
{{- dict "name" $name "key" $key "file" (printf "/run/secrets/%s/%s" $name $key) | toJson }}
{{- end }}

{{/* The same for an account. Arguments: root, account. */}}
{{- define "zt-risk-exporter.accountSecret" -}}
{{- $account := index . 1 }}
{{- if $account.email }}
{{- include "zt-risk-exporter.secret" (list (index . 0) $account.apiKeySecret "api-key") }}
{{- else }}
{{- include "zt-risk-exporter.secret" (list (index . 0) $account.tokenSecret "token") }}
{{- end }}
{{- end }}

{{/* The same for the hash key. */}}
{{- define "zt-risk-exporter.hashKeySecret" -}}
{{- include "zt-risk-exporter.secret" (list . .Values.hashKeySecret "hash-key") }}
{{- end }}

{{/* The names of all Secrets without duplicates, as JSON. */}}
{{- define "zt-risk-exporter.secretNames" -}}
{{- $names := list }}
{{- range .Values.accounts }}
{{- $names = append $names (include "zt-risk-exporter.accountSecret" (list $ .) | fromJson).name }}
{{- end }}
{{- if .Values.hashKeySecret }}
{{- $names = append $names (include "zt-risk-exporter.hashKeySecret" . | fromJson).name }}
{{- end }}
{{- uniq $names | toJson }}
{{- end }}

{{/* The exporter's configuration file. */}}
{{- define "zt-risk-exporter.config" -}}
{{- if not .Values.accounts }}
{{- fail "accounts is empty: list at least one, such as accounts[0].id=0123456789abcdef0123456789abcdef" }}
{{- end }}
{{- $config := deepCopy .Values.config }}
{{- $accounts := list }}
{{- range .Values.accounts }}
{{- $account := dict "id" .id }}
{{- with .alias }}{{ $_ := set $account "alias" . }}{{ end }}
{{- with .budgetShare }}{{ $_ := set $account "budget_share" . }}{{ end }}
{{- $secret := include "zt-risk-exporter.accountSecret" (list $ .) | fromJson }}
{{- if .email }}
{{- if .tokenSecret }}
{{- fail (printf "the account %s has both email and tokenSecret: one credential is enough" .id) }}
{{- end }}
{{- $_ := set $account "email" .email }}
{{- end }}
{{- $_ := set $account (ternary "api_key_file" "token_file" (hasKey $account "email")) $secret.file }}
{{- $accounts = append $accounts $account }}
{{- end }}
{{- $_ := set $config "accounts" $accounts }}
{{- $users := default dict $config.users }}
{{- if eq (default "id" $users.identity) "hash" }}
{{- if not .Values.hashKeySecret }}
{{- fail "config.users.identity is hash, but hashKeySecret names no Secret with the key for it" }}
{{- end }}
{{- $_ := set $config "users" (set $users "hash_key_file" (include "zt-risk-exporter.hashKeySecret" . | fromJson).file) }}
{{- else if .Values.hashKeySecret }}
{{- fail "hashKeySecret is set, but config.users.identity is not hash" }}
{{- end }}
{{- $_ := set $config "state" (set (default dict $config.state) "path" "/var/lib/zt-risk-exporter/state.redb") }}
{{- if .Values.web.configSecret }}
{{- $protected := dict "config_file" "/etc/zt-risk-exporter-web/web.yaml" "health_address" ":10070" }}
{{- $_ := set $config "web" (merge $protected (default dict $config.web)) }}
{{- end }}
{{- toYaml $config }}
{{- end }}

{{/* The port that probes use. */}}
{{- define "zt-risk-exporter.probePort" -}}
{{- ternary "zt-risk-health" "zt-risk-metrics" (ne .Values.web.configSecret "") }}
{{- end }}

{{/* The spec of the claim for the state. */}}
{{- define "zt-risk-exporter.claim" -}}
spec:
  accessModes:
    {{- toYaml .Values.persistence.accessModes | nindent 4 }}
  {{- with .Values.persistence.storageClassName }}
  storageClassName: {{ . }}
  {{- end }}
  resources:
    requests:
      storage: {{ .Values.persistence.size }}
{{- end }}

{{/*
The labels of the scraped target. The alert ZtRiskExporterDown needs this job name. Counters continue after a restart, and two
pods never run at the same time. So `instance` does not contain the pod's name, the series stay the same, and `increase` sees
what was counted in between. With several shards, `instance` ends with the index.
*/}}
{{- define "zt-risk-exporter.endpoint" -}}
{{- $web := default dict (index . 0).Values.config.web }}
{{- with index . 1 }}
port: zt-risk-metrics
path: {{ default "/metrics" $web.telemetry_path }}
interval: {{ .interval }}
scrapeTimeout: {{ .scrapeTimeout }}
scheme: {{ .scheme }}
{{- with .tlsConfig }}
tlsConfig:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .basicAuth }}
basicAuth:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
relabelings:
  - targetLabel: job
    replacement: zt-risk-exporter
  - sourceLabels:
      - __meta_kubernetes_namespace
      - __meta_kubernetes_pod_label_app_kubernetes_io_instance
      - __meta_kubernetes_pod_label_apps_kubernetes_io_pod_index
    separator: /
    regex: (.+?)/?
    targetLabel: instance
  - targetLabel: pod
    replacement: ""
{{- end }}
