{{- /* What other values of the chart stand for. */ -}}
{{- define "logger.ownVariables" -}}
LOGGER_LISTEN_ADDR LOGGER_RUN_DIR LOGGER_LOG_LEVEL LOGGER_LOG_FORMAT STORAGE_ADAPTER AGGREGATOR_TYPE NUMBER_OF_LINES LOGGER_MAX_LINE_BYTES AGGREGATOR_STOP_TIMEOUT_SEC NSQ_LOOKUPD_ADDRS NSQ_NSQD_ADDRS DEIS_NSQD_SERVICE_HOST DEIS_NSQD_SERVICE_PORT_TRANSPORT DEIS_NSQD_SERVICE_PORT_HTTP NSQ_TOPIC NSQ_CHANNEL NSQ_HANDLER_COUNT NSQ_MAX_IN_FLIGHT NSQ_MSG_TIMEOUT_SECONDS DEIS_LOGGER_REDIS_SERVICE_HOST DEIS_LOGGER_REDIS_SERVICE_PORT DEIS_LOGGER_REDIS_PASSWORD DEIS_LOGGER_REDIS_DB DEIS_LOGGER_REDIS_PIPELINE_LENGTH DEIS_LOGGER_REDIS_PIPELINE_TIMEOUT_SECONDS LOGGER_MEMORY_MAX_BYTES LOGGER_API_TOKENS_FILE LOGGER_SESSION_KEY_FILE
{{- end }}

{{- /* The environment of the host. The chart's test starts the built host with it. */ -}}
{{- define "logger.env" -}}
- {name: LOGGER_LISTEN_ADDR, value: ":8088"}
- {name: LOGGER_RUN_DIR, value: /run/logger}
- {name: LOGGER_LOG_LEVEL, value: {{ .Values.log.level | quote }}}
- {name: LOGGER_LOG_FORMAT, value: {{ .Values.log.format | quote }}}
- {name: STORAGE_ADAPTER, value: {{ .Values.storage | quote }}}
- {name: AGGREGATOR_TYPE, value: {{ .Values.aggregator | quote }}}
- {name: NUMBER_OF_LINES, value: {{ .Values.linesPerApp | int64 | quote }}}
- {name: LOGGER_MAX_LINE_BYTES, value: {{ .Values.maxLineBytes | quote }}}
- {name: AGGREGATOR_STOP_TIMEOUT_SEC, value: {{ .Values.stopTimeoutSeconds | quote }}}
{{- if .Values.extraPlugins }}
- {name: LOGGER_PLUGIN_PATH, value: "/opt/logger/plugins{{ range .Values.extraPlugins }}:/opt/logger/extra/{{ .name }}{{ end }}"}
- {name: LOGGER_PLUGIN_CHECKSUMS, value: {{ if .Values.checksums }}"/opt/logger/plugins.sha256:/etc/logger/extra.sha256"{{ else }}""{{ end }}}
{{- end }}
{{- if eq .Values.aggregator "nsq" }}
{{- if .Values.nsq.lookupd }}
- {name: NSQ_LOOKUPD_ADDRS, value: {{ join "," .Values.nsq.lookupd | quote }}}
{{- else if .Values.nsq.nsqd }}
- {name: NSQ_NSQD_ADDRS, value: {{ join "," .Values.nsq.nsqd | quote }}}
{{- else }}
- {name: DEIS_NSQD_SERVICE_HOST, value: {{ .Values.nsq.host | quote }}}
- {name: DEIS_NSQD_SERVICE_PORT_TRANSPORT, value: {{ .Values.nsq.port | int | quote }}}
{{- end }}
- {name: DEIS_NSQD_SERVICE_PORT_HTTP, value: {{ .Values.nsq.httpPort | int | quote }}}
- {name: NSQ_TOPIC, value: {{ .Values.nsq.topic | quote }}}
- {name: NSQ_CHANNEL, value: {{ .Values.nsq.channel | quote }}}
- {name: NSQ_HANDLER_COUNT, value: {{ .Values.nsq.handlers | int | quote }}}
- {name: NSQ_MAX_IN_FLIGHT, value: {{ .Values.nsq.maxInFlight | int | quote }}}
- {name: NSQ_MSG_TIMEOUT_SECONDS, value: {{ .Values.nsq.messageTimeoutSeconds | quote }}}
{{- end }}
{{- if include "logger.usesRedis" . }}
{{- $secret := include "logger.redisSecret" . }}
{{- range $name, $key := dict "DEIS_LOGGER_REDIS_SERVICE_HOST" "host" "DEIS_LOGGER_REDIS_SERVICE_PORT" "port" "DEIS_LOGGER_REDIS_PASSWORD" "password" "DEIS_LOGGER_REDIS_DB" "db" }}
- {name: {{ $name }}, valueFrom: {secretKeyRef: {name: {{ $secret }}, key: {{ $key }}}}}
{{- end }}
- {name: DEIS_LOGGER_REDIS_PIPELINE_LENGTH, value: {{ .Values.redis.pipelineLength | int | quote }}}
- {name: DEIS_LOGGER_REDIS_PIPELINE_TIMEOUT_SECONDS, value: {{ .Values.redis.pipelineTimeoutSeconds | quote }}}
{{- end }}
{{- if eq .Values.storage "memory" }}
- {name: LOGGER_MEMORY_MAX_BYTES, value: {{ .Values.memory.budget | quote }}}
{{- end }}
{{- if .Values.api.tokensSecret }}
- {name: LOGGER_API_TOKENS_FILE, value: /etc/logger/tokens/tokens}
{{- end }}
{{- if .Values.api.sessionKeySecret }}
- {name: LOGGER_SESSION_KEY_FILE, value: /etc/logger/session-key/key}
{{- end }}
{{- range $name, $value := .Values.settings }}
{{- if or (has $name (include "logger.ownVariables" $ | splitList " ")) (hasKey $.Values.secretSettings $name) }}
{{- fail (printf "settings.%s: the chart has a value of its own for it, or secretSettings has it too" $name) }}
{{- end }}
- {name: {{ $name }}, value: {{ if and (kindIs "float64" $value) (eq $value (floor $value)) }}{{ $value | int64 | quote }}{{ else }}{{ $value | quote }}{{ end }}}
{{- end }}
{{- range $name, $from := .Values.secretSettings }}
- {name: {{ $name }}, valueFrom: {secretKeyRef: {name: {{ $from.secret }}, key: {{ $from.key }}}}}
{{- end }}
{{- end }}
