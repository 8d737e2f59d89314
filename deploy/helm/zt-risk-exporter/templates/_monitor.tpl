{{/*
The labels of the scraped target. The alert ZtRiskExporterDown needs this job name. Counters continue after a restart, and two
pods never run at the same time. So `instance` does not contain the pod's name, the series stay the same, and `increase` sees
what was counted in between. With several shards, `instance` ends with the index. Arguments: root, the monitor in the values.
*/}}
{{- define "zt-risk-exporter.endpoint" -}}
{{- $web := default dict (index . 0).Values.config.web }}
{{- $monitor := index . 1 }}
port: zt-risk-metrics
path: {{ default "/metrics" $web.telemetry_path }}
interval: {{ $monitor.interval }}
scrapeTimeout: {{ $monitor.scrapeTimeout }}
scheme: {{ $monitor.scheme }}
{{- $ways := list "tlsConfig" "basicAuth" "authorization" "oauth2" "proxyUrl" "params" "followRedirects" "enableHttp2" }}
{{- with include "zt-risk-exporter.given" (list $monitor (concat $ways (list "honorLabels" "honorTimestamps" "filterRunning"))) }}
{{ . }}
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
  {{- with $monitor.relabelings }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with $monitor.metricRelabelings }}
metricRelabelings:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
