{{/* The files of the live page. Metrics and the reload are not among them, so they stay inside the cluster. */}}
{{- define "zt-risk-exporter.pageFiles" -}}
{{- list "/" "/page.js" "/page.css" "/account.js" "/charts.js" "/commands.js" "/draw.js" "/health.js" "/overview.js" "/icon.svg" "/api/v1/status" | toJson }}
{{- end }}
