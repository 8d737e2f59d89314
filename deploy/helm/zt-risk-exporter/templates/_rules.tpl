{{/* The seconds of a duration such as 1h30m. */}}
{{- define "zt-risk-exporter.seconds" -}}
{{- $units := dict "ms" 0.001 "s" 1.0 "m" 60.0 "h" 3600.0 "d" 86400.0 "w" 604800.0 "y" 31536000.0 }}
{{- $sum := 0.0 }}
{{- range regexFindAll "[0-9]+(ms|[smhdwy])" . -1 }}
{{- $sum = addf $sum (mulf (regexFind "^[0-9]+" . | float64) (get $units (regexFind "[a-z]+$" .))) }}
{{- end }}
{{- $sum }}
{{- end }}

{{/* What replaces the placeholders of files/alerts.yml, as JSON. */}}
{{- define "zt-risk-exporter.ruleTexts" -}}
{{- $rules := .Values.prometheusRule }}
{{- $kubectl := printf "kubectl --namespace %s" (include "zt-risk-exporter.namespace" .) }}
{{- $workload := printf "%s/%s" (include "zt-risk-exporter.workloadKind" . | lower) (include "zt-risk-exporter.fullname" .) }}
{{- $labels := include "zt-risk-exporter.selectorLabels" . | replace ": " "=" | replace "\n" "," }}
{{- $pods := ternary (printf "--selector=%s --prefix" $labels) $workload (gt (int .Values.shards) 1) }}
{{- $texts := dict "runbookUrl" $rules.runbookUrl "dashboardUrl" $rules.dashboardUrl }}
{{- $_ := set $texts "log" (printf "%s logs %s --since=1h" $kubectl $pods) }}
{{- if $rules.command }}
{{- $texts = merge $texts (dict "command" $rules.command "config" "") }}
{{- else }}
{{- $_ := set $texts "command" (printf "%s exec %s -- /zt-risk-exporter" $kubectl $workload) }}
{{- $_ := set $texts "config" " --config.file=/etc/zt-risk-exporter/config.yaml" }}
{{- end }}
{{- range $name, $value := $rules.thresholds }}
{{- if kindIs "string" $value }}
{{- $value = include "zt-risk-exporter.seconds" $value | float64 }}
{{- end }}
{{- $_ := set $texts $name (int64 $value | toString) }}
{{- end }}
{{- toJson $texts }}
{{- end }}

{{/* The groups of a rule file, as the values change them, as JSON. Arguments: root, the name of the file. */}}
{{- define "zt-risk-exporter.ruleGroups" -}}
{{- $root := index . 0 }}
{{- $values := $root.Values.prometheusRule }}
{{- $text := $root.Files.Get (printf "files/%s.yml" (index . 1)) }}
{{- range $name, $value := include "zt-risk-exporter.ruleTexts" $root | fromJson }}
{{- $text = replace (printf "@%s@" $name) $value $text }}
{{- end }}
{{- with $values.keepLabels }}
{{- $text = regexReplaceAll `\b(by|on) \(job\b` $text (printf "${1} (job, %s" (join ", " .)) }}
{{- end }}
{{- if has "namespace" $values.keepLabels }}
{{- /* A missing exporter has no series to take the label from. */}}
{{- $missing := printf "absent(up{job=\"zt-risk-exporter\",namespace=%q})" (include "zt-risk-exporter.namespace" $root) }}
{{- $text = replace "absent(up{job=\"zt-risk-exporter\"})" $missing $text }}
{{- end }}
{{- $groups := list }}
{{- range ($text | fromYaml).groups }}
{{- $rules := list }}
{{- range $rule := .rules }}
{{- $changes := get $values.alerts (default "" .alert) | default dict }}
{{- if .alert }}
{{- $links := dict "runbook_url" $values.runbookUrl "dashboard_url" $values.dashboardUrl }}
{{- range $link, $address := $links }}
{{- if not $address }}{{ $_ := unset $rule.annotations $link }}{{ end }}
{{- end }}
{{- $_ := set $rule "annotations" (mergeOverwrite .annotations (default dict $changes.annotations)) }}
{{- $_ := set $rule "labels" (mergeOverwrite .labels $values.alertLabels (default dict $changes.labels)) }}
{{- with $changes.severity }}{{ $_ := set $rule.labels "severity" . }}{{ end }}
{{- with $changes.for }}{{ $_ := set $rule "for" . }}{{ end }}
{{- with $changes.keepFiringFor }}{{ $_ := set $rule "keep_firing_for" . }}{{ end }}
{{- end }}
{{- if ne $changes.enabled false }}
{{- $rules = append $rules $rule }}
{{- end }}
{{- end }}
{{- if $rules }}
{{- $groups = append $groups (set . "rules" $rules) }}
{{- end }}
{{- end }}
{{- if eq (index . 1) "alerts" }}
{{- $groups = concat $groups $values.extraGroups }}
{{- end }}
{{- dict "groups" $groups | toJson }}
{{- end }}
