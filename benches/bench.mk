# The benchmark: vand beside what others use today. Included by the root Makefile.
# Options of the run: make bench BENCH='--quick', or '--only a,d --peers direct,frp,vand'.

BENCH ?=

.PHONY: bench bench-peers bench-core
bench: bench-peers ## Measure vand beside its peers; BENCH='--quick' for a look
	cargo build --release --locked -p vand -p vanctl -p van-bench
	"$(CARGO_TARGET_DIR)/release/van-bench" run \
	    --vand "$(CARGO_TARGET_DIR)/release/vand" --vanctl "$(CARGO_TARGET_DIR)/release/vanctl" \
	    --peers-dir "$(CARGO_TARGET_DIR)/peers/bin" --out "$(CARGO_TARGET_DIR)/bench" $(BENCH)

bench-peers:
	@benches/peers/install.sh "$(CARGO_TARGET_DIR)/peers"

bench-core: ## Measure the mux core alone
	cargo bench --locked -p van-mux
