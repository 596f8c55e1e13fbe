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

{{- /* A value as text; a number without an exponent, which neither the processes nor Kubernetes take. */ -}}
{{- define "logger.text" -}}
{{- if and (kindIs "float64" .) (contains "e" (toString .)) -}}
{{- $digits := printf (ternary "%.20f" "%.6f" (and (lt . 1.0) (gt . -1.0))) . -}}
{{- regexReplaceAll "\\.?0+$" $digits "" -}}
{{- else -}}{{ . }}{{- end -}}
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

{{- /* The secret that says where Redis is; empty if LOGGER_REDIS_URLS does, and there is none. */ -}}
{{- define "logger.redisSecret" -}}
{{- if .Values.redis.onCluster }}{{ .Values.redis.secretName }}{{ else }}{{ .Values.redis.existingSecret }}{{ end }}
{{- end }}

{{- /* Whether LOGGER_REDIS_URLS says where Redis is: a cluster, Sentinels, or one with TLS. */ -}}
{{- define "logger.redisURLs" -}}
{{ if or (hasKey .Values.settings "LOGGER_REDIS_URLS") (hasKey .Values.secretSettings "LOGGER_REDIS_URLS") }}true{{ end }}
{{- end }}

{{- define "logger.usesRedis" -}}{{ if eq .Values.storage "redis" }}true{{ end }}{{- end }}
{{- define "logger.runsRedis" -}}{{ if and (eq .Values.storage "redis") .Values.redis.onCluster }}true{{ end }}{{- end }}

{{- /* What the plugins connect to, for people. */ -}}
{{- define "logger.behind" -}}
{{- $storage := get (dict "redis" "Redis" "memory" "") .Values.storage -}}
{{- if not (has .Values.storage (list "redis" "memory")) }}{{ $storage = printf "what the storage %s uses" .Values.storage }}{{ end -}}
{{- $queue := ternary "NSQ" (printf "what the aggregator %s uses" .Values.aggregator) (eq .Values.aggregator "nsq") -}}
{{- list $storage $queue | compact | join ", " -}}
{{- end }}
