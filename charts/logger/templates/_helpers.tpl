{{- define "logger.labels" -}}
app.kubernetes.io/name: logger
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{- define "logger.selector" -}}
app.kubernetes.io/name: logger
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: logger
{{- end }}

{{- define "logger.redisSelector" -}}
app.kubernetes.io/name: logger
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: redis
{{- end }}

{{- /* An image of {registry, repository, tag, digest}; the second argument is the tag's default. */ -}}
{{- define "logger.image" -}}
{{- $image := index . 0 -}}
{{- with $image.registry }}{{ . | trimSuffix "/" }}/{{ end }}{{ $image.repository }}
{{- if $image.digest }}@{{ $image.digest }}{{ else }}:{{ $image.tag | default (index . 1) }}{{ end }}
{{- end }}

{{- define "logger.serviceAccount" -}}
{{ if .Values.serviceAccount.create }}{{ .Values.serviceAccount.name | default "deis-logger" }}{{ else }}{{ .Values.serviceAccount.name | default "default" }}{{ end }}
{{- end }}

{{- define "logger.redisSecret" -}}
{{- if .Values.redis.onCluster }}{{ .Values.redis.secretName }}
{{- else }}{{ required "redis.existingSecret: want the name of a secret with the keys host, port, password and db, or redis.onCluster: true" .Values.redis.existingSecret }}
{{- end }}
{{- end }}

{{- define "logger.usesRedis" -}}{{ if eq .Values.storage "redis" }}true{{ end }}{{- end }}
{{- define "logger.runsRedis" -}}{{ if and (eq .Values.storage "redis") .Values.redis.onCluster }}true{{ end }}{{- end }}
{{- define "logger.replicas" -}}{{ if eq .Values.storage "memory" }}1{{ else }}{{ .Values.replicas }}{{ end }}{{- end }}
