# `make` builds, tests and lints; `make help` lists the rest. Go is all that a
# fresh clone needs: the tools below are built from pinned modules into .bin/.
# Only what is in web/ takes Node, and a browser to try it.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules
.DEFAULT_GOAL := all

GO ?= go
BIN := .bin

# The version is stamped by the linker flag below. Go's own stamping is off, as
# it makes every build fail where git distrusts the folder's owner (containers).
export GOFLAGS := $(filter-out -buildvcs%,$(GOFLAGS)) -buildvcs=false
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unversioned)
LDFLAGS := -s -w -X main.version=$(VERSION)

# What `make run` hands to `agentsvc dev`, such as ARGS="--listen 127.0.0.1:9090".
ARGS ?=

# The race detector needs a C compiler. Without one the tests still run.
CC_FOUND = $(shell command -v "$$($(GO) env CC | cut -d' ' -f1)" 2>/dev/null)
RACE = $(if $(CC_FOUND),-race)
# Starting Postgres and the race detector on a small machine take their time; a
# package that needs longer than this hangs.
TEST_TIMEOUT ?= 15m
# Such as TESTFLAGS="-run TestClaim -count=20" with PKG=./internal/operation.
TESTFLAGS ?=
PKG ?= ./...

# All that generators write to; nothing in them is by hand.
QUERIES := internal/db/dbsql
GENERATED := gen third_party $(QUERIES) docs/access.md

# The browser of `make e2e`; such as CHROMIUM=google-chrome-beta for another.
CHROMIUM ?= $(shell command -v chromium || command -v chromium-browser || command -v chromium-headless-shell || command -v google-chrome)
# The file that npm leaves when it has installed all of web/package-lock.json.
WEB_INSTALLED := web/node_modules/.package-lock.json

# What `make breaking` compares with.
BASE ?= .git\#branch=main

.PHONY: all
all: build test lint ## Build, test and lint (what plain `make` does)

.PHONY: help
help: ## List the targets
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sort | awk -F ':.*## ' '{printf "%-15s %s\n", $$1, $$2}'

.PHONY: run
run: build ## Start everything on this machine for a first look; prints `ready`
	exec $(BIN)/agentsvc dev $(ARGS)

# Always run: Go knows better than make what has changed.
.PHONY: build
build: ## Build .bin/agentsvc, a static binary
	@mkdir -p $(BIN)
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o $(BIN)/agentsvc ./cmd/agentsvc

.PHONY: test
test: ## Run all tests with the race detector; finds or fetches a Postgres by itself
	@test -n "$(CC_FOUND)" || echo 'no C compiler found: testing without the race detector' >&2
	CGO_ENABLED=$(if $(RACE),1,0) $(GO) test $(RACE) -timeout $(TEST_TIMEOUT) $(TESTFLAGS) $(PKG)
ifeq ($(PKG),./...)
	cd e2e/vendorclients && $(GO) test -mod=mod -timeout $(TEST_TIMEOUT) $(TESTFLAGS) ./...  # a module of its own, which follows ours
endif

# The TypeScript is made anew each time: it is not committed, and cannot be older than
# the API it comes from.
.PHONY: web
web: $(BIN)/buf $(WEB_INSTALLED) ## Generate the TypeScript client, and check types and style of what is by hand in web/
	$(BIN)/buf generate --template web/buf.gen.yaml
	cd web && npm run --silent check

$(WEB_INSTALLED): web/package.json web/package-lock.json
	@command -v npm >/dev/null || { echo 'npm is missing: install Node 20 or newer (on Debian 13: apt-get install nodejs npm)' >&2; exit 1; }
	cd web && npm ci
	@touch $@

.PHONY: browser
browser:
	@test -n "$(CHROMIUM)" || { echo 'no browser found: install Chromium (on Debian: apt-get install chromium), or set CHROMIUM' >&2; exit 1; }

.PHONY: e2e
e2e: browser build web ## Call the real binary from a page of another origin, in a headless Chromium
	cd web && CHROMIUM="$(CHROMIUM)" npm run --silent e2e

.PHONY: saturate
saturate: ## Fill the vendor's windows for some minutes with 1, 3 and 10 replicas, and count what it refused
	AGENTSVC_SATURATE=long $(GO) test ./e2e -run TestTheBudgetIsUsedAndNeverExceeded -count=1 -v -timeout 40m

# SEED=n repeats what clients do and which faults there are. The limit is for starting and
# for looking at what came of it, too.
.PHONY: chaos
chaos: ## Kill, break and restart everything for some minutes under 2,000 changes, and account for each
	@test -n "$(CC_FOUND)" || echo 'no C compiler found: testing without the race detector' >&2
	CHAOS=long CHAOS_SEED=$(SEED) CGO_ENABLED=$(if $(RACE),1,0) $(GO) test $(RACE) -run '^TestChaos$$' -count=1 -v -timeout 6m ./e2e

