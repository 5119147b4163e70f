# The commands of the project; README says what they need.
.PHONY: run test bench check

# Builds and starts the daemon; on the first start it prints the administrator's credentials once.
run:
	cargo run --release

# Everything on SQLite, then the black-box tests once more on PostgreSQL where KONVERSIO_TEST_POSTGRES_URL names a server: six
# at once, since each mostly waits, for the disk, the server or the clock.
test:
	cargo test --workspace -- --test-threads=6
	@if [ -n "$$KONVERSIO_TEST_POSTGRES_URL" ]; then \
		KONVERSIO_TEST_DATABASE=postgres cargo test --test daemon -- --test-threads=6; \
	else \
		echo "skipped: the black-box tests on PostgreSQL: KONVERSIO_TEST_POSTGRES_URL is not set" \
			"(such as postgres://postgres@127.0.0.1:5432/postgres; the user must be allowed to create databases)"; \
	fi

# Prints the measured claims, each beside its floor.
bench:
	cargo bench --bench claims

# Formatting and lints, without changing anything.
check:
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
