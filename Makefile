# The commands of the project; README says what they need.
.PHONY: run web test test-web bench check

# Says "yes" where there is what builds and tests the website chat's pages.
NODE := $(shell command -v npm >/dev/null 2>&1 && node -p \
	'const [a, b] = process.versions.node.split("."); a > 22 || (a == 22 && b >= 12) || (a == 20 && b >= 19) ? "yes" : ""' 2>/dev/null)
NO_NODE := npm, or Node.js 20.19 (of 22: 22.12) or later, is not installed
export CHROMIUM ?= /usr/bin/chromium
WEB_SOURCES := $(shell find web \( -name node_modules -o -name dist -o -name test-results -o -path web/widget/tests -o \
	-path web/widget/e2e -o -name '*.md' \) -prune -o -type f -print)

# Builds and starts the daemon; on the first start it prints the administrator's credentials once.
run: web
	cargo run --release

# The pages of the website chat, which become part of the binary. A daemon without them works, and says so at /widget.
web: web/widget/dist/sdk.js
ifeq ($(NODE),yes)
# The loader is what a build writes last.
web/widget/dist/sdk.js: $(WEB_SOURCES) web/node_modules/.package-lock.json
	npm --prefix web run --silent build
web/node_modules/.package-lock.json: web/package-lock.json
	npm --prefix web ci --no-audit --no-fund --loglevel=error
	@touch $@
else
.PHONY: web/widget/dist/sdk.js
web/widget/dist/sdk.js:
	@echo "skipped: the pages of the website chat: $(NO_NODE)"
endif

# Everything on SQLite, then the black-box tests once more on PostgreSQL where KONVERSIO_TEST_POSTGRES_URL names a server: six
# at once, since each mostly waits, for the disk, the server or the clock. At last the website chat.
test: web
	cargo test --workspace -- --test-threads=6
	@if [ -n "$$KONVERSIO_TEST_POSTGRES_URL" ]; then \
		KONVERSIO_TEST_DATABASE=postgres cargo test --test daemon -- --test-threads=6; \
	else \
		echo "skipped: the black-box tests on PostgreSQL: KONVERSIO_TEST_POSTGRES_URL is not set" \
			"(such as postgres://postgres@127.0.0.1:5432/postgres; the user must be allowed to create databases)"; \
	fi
	@$(MAKE) --no-print-directory test-web

# The website chat in Chromium: its pages by themselves, then against the daemon.
test-web: web
ifeq ($(NODE),yes)
	cargo build
	@if [ -x "$$CHROMIUM" ]; then \
		failed=0; export KONVERSIO_BIN="$(abspath $(or $(CARGO_TARGET_DIR),target))/debug/konversio"; \
		npm --prefix web run --silent test || failed=1; \
		npm --prefix web run --silent e2e || failed=1; \
		echo "pictures of the website chat: web/widget/test-results/screens"; \
		exit $$failed; \
	else \
		npm --prefix web run --silent test --workspace konversio-widget -- plain size && \
		echo "skipped: the tests of the website chat in a browser: there is no Chromium at $$CHROMIUM (CHROMIUM=… names another)"; \
	fi
else
	@echo "skipped: the tests of the website chat: $(NO_NODE)"
endif

# Prints the measured claims, each beside its floor.
bench:
	cargo bench --bench claims

# Formatting and lints, without changing anything.
check:
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
ifeq ($(NODE),yes)
	@$(MAKE) --no-print-directory web/node_modules/.package-lock.json
	npm --prefix web run --silent check
else
	@echo "skipped: the checks of the website chat's pages: $(NO_NODE)"
endif