.PHONY: bench
bench: ## Measure changes against the simulator, what identity costs, the queue beside river, and the mapping beside vanguard
	$(GO) run ./bench/mutations
	$(GO) run ./bench/auth
	cd bench/queue && $(GO) run -mod=mod .  # modules of their own, which follow ours
	cd bench/mapping && $(GO) run -mod=mod .

# Such as EVENTS=1000000.
EVENTS ?= 10000000

.PHONY: bench-audit
bench-audit: ## Load a history of EVENTS events and measure how it is read; takes minutes and some gigabytes
	$(GO) run ./bench/audit --events $(EVENTS)

.PHONY: lint
lint: $(BIN)/buf $(BIN)/golangci-lint ## Check the API, the code and the import rule
	$(BIN)/buf lint
	$(BIN)/buf format proto --diff --exit-code
	$(GO) vet ./...
	cd bench/mapping && $(GO) vet -mod=mod ./...
	cd bench/queue && $(GO) vet -mod=mod ./...
	cd e2e/vendorclients && $(GO) vet ./...
	$(BIN)/golangci-lint run

.PHONY: fmt
fmt: $(BIN)/buf $(BIN)/golangci-lint ## Format .proto and Go files in place
	$(BIN)/buf format proto --write
	$(BIN)/golangci-lint fmt

# In this order: the API imports what thirdparty prints. sqlc leaves the Go of a
# deleted query file behind, so the old is removed first (buf does that by itself).
.PHONY: generate
generate: $(BIN)/buf $(BIN)/protoc-gen-go $(BIN)/protoc-gen-connect-go $(BIN)/sqlc ## Write gen/, third_party/ and the queries' Go anew
	cd tools/thirdparty && $(GO) run . ../../third_party
	$(BIN)/buf generate
	rm -f $(QUERIES)/*.sql.go
	$(BIN)/sqlc generate
	gofmt -w gen $(QUERIES)
	$(GO) run ./cmd/agentsvc access > docs/access.md

.PHONY: checkgenerate
checkgenerate: generate ## Fail when generated files differ from what is committed
	@changed="$$(git status --porcelain --untracked-files=all -- $(GENERATED))"; \
	if [ -n "$$changed" ]; then \
		echo 'These differ from what the generators write; run `make generate` and commit them:' >&2; \
		echo "$$changed" >&2; \
		git --no-pager diff -- $(GENERATED) | head -n 200 >&2; \
		exit 1; \
	fi

.PHONY: breaking
breaking: $(BIN)/buf ## Fail when the API breaks callers of the main branch's
	$(BIN)/buf breaking --against '$(BASE)'

.PHONY: vuln
vuln: $(BIN)/govulncheck ## Look for known vulnerabilities in code we reach (asks vuln.go.dev)
	$(BIN)/govulncheck ./...

.PHONY: clean
clean: ## Remove what was built or installed here, and the data of `make run`
	rm -rf $(BIN) .agentsvc web/build web/src/gen web/node_modules

# Tools. Each comes from a module of its own, so that the service's go.mod holds
# only what the service links and one tool's needs cannot move another's. A
# changed pin rebuilds the tool.

.PHONY: tools
tools: ## Build all tools into .bin/

# $(1) binary, $(2) module under tools/, $(3) package, $(4) environment
define tool
tools: $(BIN)/$(1)
$(BIN)/$(1): tools/$(2)/go.mod tools/$(2)/go.sum
	@mkdir -p $(BIN)
	cd tools/$(2) && $(4) $(GO) build -o ../../$(BIN)/$(1) $(3)
	@touch $(BIN)/$(1)
endef

$(eval $(call tool,buf,buf,github.com/bufbuild/buf/cmd/buf,CGO_ENABLED=0))
$(eval $(call tool,sqlc,gen,github.com/sqlc-dev/sqlc/cmd/sqlc,CGO_ENABLED=0))
$(eval $(call tool,protoc-gen-go,gen,google.golang.org/protobuf/cmd/protoc-gen-go,CGO_ENABLED=0))
$(eval $(call tool,protoc-gen-connect-go,gen,connectrpc.com/connect/cmd/protoc-gen-connect-go,CGO_ENABLED=0))
$(eval $(call tool,golangci-lint,lint,github.com/golangci/golangci-lint/v2/cmd/golangci-lint,CGO_ENABLED=0))
$(eval $(call tool,grpcurl,call,github.com/fullstorydev/grpcurl/cmd/grpcurl,CGO_ENABLED=0))
$(eval $(call tool,govulncheck,vuln,golang.org/x/vuln/cmd/govulncheck,CGO_ENABLED=0))
