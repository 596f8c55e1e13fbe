#!/usr/bin/env bash
# Lints the chart, and validates every variant in charts/logger/ci against the schemas of Kubernetes
# in charts/schemas (made by tools/schemas), which has none for custom resources. Reads and
# evaluates the alert rules as Prometheus does.
set -euo pipefail
cd "$(dirname "$0")/.."
tool() { go tool -modfile=tools/helm/go.mod "$@"; }
for values in charts/logger/values.yaml charts/logger/ci/*.yaml; do
	tool helm lint --quiet --strict --kube-version 1.33.0 charts/logger -f "$values"
	for version in 1.25.0 1.33.0; do
		tool helm template release charts/logger --namespace deis --kube-version "$version" -f "$values" |
			tool kubeconform -strict -schema-location 'charts/schemas/{{ .ResourceKind }}.json' -skip ServiceMonitor,PrometheusRule
	done
done
(cd tools/rules && go test . && go run . ../../charts/logger/rules/logger.yaml)
# Every metric that a rule or the dashboard names has to be one of the logger's.
known=$(grep -rhoE '(logger_|"logger", |NewDesc\("logger_|desc\(")[a-z_]+' --include='*.go' host | sed -E 's/.*(\(")//; s/^logger_//' | sort -u)
for metric in $(grep -ohE 'logger_[a-z_]+' charts/logger/rules/logger.yaml charts/logger/dashboards/logger.json | sed -E 's/^logger_//; s/_(bucket|sum|count)$//' | sort -u); do
	grep -qx "$metric" <<<"$known" || grep -rq "\"$metric\"" --include='*.go' host || {
		echo "lint-chart: no metric logger_$metric in host" >&2
		exit 1
	}
done
