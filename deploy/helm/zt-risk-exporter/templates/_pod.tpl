{{- define "zt-risk-exporter.image" -}}
{{- with .Values.image }}
{{- $registry := default $.Values.global.imageRegistry .registry }}
{{- with $registry }}{{ trimSuffix "/" . }}/{{ end }}{{ .repository }}
{{- if .digest }}@{{ .digest }}{{ else }}:{{ default $.Chart.AppVersion .tag }}{{ end }}
{{- end }}
{{- end }}

{{/* The claim for the state: its spec. */}}
{{- define "zt-risk-exporter.claim" -}}
spec:
  accessModes:
    {{- toYaml .Values.persistence.accessModes | nindent 4 }}
  {{- with default .Values.global.storageClass .Values.persistence.storageClassName }}
  storageClassName: {{ . }}
  {{- end }}
  {{- with .Values.persistence.volumeName }}
  volumeName: {{ . }}
  {{- end }}
  {{- with .Values.persistence.selector }}
  selector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  resources:
    requests:
      storage: {{ .Values.persistence.size }}
{{- end }}

{{/* A security context as YAML, without ids on OpenShift. Arguments: root, the context in the values. */}}
{{- define "zt-risk-exporter.securityContext" -}}
{{- $context := index . 1 }}
{{- if (index . 0).Values.openshift }}
{{- $context = omit $context "runAsUser" "runAsGroup" "fsGroup" }}
{{- end }}
{{- toYaml $context }}
{{- end }}

{{/* The settings that the pods of the exporter and of the job on its state have in common. */}}
{{- define "zt-risk-exporter.podSettings" -}}
serviceAccountName: {{ include "zt-risk-exporter.serviceAccountName" . }}
automountServiceAccountToken: {{ .Values.serviceAccount.automountServiceAccountToken }}
enableServiceLinks: false
securityContext:
  {{- include "zt-risk-exporter.securityContext" (list . .Values.podSecurityContext) | nindent 2 }}
{{- with uniq (concat .Values.imagePullSecrets .Values.global.imagePullSecrets) }}
imagePullSecrets:
  {{- range . }}
  - {{ kindIs "string" . | ternary (dict "name" .) . | toYaml }}
  {{- end }}
{{- end }}
{{- $names := list "affinity" "dnsConfig" "dnsPolicy" "hostAliases" "hostUsers" "nodeSelector" "priorityClassName" }}
{{- with include "zt-risk-exporter.given" (list .Values (concat $names (list "runtimeClassName" "schedulerName" "tolerations"))) }}
{{ . }}
{{- end }}
{{- end }}

{{/* The shards spread by the labels of the exporter's pods, unless a constraint says otherwise. */}}
{{- define "zt-risk-exporter.topologySpreadConstraints" -}}
{{- $labels := dict "labelSelector" (dict "matchLabels" (include "zt-risk-exporter.selectorLabels" . | fromYaml)) }}
{{- range .Values.topologySpreadConstraints }}
- {{ merge (deepCopy .) $labels | toYaml | nindent 2 | trim }}
{{- end }}
{{- end }}

{{/* A probe. Arguments: root, the path, the times in the values. */}}
{{- define "zt-risk-exporter.probe" -}}
httpGet:
  path: {{ index . 1 }}
  port: {{ ternary "zt-risk-health" "zt-risk-metrics" (ne (index . 0).Values.web.configSecret "") }}
{{ index . 2 | toYaml }}
{{- end }}
