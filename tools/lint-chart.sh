#!/usr/bin/env bash
# Lints the chart, and validates every variant of charts/logger/ci against the schemas of
# Kubernetes in charts/schemas (made by tools/schemas). Custom resources have none there.
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
