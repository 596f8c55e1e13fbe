# The commands everyone relies on. `make help` lists them.

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
GO      ?= go
LDFLAGS  = -s -w -X main.version=$(VERSION)
TEST_TIMEOUT ?= 15m

# Tools are pinned, each in a module of its own so that none bends the versions of ours.
BUF      = $(GO) tool -modfile=tools/buf/go.mod buf
LINT     = $(GO) tool -modfile=tools/lint/go.mod golangci-lint

PLUGINS = storage-memory storage-redis aggregator-nsq

.DEFAULT_GOAL := help
.PHONY: help run binaries test faults soak test-deps lint proto released bench microbench bench-compare fuzz clean

help: ## list these commands
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: binaries ## run the whole system, with nothing to install
	@exec bin/logger dev

binaries: ## build bin/logger and bin/plugins/*
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o bin/logger ./cmd/logger
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o bin/plugins/ $(PLUGINS:%=./cmd/logger-%)
	chmod go-w bin/plugins bin/plugins/*  # the host runs nothing that others could change, and a umask may be 002

# One package at a time: the tests start servers and processes, and some have bounds.
# Never from the cache: e2e builds programs that the cache knows nothing of.
test: test-deps binaries ## run every test, race detector on, installing what they need
	$(GO) vet ./...
	$(GO) test -race -count 1 -p 1 -timeout $(TEST_TIMEOUT) ./...

faults: test-deps ## run the fault suite alone (3 min)
	$(GO) test -race -count 1 -timeout $(TEST_TIMEOUT) ./e2e/faults

soak: test-deps ## random faults for SOAK (10m), from SEED (printed)
	$(GO) test -race ./e2e/faults -run '^TestSoak$$' -count 1 -v -timeout 3h -soak $(or $(SOAK),10m) $(if $(SEED),-seed $(SEED))

# A real redis-server from the system's packages, and real clients of live tails; the race
# detector needs a C compiler.
test-deps:
	@for program in redis-server gcc curl chromium; do \
		command -v $$program >/dev/null || exec tools/install-test-deps.sh; \
	done

lint: ## check style, imports and the freshness of generated code
	$(LINT) run ./...
	$(BUF) lint
	$(BUF) breaking --against tools/buf/released.binpb
	tools/check-generated.sh

proto: ## generate the Go code of the plugin contract
	$(BUF) generate

released: ## at a release: what later versions of the plugin contract are compared with
	$(BUF) build -o tools/buf/released.binpb --exclude-source-info

bench: test-deps binaries ## measure the whole, and its ceilings beside it (< 20 min); ARGS="-short"
	@mkdir -p bin
	$(GO) build -o bin/bench ./bench
	bin/bench -binaries bin $(ARGS)

microbench: test-deps ## run the Go benchmarks; BENCH=regexp, COUNT=n
	$(GO) test -run '^$$' -bench '$(or $(BENCH),.)' -benchmem -count $(or $(COUNT),1) ./...

bench-compare: test-deps ## compare the Go benchmarks of commits OLD and NEW; PKG=./plugins/..., BENCH, COUNT
	tools/bench-compare.sh '$(OLD)' '$(or $(NEW),HEAD)' '$(or $(PKG),./...)' '$(or $(BENCH),.)' '$(or $(COUNT),6)'

fuzz: ## fuzz every parser for FUZZTIME (30s) each
	tools/fuzz.sh $(or $(FUZZTIME),30s)

clean: ## remove what was built
	rm -rf bin
