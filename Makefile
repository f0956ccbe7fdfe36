# `make` lists what there is to make.

CARGO_FUZZ_VERSION := 0.13.2
CARGO_LAMBDA_VERSION := 1.9.2
ARCH ?= $(shell uname -m | sed 's/aarch64/arm64/')

# Tools that are not on the machine are installed into this folder, and found there first.
TOOLS := $(CURDIR)/.tools
export PATH := $(TOOLS)/bin:$(PATH)
export SAM_CLI_TELEMETRY := 0

PEERS_MANIFEST := tools/bench/peers/Cargo.toml
FUZZ_MANIFEST := fuzz/Cargo.toml

.PHONY: help run test test-moto format lint unit-and-end-to-end fuzz validate build bench bench-check bench-build profile clean

help: ## Lists the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 14

run: cargo-lambda ## Everything up on this machine, with demo data; Ctrl-C ends it
	@cargo run --package userdocks-local

test: format lint unit-and-end-to-end validate ## Formatting, clippy, all tests, the template

format:
	cargo fmt --all --check
	cargo fmt --manifest-path $(PEERS_MANIFEST) --check
	cargo fmt --manifest-path $(FUZZ_MANIFEST) --check

lint:
	cargo clippy --workspace --all-targets --locked -- -D warnings
	CARGO_TARGET_DIR=$(CURDIR)/target cargo clippy --manifest-path $(PEERS_MANIFEST) --locked -- -D warnings

unit-and-end-to-end: cargo-lambda verifiers
	PYTHON=$(TOOLS)/bin/python cargo test --workspace --locked --no-fail-fast

test-moto: cargo-lambda verifiers moto ## The end-to-end tests against moto in place of the embedded services
	EMULATOR=moto PYTHON=$(TOOLS)/bin/python cargo test --package end-to-end --locked --test stack

SECONDS_EACH ?= 60

# Without a sanitizer: those need a nightly compiler, and there is no unsafe code here for them to look at. What is found on
# the way is kept out of the committed corpus.
fuzz: cargo-fuzz ## Searches for input that breaks something, SECONDS_EACH for each kind of input
	for target in api_key events items public_key writes; do mkdir -p fuzz/found/$$target; \
	  cargo fuzz run --sanitizer none $$target fuzz/found/$$target fuzz/corpus/$$target -- \
	    -max_total_time=$(SECONDS_EACH) -max_len=4096 -dict=fuzz/dictionary || exit 1; done

validate: sam
	AWS_REGION=us-east-1 sam validate --lint

LAMBDA_BUILD := cargo lambda build --release --locked --$(subst x86_64,x86-64,$(ARCH))

build: cargo-lambda zig ## Release binaries at target/lambda/<function>/bootstrap; ARCH=arm64 or x86_64
	$(LAMBDA_BUILD)

PEERS := $(CURDIR)/target/bench-peers
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
	AWS_LC_SYS_NO_JITTER_ENTROPY=0 CARGO_TARGET_DIR=$(PEERS) \
	  cargo build --release --locked --manifest-path $(PEERS_MANIFEST) --bin floor --bin sdk-defaults
	CARGO_TARGET_DIR=$(PEERS) cargo build --profile same --locked --manifest-path $(PEERS_MANIFEST) --bin raw-call
	@command -v npm >/dev/null || { echo "npm is not here: the peer in Node.js is left out"; exit 0; }; \
	  cd tools/bench/peers/node && npm ci --silent && npm run --silent build
	cargo build --profile bench --locked --package userdocks-bench

clean: ## Deletes what was built; the local stack's data in .local stays
	cargo clean
	rm -rf .aws-sam

# Each tool from where it is, or else from a package registry; with a Python of any recent version, or, for
# cargo-lambda, without one.
.PHONY: cargo-fuzz cargo-lambda zig verifiers moto sam
cargo-fuzz:
	@command -v cargo-fuzz >/dev/null || cargo install --locked --root $(TOOLS) --version $(CARGO_FUZZ_VERSION) cargo-fuzz

cargo-lambda:
	@command -v cargo-lambda >/dev/null || { python3 -m venv $(TOOLS) && $(TOOLS)/bin/pip install --quiet cargo-lambda==$(CARGO_LAMBDA_VERSION); } \
	  || cargo install --locked --root $(TOOLS) --version $(CARGO_LAMBDA_VERSION) cargo-lambda

# Links against the C library of Lambda's machines, which may be older than this one's.
zig:
	@command -v zig >/dev/null || python3 -c 'import ziglang' 2>/dev/null || { python3 -m venv $(TOOLS) && $(TOOLS)/bin/pip install --quiet ziglang==0.17.1; }

verifiers:
	@$(TOOLS)/bin/python -c 'import jwt, cryptography' 2>/dev/null || { python3 -m venv $(TOOLS) && $(TOOLS)/bin/pip install --quiet 'PyJWT[crypto]==2.15.1'; }
	@test -d tests/verifiers/node_modules || npm ci --silent --prefix tests/verifiers

moto:
	@command -v $(TOOLS)/bin/moto_server >/dev/null || { python3 -m venv $(TOOLS) && $(TOOLS)/bin/pip install --quiet 'moto[server]==5.2.5'; }

sam:
	@command -v sam >/dev/null || { python3 -m venv $(TOOLS) && $(TOOLS)/bin/pip install --quiet aws-sam-cli==1.170.0; }
