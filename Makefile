# The commands everyone relies on. `make help` lists them.

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
GO      ?= go
LDFLAGS  = -s -w $(shell tools/stamps.sh '$(VERSION)')
TEST_TIMEOUT ?= 25m

# Tools are pinned, each in a module of its own, so that none affects the versions in ours.
BUF      = $(GO) tool -modfile=tools/buf/go.mod buf
LINT     = $(GO) tool -modfile=tools/lint/go.mod golangci-lint

PLUGINS = storage-memory storage-redis aggregator-nsq

.DEFAULT_GOAL := help
.PHONY: help run binaries unit test test-times logcli-test chart-live upgrade-test examples faults soak test-deps lint proto configuration api conformance-report licenses released bench microbench bench-compare fuzz build release push install upgrade uninstall clean

help: ## list these commands
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: binaries ## run the whole system, with nothing to install
	@exec bin/logger dev

binaries: ## build bin/logger, bin/logger-nsqd for its dev, and bin/plugins/*
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o bin/ ./cmd/logger ./cmd/logger-nsqd
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o bin/plugins/ $(PLUGINS:%=./cmd/logger-%)
	chmod go-w bin/plugins bin/plugins/*  # the host runs nothing that others could change, and a umask may be 002

# Run this at each save. The tests mostly wait, so more packages and tests than processors run at
# once. With -short, crashes are tried only at some places. A plugin's conformance is tested in the
# test's process; "make test" also tests it over gRPC and as a program.
unit: ## run the tests that need no root, no network and no other program (< 60 s)
	$(GO) test -short -p 8 -parallel 8 -timeout 5m -skip '^TestConformance(Remote|Executable)$$' $$(tools/unit-packages.sh)

# The tests of the whole system come last, because they load the machine and wait for each other's
# programs. They take long enough for the tests of the page and of Redis to run beside them. Two
# tests are left out: an upgrade, before the first release, and storage-postgres at an address,
# which takes two minutes (the other storages are tested so, and make conformance-report includes
# it). Results are never taken from the cache, which does not know of the programs that e2e builds.
test: test-deps binaries ## run every test, race detector on, installing what they need
	$(GO) vet ./...
	$(GO) test -race -count 1 -p 3 -timeout $(TEST_TIMEOUT) $$($(GO) list ./... | grep -vE '/e2e|/plugins/redis')
	$(GO) test -race -count 1 -p 2 -timeout $(TEST_TIMEOUT) -skip '$(LEFT_OUT)' $$($(GO) list ./e2e/... ./plugins/redis)

LEFT_OUT = ^TestConformanceElsewhere$$/^postgres$$$(shell git describe --tags --abbrev=0 --match 'v[0-9]*' HEAD^ >/dev/null 2>&1 || echo '|^TestUpgrade$$')

upgrade-test: test-deps ## run the last release's programs and data with this build; without one, this commit's
	$(GO) test -race -count 1 -timeout $(TEST_TIMEOUT) -v ./e2e -run '^TestUpgrade$$'

test-times: ## print how long each package's tests took, from LOG, the output of make test
	@tools/test-times.sh '$(LOG)'

# Loki's client and its dependencies take minutes to compile, the first time. "make
# test" sends the requests that the client sends (TestLogcliRequests).
logcli-test: test-deps ## build Loki's logcli, and read and follow logs with it
	$(GO) -C tools/logcli build -o ../../bin/ github.com/grafana/loki/cmd/logcli
	$(GO) test -race -count 1 -tags logcli -timeout $(TEST_TIMEOUT) ./e2e -run '^TestLogcli'

# Kubernetes' API server takes 15 min to compile, the first time. The rest takes four.
# docs/releasing.md says what is checked.
chart-live: ## install, upgrade and uninstall the chart on a real API server, with all values of its tests
	tools/install-test-deps.sh etcd
	cd tools/kube-apiserver && $(GO) build -o ../../bin/ -ldflags "-s -w -X k8s.io/component-base/version.gitVersion=$$( \
		$(GO) list -m -f '{{.Version}}' k8s.io/kubernetes)" k8s.io/kubernetes/cmd/kube-apiserver
	$(GO) test -count 1 -tags chartlive -timeout $(TEST_TIMEOUT) -v ./charts -run '^TestLive$$'

examples: test-deps ## build the examples, check them, and follow the tutorials
	$(GO) test -count 1 ./examples/...
	$(GO) test -count 1 -timeout $(TEST_TIMEOUT) ./e2e -run '^TestExamples$$|^TestTutorial|^TestSyslogPlugin|^TestPluginsNew'

faults: test-deps ## run the fault suite alone, of full size (10 min)
	$(GO) test -race -count 1 -timeout $(or $(FAULTS_TIMEOUT),40m) ./e2e/faults -full
	$(GO) test -count 1 -v -run '^TestMixOfForms$$' ./host/pipeline -mix-inputs 1000000

soak: test-deps ## random faults for SOAK (10m), from SEED (printed)
	$(GO) test -race ./e2e/faults -run '^TestSoak$$' -count 1 -v -timeout 3h -soak $(or $(SOAK),10m) $(if $(SEED),-seed $(SEED))

# Installs real programs from the system's packages; the race detector needs a C compiler.
test-deps:
	@tools/install-test-deps.sh
	@tools/install-collectors.sh

lint: ## check style, imports, generated code, documents and their links
	$(LINT) run --allow-parallel-runners ./...
	for example in storage-sqlite storage-postgres aggregator-syslog; do (cd examples/$$example && \
		$(GO) tool -modfile=../../tools/lint/go.mod golangci-lint run --allow-parallel-runners -c ../../.golangci.yml ./...) || exit 1; done
	$(BUF) lint
	$(BUF) breaking --against tools/buf/released.binpb
	tools/check-generated.sh
	tools/check-doc-tests.sh
	$(GO) -C tools build -o ../bin/prose ./prose
	git ls-files '*.md' '*.go' ':!sdk/pluginpb' | xargs bin/prose
	tools/vendor-page.sh --check
	tools/lint-chart.sh

proto: ## generate the Go code and the reference of the plugin contract
	$(BUF) generate

configuration: ## write docs/configuration.md from the code
	$(GO) run ./internal/configdoc >docs/configuration.md.new
	mv docs/configuration.md.new docs/configuration.md

api: ## write docs/api.md from the OpenAPI description
	$(GO) run ./internal/apidoc <host/api/v1/openapi.yaml >docs/api.md.new
	mv docs/api.md.new docs/api.md

# Runs all suites, which takes about ten minutes.
conformance-report: test-deps binaries ## run the suites of all plugins and write docs/plugins/conformance.md
	$(GO) run ./internal/conformance >docs/plugins/conformance.md.new
	mv docs/plugins/conformance.md.new docs/plugins/conformance.md

licenses: ## write the licences of all that is in a release
	tools/licenses.sh >image/THIRD_PARTY_LICENSES.new
	mv image/THIRD_PARTY_LICENSES.new image/THIRD_PARTY_LICENSES

released: ## at a release: what later versions of the plugin contract are compared with
	$(BUF) build -o tools/buf/released.binpb --exclude-source-info

bench: test-deps binaries ## measure the whole, and its ceilings beside it (< 30 min); ARGS="-short"
	@mkdir -p bin
	$(GO) build -o bin/bench ./bench
	bin/bench -binaries bin $(ARGS)

microbench: test-deps ## run the Go benchmarks; BENCH=regexp, COUNT=n
	$(GO) test -run '^$$' -bench '$(or $(BENCH),.)' -benchmem -count $(or $(COUNT),1) ./...

bench-compare: test-deps ## compare the Go benchmarks of commits OLD and NEW; PKG=./plugins/..., BENCH, COUNT
	tools/bench-compare.sh '$(OLD)' '$(or $(NEW),HEAD)' '$(or $(PKG),./...)' '$(or $(BENCH),.)' '$(or $(COUNT),6)'

fuzz: ## fuzz every parser for FUZZTIME (30s) each
	tools/fuzz.sh $(or $(FUZZTIME),30s)

# The image is named DEV_REGISTRY/IMAGE_PREFIX/logger:VERSION, and also :MUTABLE_VERSION.
IMAGE_PREFIX    ?= deis
MUTABLE_VERSION ?= canary
IMAGE_NAME       = $(if $(DEV_REGISTRY),$(DEV_REGISTRY:/=)/)$(IMAGE_PREFIX)/logger
IMAGE_VERSION    = $(subst +,-,$(VERSION))

build: binaries ## build the image too; DEV_REGISTRY, IMAGE_PREFIX, VERSION, MUTABLE_VERSION, PLATFORMS
	VERSION='$(VERSION)' tools/image.sh build '$(IMAGE_NAME):$(IMAGE_VERSION)' '$(IMAGE_NAME):$(MUTABLE_VERSION)'

release: ## make the archives, the image and the chart of VERSION in dist; TESTED=COMMIT if CI passed
	tools/release.sh '$(VERSION)' '$(IMAGE_NAME)'

push: ## push the image that make build made; TLS_VERIFY=false for a DEV_REGISTRY of plain HTTP
	VERSION='$(VERSION)' tools/image.sh push '$(IMAGE_NAME):$(IMAGE_VERSION)' '$(IMAGE_NAME):$(MUTABLE_VERSION)'

HELM      ?= $(GO) tool -modfile=tools/helm/go.mod helm
NAMESPACE ?= deis
CHART      = charts/logger --namespace $(NAMESPACE) \
             --set-string image.repository=$(IMAGE_PREFIX)/logger --set-string image.tag=$(IMAGE_VERSION) \
             $(if $(DEV_REGISTRY),--set-string image.registry=$(DEV_REGISTRY:/=)) $(HELM_ARGS)

install: ## install the chart with that image; NAMESPACE, HELM_ARGS
	$(HELM) install deis-logger $(CHART) --create-namespace

upgrade: ## upgrade what make install installed
	$(HELM) upgrade deis-logger $(CHART)

uninstall: ## remove what make install installed
	$(HELM) uninstall deis-logger --namespace $(NAMESPACE)

clean: ## remove what was built
	rm -rf bin build dist
