{{- define "zt-risk-exporter.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{/* 52 characters, because the pods of a StatefulSet have a label of its name and 11 more, and a label has 63 at most. */}}
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

{{/* The Secret, key and file of a credential, as JSON: of (root, what the values say, the key otherwise). */}}
{{- define "zt-risk-exporter.secret" -}}
{{- $said := default dict (index . 1) }}
{{- $name := default (include "zt-risk-exporter.fullname" (index . 0)) $said.name }}
{{- $key := default (index . 2) $said.key }}
{{- dict "name" $name "key" $key "file" (printf "/run/secrets/%s/%s" $name $key) | toJson }}
{{- end }}

{{/* The same of an account: of (root, account). */}}
{{- define "zt-risk-exporter.accountSecret" -}}
{{- $account := index . 1 }}
{{- if $account.email }}
{{- include "zt-risk-exporter.secret" (list (index . 0) $account.apiKeySecret "api-key") }}
{{- else }}
{{- include "zt-risk-exporter.secret" (list (index . 0) $account.tokenSecret "token") }}
{{- end }}
{{- end }}

{{/* The same of the key for hashes. */}}
{{- define "zt-risk-exporter.hashKeySecret" -}}
{{- include "zt-risk-exporter.secret" (list . .Values.hashKeySecret "hash-key") }}
{{- end }}

{{/* The names of all Secrets, each once, as JSON. */}}
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

{{/* The exporter's file. */}}
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
{{- toYaml $config }}
{{- end }}

{{/* What the claim for the state asks for. */}}
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
The labels of the scraped target. The alert ZtRiskExporterDown asks for the job. The counters go on after a restart, and there
is never a second pod beside the first: so they stay the same series whatever the pod is called, and `increase` sees what
was counted in between. Of several shards each has its index in its name.
*/}}
{{- define "zt-risk-exporter.endpoint" -}}
port: zt-risk-metrics
path: /metrics
interval: {{ .interval }}
scrapeTimeout: {{ .scrapeTimeout }}
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
