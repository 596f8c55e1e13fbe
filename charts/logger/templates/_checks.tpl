{{- /* What the values say together: contradictions end the rendering with one line that names both
and what is accepted. What one value alone may be is values.schema.json's, and the process's. */ -}}
{{- define "logger.check" -}}
{{- include "logger.checkMemory" . -}}
{{- include "logger.checkRedis" . -}}
{{- include "logger.checkPlugins" . -}}
{{- include "logger.checkPod" . -}}
{{- include "logger.checkGrafana" . -}}
{{- end }}

{{- /* A size in bytes: of Kubernetes (Mi, M), of the logger (MiB), or a plain number. Its
arguments are the value's name and the value. */ -}}
{{- define "logger.bytes" -}}
{{- $name := index . 0 -}}
{{- $size := index . 1 -}}
{{- if not (kindIs "string" $size) -}}{{- $size = $size | int64 | toString -}}{{- end -}}
{{- $units := dict "" 1 "m" 0.001 "k" 1e3 "K" 1e3 "M" 1e6 "G" 1e9 "T" 1e12
  "Ki" 1024 "Mi" 1048576 "Gi" 1073741824 "Ti" 1099511627776 "KiB" 1024 "MiB" 1048576 "GiB" 1073741824 -}}
{{- $number := regexFind "^[0-9]+(\\.[0-9]+)?([eE][0-9]+)?" $size -}}
{{- $unit := trimPrefix $number $size -}}
{{- if or (not $number) (not (hasKey $units $unit)) -}}
{{- fail (printf "%s %q: want a size, such as 384Mi, 400M or 1Gi" $name $size) -}}
{{- end -}}
{{- mulf $number (get $units $unit) | int64 -}}
{{- end }}

{{- /* The same as Redis writes it, where mb are 1024 kb and m are 1000 k. 0 is no bound. */ -}}
{{- define "logger.redisBytes" -}}
{{- $size := .Values.redis.maxMemory | lower -}}
{{- $units := dict "" 1 "b" 1 "k" 1e3 "m" 1e6 "g" 1e9 "kb" 1024 "mb" 1048576 "gb" 1073741824 -}}
{{- $number := regexFind "^[0-9]+" $size -}}
{{- $unit := trimPrefix $number $size -}}
{{- if or (not $number) (not (hasKey $units $unit)) -}}
{{- fail (printf "redis.maxMemory %q: want a size as Redis writes it, such as 256mb or 1gb" .Values.redis.maxMemory) -}}
{{- end -}}
{{- mulf $number (get $units $unit) | int64 -}}
{{- end }}

{{- /* Whole MiB that hold so many bytes. */ -}}
{{- define "logger.mebibytes" -}}{{ div (add . 1048575) 1048576 }}Mi{{- end }}

{{- /* The copies of two bundled plugins that the run folder holds when checksums are checked, the one
that logger doctor makes beside them, of 22 MB each, and sockets (docs/operations.md, Sizing). */ -}}
{{- define "logger.copiesBytes" -}}{{ if or (not .Values.extraPlugins) .Values.checksums }}100663296{{ else }}1048576{{ end }}{{- end }}

{{- define "logger.checkMemory" -}}
{{- $copies := include "logger.copiesBytes" . | int64 -}}
{{- $runDir := include "logger.bytes" (list "runDir.sizeLimit" .Values.runDir.sizeLimit) | int64 -}}
{{- if lt $runDir $copies -}}
{{- fail (printf "runDir.sizeLimit %s: the plugins run from copies there; want at least %s" .Values.runDir.sizeLimit (include "logger.mebibytes" $copies)) -}}
{{- end -}}
{{- if eq .Values.storage "memory" -}}
{{- if gt (int64 .Values.replicas) 1 -}}
{{- fail (printf "replicas %d with storage memory: each would keep a part of the lines for itself; want replicas 1, or a storage that they share" (int64 .Values.replicas)) -}}
{{- end -}}
{{- if gt (int64 .Values.linesPerApp) 10000000 -}}
{{- fail (printf "linesPerApp %d with storage memory: want at most 10000000, or another storage" (int64 .Values.linesPerApp)) -}}
{{- end -}}
{{- $budget := include "logger.bytes" (list "memory.budget" .Values.memory.budget) | int64 -}}
{{- $need := add $budget $copies -}}
{{- if lt $runDir $need -}}
{{- fail (printf "memory.budget %s does not fit into runDir.sizeLimit %s, where the plugins' copies and sockets are too; want a runDir.sizeLimit of at least %s"
  .Values.memory.budget .Values.runDir.sizeLimit (include "logger.mebibytes" $need)) -}}
{{- end -}}
{{- with dig "limits" "memory" "" (.Values.resources | default dict) -}}
{{- /* The run folder's pages count as the container's; 150 MiB are for the processes and their copies. */ -}}
{{- $need := add $budget 157286400 -}}
{{- if lt (include "logger.bytes" (list "resources.limits.memory" .) | int64) $need -}}
{{- fail (printf "memory.budget %s does not fit into resources.limits.memory %v, which the processes share with it; want a limit of at least %s"
  $.Values.memory.budget . (include "logger.mebibytes" $need)) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end }}

