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

{{- define "zt-risk-exporter.namespace" -}}
{{- default .Release.Namespace .Values.namespaceOverride }}
{{- end }}

{{/* What follows the full name in the name of the Service. */}}
{{- define "zt-risk-exporter.serviceSuffix" -}}
{{- if gt (int .Values.shards) 1 }}-shards{{ end }}
{{- end }}

{{- define "zt-risk-exporter.serviceName" -}}
{{- include "zt-risk-exporter.fullname" . }}{{ include "zt-risk-exporter.serviceSuffix" . }}
{{- end }}

{{- define "zt-risk-exporter.workloadKind" -}}
{{- ternary "StatefulSet" "Deployment" (gt (int .Values.shards) 1) }}
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

{{/*
The metadata of an object. Arguments: root, what follows the full name in its name, and its values, of which `name`,
`namespace`, `labels` and `annotations` matter.
*/}}
{{- define "zt-risk-exporter.metadata" -}}
{{- $root := index . 0 }}
{{- $values := index . 2 -}}
name: {{ default (printf "%s%s" (include "zt-risk-exporter.fullname" $root) (index . 1)) $values.name }}
namespace: {{ default (include "zt-risk-exporter.namespace" $root) $values.namespace }}
labels:
  {{- mergeOverwrite (include "zt-risk-exporter.labels" $root | fromYaml) (default dict $values.labels) | toYaml | nindent 2 }}
{{- with mergeOverwrite (deepCopy $root.Values.commonAnnotations) (default dict $values.annotations) }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* The values that are given, as YAML; 0 and false are. Arguments: the values, their names. */}}
{{- define "zt-risk-exporter.given" -}}
{{- $values := index . 0 }}
{{- $given := dict }}
{{- range $name := index . 1 }}
{{- $value := get $values $name }}
{{- if or $value (has (kindOf $value) (list "bool" "float64" "int" "int64")) }}
{{- $_ := set $given $name $value }}
{{- end }}
{{- end }}
{{- with $given }}{{ toYaml . }}{{ end }}
{{- end }}

{{- define "zt-risk-exporter.serviceAccountName" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "zt-risk-exporter.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- default "default" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{/*
The Secret, key and file of a credential, as JSON. A file that another tool writes has no Secret. Arguments: root, the Secret in
the values, the file in the values, the default key.
*/}}
{{- define "zt-risk-exporter.secret" -}}
{{- $values := default dict (index . 1) }}
{{- $name := default (include "zt-risk-exporter.fullname" (index . 0)) $values.name }}
{{- $key := default (index . 3) $values.key }}
{{- if index . 2 }}
{{- dict "file" (index . 2) | toJson }}
{{- else }}
{{- dict "name" $name "key" $key "file" (printf "/run/secrets/%s/%s" $name $key) | toJson }}
{{- end }}
{{- end }}

{{/* The same for an account. Arguments: root, account. */}}
{{- define "zt-risk-exporter.accountSecret" -}}
{{- $account := index . 1 }}
{{- if $account.email }}
{{- include "zt-risk-exporter.secret" (list (index . 0) $account.apiKeySecret $account.apiKeyFile "api-key") }}
{{- else }}
{{- include "zt-risk-exporter.secret" (list (index . 0) $account.tokenSecret $account.tokenFile "token") }}
{{- end }}
{{- end }}

{{/* The same for the hash key. */}}
{{- define "zt-risk-exporter.hashKeySecret" -}}
{{- include "zt-risk-exporter.secret" (list . .Values.hashKeySecret .Values.hashKeyFile "hash-key") }}
{{- end }}

{{/* The names of all Secrets without duplicates, as JSON. */}}
{{- define "zt-risk-exporter.secretNames" -}}
{{- $names := list }}
{{- range .Values.accounts }}
{{- $names = append $names (include "zt-risk-exporter.accountSecret" (list $ .) | fromJson).name }}
{{- end }}
{{- $names = append $names .Values.tokensSecret }}
{{- range .Values.discovery }}
{{- $names = append $names (include "zt-risk-exporter.secret" (list $ .tokenSecret .tokenFile "token") | fromJson).name }}
{{- end }}
{{- if .Values.hashKeySecret }}
{{- $names = append $names (include "zt-risk-exporter.hashKeySecret" . | fromJson).name }}
{{- end }}
{{- uniq $names | compact | toJson }}
{{- end }}

{{/* The exporter's configuration file. */}}
{{- define "zt-risk-exporter.config" -}}
{{- $config := deepCopy .Values.config }}
{{- $accounts := list }}
{{- range .Values.accounts }}
{{- $account := dict "id" .id }}
{{- with .alias }}{{ $_ := set $account "alias" . }}{{ end }}
{{- with .budgetShare }}{{ $_ := set $account "budget_share" . }}{{ end }}
{{- if .baseline }}{{ $_ := set $account "behaviors_baseline" (printf "baseline-%s.yaml" .id) }}{{ end }}
{{- $secret := include "zt-risk-exporter.accountSecret" (list $ .) | fromJson }}
{{- with .email }}{{ $_ := set $account "email" . }}{{ end }}
{{- $_ := set $account (ternary "api_key_file" "token_file" (hasKey $account "email")) $secret.file }}
{{- $accounts = append $accounts $account }}
{{- end }}
{{- $_ := set $config "accounts" $accounts }}
{{- if .Values.baseline }}
{{- $_ := set $config "behaviors" (dict "baseline" "baseline.yaml") }}
{{- end }}
{{- if or .Values.tokensSecret .Values.tokensDir }}
{{- $directory := default (printf "/run/secrets/%s" .Values.tokensSecret) .Values.tokensDir }}
{{- $_ := set $config "accounts_from" (dict "tokens_dir" $directory) }}
{{- end }}
{{- $discovery := list }}
{{- range .Values.discovery }}
{{- $entry := pick . "include" "exclude" "alias" "interval" }}
{{- with .budgetShare }}{{ $_ := set $entry "budget_share" . }}{{ end }}
{{- $secret := include "zt-risk-exporter.secret" (list $ .tokenSecret .tokenFile "token") | fromJson }}
{{- $discovery = append $discovery (set $entry "token_file" $secret.file) }}
{{- end }}
{{- with $discovery }}{{ $_ := set $config "discovery" . }}{{ end }}
{{- $users := default dict $config.users }}
{{- if eq (default "id" $users.identity) "hash" }}
{{- $_ := set $config "users" (set $users "hash_key_file" (include "zt-risk-exporter.hashKeySecret" . | fromJson).file) }}
{{- end }}
{{- $_ := set $config "state" (set (default dict $config.state) "path" "/var/lib/zt-risk-exporter/state.redb") }}
{{- if .Values.web.configSecret }}
{{- $protected := dict "config_file" "/etc/zt-risk-exporter-web/web.yaml" "health_address" ":10070" }}
{{- $_ := set $config "web" (merge $protected (default dict $config.web)) }}
{{- end }}
{{- toYaml $config }}
{{- end }}

{{/* The part of the configuration file that the exporter does not reload. */}}
{{- define "zt-risk-exporter.fixedConfig" -}}
{{- $config := omit (include "zt-risk-exporter.config" . | fromYaml) "accounts" "accounts_from" "behaviors" "discovery" "intervals" }}
{{- $_ := set $config "users" (pick (default dict $config.users) "hash_key_file") }}
{{- $_ := set $config "log" (pick (default dict $config.log) "format") }}
{{- toYaml $config }}
{{- end }}
