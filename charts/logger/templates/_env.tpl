{{- /* The variables that values of the chart stand for, and these values. Those of a plugin that is not
chosen are free: another may have a setting of that name. */ -}}
{{- define "logger.ownVariables" -}}
LOGGER_LISTEN_ADDR: service.port
LOGGER_RUN_DIR: runDir.sizeLimit
LOGGER_LOG_LEVEL: log.level
LOGGER_LOG_FORMAT: log.format
STORAGE_ADAPTER: storage
AGGREGATOR_TYPE: aggregator
NUMBER_OF_LINES: linesPerApp
LOGGER_APP_RETENTION: appRetention
LOGGER_MAX_LINE_BYTES: maxLineBytes
AGGREGATOR_STOP_TIMEOUT_SEC: stopTimeoutSeconds
LOGGER_APP_LABEL: apps.label
LOGGER_LABEL_SELECTOR: apps.selector
LOGGER_NAMESPACES_EXCLUDE: apps.excludeNamespaces
LOGGER_CONTROLLER_CONTAINER: controller.container
LOGGER_CONTROLLER_NAMESPACE: controller.namespace
LOGGER_CONTROLLER_NAME: controller.name
LOGGER_ALLOWED_HOSTS: api.hosts
LOGGER_API_TOKENS_FILE: api.tokensSecret
LOGGER_SESSION_KEY_FILE: api.sessionKeySecret
{{- if .Values.extraPlugins }}
LOGGER_PLUGIN_PATH: extraPlugins
LOGGER_PLUGIN_CHECKSUMS: checksums
{{- end }}
{{- range concat .Values.sidecarPlugins .Values.remotePlugins }}
LOGGER_{{ upper .kind }}_ADDR: {{ if .image }}sidecarPlugins{{ else }}remotePlugins{{ end }}
{{- if .tlsSecret }}
LOGGER_{{ upper .kind }}_TLS_CERT_FILE: remotePlugins
LOGGER_{{ upper .kind }}_TLS_KEY_FILE: remotePlugins
LOGGER_{{ upper .kind }}_TLS_CA_FILE: remotePlugins
{{- end }}
{{- end }}
{{- if eq .Values.aggregator "nsq" }}
NSQ_LOOKUPD_ADDRS: nsq.lookupd
NSQ_NSQD_ADDRS: nsq.nsqd
DEIS_NSQD_SERVICE_HOST: nsq.host
DEIS_NSQD_SERVICE_PORT_TRANSPORT: nsq.port
DEIS_NSQD_SERVICE_PORT_HTTP: nsq.httpPort
NSQ_TOPIC: nsq.topic
NSQ_CHANNEL: nsq.channel
NSQ_HANDLER_COUNT: nsq.handlers
NSQ_MAX_IN_FLIGHT: nsq.maxInFlight
NSQ_MSG_TIMEOUT_SECONDS: nsq.messageTimeoutSeconds
{{- end }}
{{- if include "logger.usesRedis" . }}
DEIS_LOGGER_REDIS_PIPELINE_LENGTH: redis.pipelineLength
DEIS_LOGGER_REDIS_PIPELINE_TIMEOUT_SECONDS: redis.pipelineTimeoutSeconds
{{- if include "logger.redisSecret" . }}
DEIS_LOGGER_REDIS_SERVICE_HOST: redis.existingSecret
DEIS_LOGGER_REDIS_SERVICE_PORT: redis.existingSecret
DEIS_LOGGER_REDIS_PASSWORD: redis.existingSecret
DEIS_LOGGER_REDIS_PASSWORD_FILE: redis.existingSecret
DEIS_LOGGER_REDIS_DB: redis.existingSecret
{{- end }}
{{- end }}
{{- if eq .Values.storage "memory" }}
LOGGER_MEMORY_MAX_BYTES: memory.budget
{{- end }}
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
- {name: LOGGER_APP_RETENTION, value: {{ .Values.appRetention | quote }}}
- {name: LOGGER_MAX_LINE_BYTES, value: {{ .Values.maxLineBytes | quote }}}
- {name: AGGREGATOR_STOP_TIMEOUT_SEC, value: {{ include "logger.text" .Values.stopTimeoutSeconds | quote }}}
- {name: LOGGER_APP_LABEL, value: {{ .Values.apps.label | quote }}}
- {name: LOGGER_LABEL_SELECTOR, value: {{ .Values.apps.selector | quote }}}
- {name: LOGGER_NAMESPACES_EXCLUDE, value: {{ join "," .Values.apps.excludeNamespaces | quote }}}
- {name: LOGGER_CONTROLLER_CONTAINER, value: {{ .Values.controller.container | quote }}}
- {name: LOGGER_CONTROLLER_NAMESPACE, value: {{ .Values.controller.namespace | default .Release.Namespace | quote }}}
- {name: LOGGER_CONTROLLER_NAME, value: {{ .Values.controller.name | quote }}}
{{- if .Values.extraPlugins }}
- {name: LOGGER_PLUGIN_PATH, value: "/opt/logger/plugins{{ range .Values.extraPlugins }}:/opt/logger/extra/{{ .name }}{{ end }}"}
- {name: LOGGER_PLUGIN_CHECKSUMS, value: {{ if .Values.checksums }}"/opt/logger/plugins.sha256:/etc/logger/extra.sha256"{{ else }}""{{ end }}}
{{- end }}
{{- range .Values.sidecarPlugins }}
- {name: LOGGER_{{ upper .kind }}_ADDR, value: "unix:///run/plugins/{{ .kind }}.sock"}
{{- end }}
{{- range .Values.remotePlugins }}
- {name: LOGGER_{{ upper .kind }}_ADDR, value: {{ .address | quote }}}
- {name: LOGGER_{{ upper .kind }}_TLS_CERT_FILE, value: /etc/logger/{{ .kind }}-tls/tls.crt}
- {name: LOGGER_{{ upper .kind }}_TLS_KEY_FILE, value: /etc/logger/{{ .kind }}-tls/tls.key}
- {name: LOGGER_{{ upper .kind }}_TLS_CA_FILE, value: /etc/logger/{{ .kind }}-tls/ca.crt}
{{- end }}
{{- if eq .Values.aggregator "nsq" }}
{{- with .Values.nsq.lookupd }}
- {name: NSQ_LOOKUPD_ADDRS, value: {{ join "," . | quote }}}
{{- end }}
{{- with .Values.nsq.nsqd }}
- {name: NSQ_NSQD_ADDRS, value: {{ join "," . | quote }}}
{{- end }}
{{- if not (or .Values.nsq.lookupd .Values.nsq.nsqd) }}
- {name: DEIS_NSQD_SERVICE_HOST, value: {{ .Values.nsq.host | quote }}}
- {name: DEIS_NSQD_SERVICE_PORT_TRANSPORT, value: {{ .Values.nsq.port | int | quote }}}
{{- end }}
- {name: DEIS_NSQD_SERVICE_PORT_HTTP, value: {{ .Values.nsq.httpPort | int | quote }}}
- {name: NSQ_TOPIC, value: {{ .Values.nsq.topic | quote }}}
- {name: NSQ_CHANNEL, value: {{ .Values.nsq.channel | quote }}}
- {name: NSQ_HANDLER_COUNT, value: {{ .Values.nsq.handlers | int | quote }}}
- {name: NSQ_MAX_IN_FLIGHT, value: {{ .Values.nsq.maxInFlight | int | quote }}}
- {name: NSQ_MSG_TIMEOUT_SECONDS, value: {{ include "logger.text" .Values.nsq.messageTimeoutSeconds | quote }}}
{{- end }}
{{- if include "logger.usesRedis" . }}
{{- with include "logger.redisSecret" . }}
{{- if not (include "logger.redisURLs" $) }}
- {name: DEIS_LOGGER_REDIS_SERVICE_HOST, valueFrom: {secretKeyRef: {name: {{ . }}, key: host}}}
- {name: DEIS_LOGGER_REDIS_SERVICE_PORT, valueFrom: {secretKeyRef: {name: {{ . }}, key: port}}}
{{- end }}
- {name: DEIS_LOGGER_REDIS_DB, valueFrom: {secretKeyRef: {name: {{ . }}, key: db}}}
{{- end }}
- {name: DEIS_LOGGER_REDIS_PIPELINE_LENGTH, value: {{ .Values.redis.pipelineLength | int | quote }}}
- {name: DEIS_LOGGER_REDIS_PIPELINE_TIMEOUT_SECONDS, value: {{ include "logger.text" .Values.redis.pipelineTimeoutSeconds | quote }}}
{{- end }}
{{- if eq .Values.storage "memory" }}
- {name: LOGGER_MEMORY_MAX_BYTES, value: {{ .Values.memory.budget | quote }}}
{{- end }}
{{- $service := .Values.service.name }}
{{- $inside := printf "%s.%s" $service .Release.Namespace }}
{{- $hosts := list $service $inside (printf "%s.svc" $inside) (printf "%s.svc.cluster.local" $inside) "localhost" }}
- {name: LOGGER_ALLOWED_HOSTS, value: {{ concat $hosts .Values.api.hosts | join "," | quote }}}
{{- if .Values.api.tokensSecret }}
- {name: LOGGER_API_TOKENS_FILE, value: /etc/logger/tokens/tokens}
{{- end }}
{{- if .Values.api.sessionKeySecret }}
- {name: LOGGER_SESSION_KEY_FILE, value: /etc/logger/session-key/key}
{{- end }}
{{- $own := include "logger.ownVariables" . | fromYaml }}
{{- range $name := concat (keys .Values.settings) (keys .Values.secretSettings) | sortAlpha }}
{{- if hasKey $own $name }}
{{- fail (printf "settings has %s, which %s stands for: want that value instead" $name (get $own $name)) }}
{{- else if and (hasKey $.Values.settings $name) (hasKey $.Values.secretSettings $name) }}
{{- fail (printf "settings and secretSettings both have %s: want it in one of them" $name) }}
{{- end }}
{{- end }}
{{- range $name, $value := .Values.settings }}
- {name: {{ $name }}, value: {{ include "logger.text" $value | quote }}}
{{- end }}
{{- range $name, $from := .Values.secretSettings }}
{{- if hasKey $.Values.settings (printf "%s_FILE" $name) }}
{{- fail (printf "settings has %s_FILE and secretSettings has %s: want it in one of them" $name $name) }}
{{- end }}
{{- end }}
{{- range $name, $_ := include "logger.secretFiles" . | fromYaml }}
- {name: {{ $name }}_FILE, value: /etc/logger/secrets/{{ $name }}}
{{- end }}
{{- end }}

{{- /* The settings that the host reads from files: {secret, key} by variable. A file shows in no list of
the environment, and a crash prints none. */ -}}
{{- define "logger.secretFiles" -}}
{{- if include "logger.usesRedis" . }}
{{- with include "logger.redisSecret" . }}
DEIS_LOGGER_REDIS_PASSWORD: {secret: {{ . }}, key: password}
{{- end }}
{{- end }}
{{- range $name, $from := .Values.secretSettings }}
{{ $name }}: {secret: {{ $from.secret | quote }}, key: {{ $from.key | quote }}}
{{- end }}
{{- end }}