{{- define "logger.checkRedis" -}}
{{- if include "logger.usesRedis" . -}}
{{- $urls := include "logger.redisURLs" . -}}
{{- if .Values.redis.onCluster -}}
{{- if .Values.redis.existingSecret -}}
{{- fail (printf "redis.existingSecret %s with redis.onCluster true: want redis.onCluster false to use the Redis that it names, or no redis.existingSecret" .Values.redis.existingSecret) -}}
{{- end -}}
{{- if $urls -}}
{{- fail "LOGGER_REDIS_URLS in settings with redis.onCluster true: want redis.onCluster false to use the Redis that it names, or no LOGGER_REDIS_URLS" -}}
{{- end -}}
{{- with dig "limits" "memory" "" (.Values.redis.resources | default dict) -}}
{{- $most := include "logger.redisBytes" $ | int64 -}}
{{- if or (eq $most 0) (ge $most (include "logger.bytes" (list "redis.resources.limits.memory" .) | int64)) -}}
{{- fail (printf "redis.maxMemory %s does not fit into redis.resources.limits.memory %v: Redis would be killed, with all lines; want less, by a third" $.Values.redis.maxMemory .) -}}
{{- end -}}
{{- end -}}
{{- else if not (or .Values.redis.existingSecret $urls) -}}
{{- fail "redis.onCluster false without redis.existingSecret: want the name of a secret with the keys host, port, password and db, or LOGGER_REDIS_URLS in settings" -}}
{{- end -}}
{{- end -}}
{{- end }}

{{- define "logger.checkPlugins" -}}
{{- $stock := and (eq .Values.image.repository "deis/logger") (not .Values.image.registry) (not .Values.image.digest) -}}
{{- $brought := or .Values.extraPlugins (hasKey .Values.settings "LOGGER_PLUGIN_PATH") -}}
{{- $elsewhere := dict -}}
{{- range concat .Values.sidecarPlugins .Values.remotePlugins -}}
{{- if hasKey $elsewhere .kind -}}{{- fail (printf "sidecarPlugins and remotePlugins have two of kind %s: want one of each kind" .kind) -}}{{- end -}}
{{- $_ := set $elsewhere .kind true -}}
{{- end -}}
{{- range $value, $bundled := dict "storage" (list "redis" "memory") "aggregator" (list "nsq") -}}
{{- $name := get $.Values $value -}}
{{- if and $stock (not $brought) (not (hasKey $elsewhere $value)) (not (has $name $bundled)) -}}
{{- fail (printf "%s %s without extraPlugins: the image deis/logger has only %s; want extraPlugins, sidecarPlugins or remotePlugins that bring it, or an image that has it" $value $name (join " and " $bundled)) -}}
{{- end -}}
{{- end -}}
{{- $names := list -}}
{{- range .Values.extraPlugins -}}
{{- if has .name $names -}}{{- fail (printf "extraPlugins has the name %s twice: want a name of its own for each" .name) -}}{{- end -}}
{{- $names = append $names .name -}}
{{- end -}}
{{- if and .Values.checksums (not .Values.extraPlugins) -}}
{{- fail "checksums without extraPlugins: want the extraPlugins that they are for, or no checksums" -}}
{{- end -}}
{{- range splitList "\n" .Values.checksums -}}
{{- if not (regexMatch "^([0-9a-fA-F]{64} [ *].+|\\s*|#.*)$" .) -}}
{{- fail (printf "checksums %q: want 64 hexadecimal digits, two blanks and a file's name, as sha256sum writes" .) -}}
{{- end -}}
{{- end -}}
{{- end }}

{{- define "logger.checkPod" -}}
{{- range $label := keys (include "logger.selector" . | fromYaml) | sortAlpha -}}
{{- if hasKey ($.Values.podLabels | default dict) $label -}}
{{- fail (printf "podLabels has %s, by which the chart finds its pods: want another label" $label) -}}
{{- end -}}
{{- end -}}
{{- $stop := addf .Values.stopTimeoutSeconds 2 -}}
{{- if le (float64 .Values.terminationGracePeriodSeconds) $stop -}}
{{- fail (printf "terminationGracePeriodSeconds %d with stopTimeoutSeconds %v: the logger would be killed while it gives back what it holds; want more than %v seconds of grace"
  (int64 .Values.terminationGracePeriodSeconds) .Values.stopTimeoutSeconds $stop) -}}
{{- end -}}
{{- if and .Values.podDisruptionBudget.enabled (gt (int64 .Values.replicas) 1) -}}
{{- $most := .Values.podDisruptionBudget.maxUnavailable -}}
{{- $wanted := printf "want 1 to %d, 1%% to 99%%, or podDisruptionBudget.enabled false" (sub (int64 .Values.replicas) 1) -}}
{{- $share := trimSuffix "%" (toString $most) | int64 -}}
{{- $all := ternary 100 (int64 .Values.replicas) (hasSuffix "%" (toString $most)) | int64 -}}
{{- if le $share 0 -}}
{{- fail (printf "podDisruptionBudget.maxUnavailable %v with replicas %d: no node with one could be drained; %s" $most (int64 .Values.replicas) $wanted) -}}
{{- else if ge $share $all -}}
{{- fail (printf "podDisruptionBudget.maxUnavailable %v with replicas %d: all may go at once; %s" $most (int64 .Values.replicas) $wanted) -}}
{{- end -}}
{{- end -}}
{{- end }}

{{- define "logger.checkGrafana" -}}
{{- with .Values.grafana.dataSource -}}
{{- if .enabled -}}
{{- if has (get $.Values.settings "LOGGER_LOKI" | toString) (list "false" "0") -}}
{{- fail "grafana.dataSource.enabled true with LOGGER_LOKI false in settings: nothing would answer Grafana; want one of them otherwise" -}}
{{- end -}}
{{- if and $.Values.api.tokensSecret (not .tokenVariable) -}}
{{- fail (printf "api.tokensSecret %s with grafana.dataSource.enabled true and no grafana.dataSource.tokenVariable: Grafana would have no token; want the environment variable of Grafana's pod that has one" $.Values.api.tokensSecret) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end }}
