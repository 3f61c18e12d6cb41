# LBS - the Logging Block Store. `make help` lists the targets.

VERSION  := 0.1.0
PREFIX   ?= /usr/local
BUILD    ?= build
CC       ?= cc
CFLAGS   ?= -O2 -g
PKGS     := libsodium libcrypto sqlite3 jansson liblz4 libzstd
WARN     := -Wall -Wextra -Wstrict-prototypes -Wmissing-prototypes -Wshadow $(if $(CI),-Werror)
# SAN=address,undefined or SAN=thread builds everything under that sanitizer.
SAN      ?=
SANFLAGS := $(if $(SAN),-fsanitize=$(SAN) -fno-omit-frame-pointer -fno-sanitize-recover=all)

CPPFLAGS += -I. -Iliblbs/include -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64
ALLCFLAGS = -std=gnu11 $(WARN) $(CFLAGS) $(SANFLAGS) -fPIC -fvisibility=hidden -pthread -MMD -MP \
            $(CPPFLAGS) $(PKG_CFLAGS)
PKG_CFLAGS := $(shell pkg-config --cflags $(PKGS) 2>/dev/null)
LDLIBS   := $(shell pkg-config --libs $(PKGS) 2>/dev/null) -lm -pthread
LINK      = $(CC) $(LDFLAGS) $(SANFLAGS) -o $@

include sources.mk
comma := ,

PROGRAMS := lbs lbs-nbd lbs-fuse mount.lbs lbsck nbdkit-lbs-plugin.so
OUT      := $(if $(filter build,$(BUILD)),.,$(BUILD))

.PHONY: all
all: $(PROGRAMS:%=$(OUT)/%) libs ## build the programs, the nbdkit plugin and the library

OBJ = $(patsubst %.c,$(BUILD)/%.o,$(1))
LIB := $(BUILD)/liblbs.a

include install.mk

# <fuse.h> is seen by its front end alone.
$(BUILD)/frontends/fuse/%.o: CPPFLAGS += $(shell pkg-config --cflags fuse3 2>/dev/null)
$(BUILD)/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(ALLCFLAGS) -c -o $@ $<

$(LIB): $(call OBJ,$(LIBLBS_SRC))
	@rm -f $@
	ar rcs $@ $^

.PHONY: lib
lib: $(LIB)

$(OUT)/lbs: $(call OBJ,$(LBS_SRC)) $(LIB)
	$(LINK) $^ $(LDLIBS)
$(OUT)/lbs-nbd: $(call OBJ,$(LBSNBD_SRC)) $(LIB)
	$(LINK) $^ $(LDLIBS)
$(OUT)/lbs-fuse: LDLIBS += $(shell pkg-config --libs fuse3 2>/dev/null)
$(OUT)/lbs-fuse: $(call OBJ,$(LBSFUSE_SRC)) $(LIB)
	$(LINK) $^ $(LDLIBS)
# The same program under the name that mount(8) looks for.
$(OUT)/mount.lbs: $(OUT)/lbs-fuse
	ln -sf lbs-fuse $@
$(OUT)/lbsck: $(call OBJ,$(LBSCK_SRC)) $(LIB)
	$(LINK) $^ $(LDLIBS)
$(OUT)/nbdkit-lbs-plugin.so: $(call OBJ,$(PLUGIN_SRC)) $(LIB) frontends/nbd/plugin.map
	$(LINK) -shared -Wl,--version-script=frontends/nbd/plugin.map $(filter-out %.map,$^) $(LDLIBS)

# ---- tests -----------------------------------------------------------------
# Tests link the objects, not the shared symbols, and see every seal through
# --wrap, so the code under test is the code that ships.
TESTBIN   := $(BUILD)/tests
VM        := $(BUILD)/vm
LAB_OBJ   := $(call OBJ,$(LAB_SRC))
TEST_LIBS := $(LDLIBS) $(shell pkg-config --libs cmocka 2>/dev/null)
UNIT      := $(patsubst tests/unit/%.c,%,$(wildcard tests/unit/*_test.c))
LAB_PARTS := lab lab_sqlite lab_model
STORES    := restore reuse recover fault beside overlap full clean
TAMPERS   := tamper_moves tamper_replay tamper_files
DOCS      := format_doc format_example
C_TESTS   := $(UNIT:%=$(TESTBIN)/unit/%) $(patsubst %,$(TESTBIN)/%_test,$(LAB_PARTS) $(STORES) $(TAMPERS) $(DOCS) \
             crash io_error oom tools salvage tamper tamper_posix sim conformance sdcard sdcard_cut oncard)

$(TESTBIN)/%: $(BUILD)/tests/%.o $(LAB_OBJ) $(LIB)
	@mkdir -p $(@D)
	$(LINK) $^ -Wl,--wrap=aead_seal $(TEST_LIBS)
# Its example is made with known random bytes.
$(TESTBIN)/format_example_test: LDFLAGS += -Wl,--wrap=secret_random -Wl,--wrap=secret_unique
# Lets others in between two looks of the store's.
$(TESTBIN)/unit/between_test: LDFLAGS += $(patsubst %,-Wl$(comma)--wrap=%,segtab_info store_check_not_newer store_totals stream_log_bytes store_checkpoint)
# Looks at what is handed to the compressor.
$(TESTBIN)/unit/zip_store_test: LDFLAGS += -Wl,--wrap=zip_pack
$(TESTBIN)/tools_test: $(call OBJ,$(COMMON_SRC))
$(TESTBIN)/crash_test: $(call OBJ,$(wildcard tests/crash/*.c))
$(TESTBIN)/tamper_test: $(call OBJ,$(wildcard tests/tamper/*.c))
$(TESTBIN)/tamper_posix_test: $(call OBJ,$(wildcard tests/posix/*.c))
# The modelled card of the benchmarks: without the engine.
$(TESTBIN)/sdcard_test $(TESTBIN)/sdcard_cut_test $(TESTBIN)/oncard_test: \
$(TESTBIN)/%: $(BUILD)/tests/%.o $(call OBJ,$(SDCARD_DEVICE_SRC) bench/oncard/host.c)
	@mkdir -p $(@D)
	$(LINK) $^ $(TEST_LIBS)
# Refuses memory at the n-th call.
$(TESTBIN)/oom_test: LDFLAGS += $(patsubst %,-Wl$(comma)--wrap=%,malloc calloc realloc free sodium_malloc sodium_free)

# The simulator: its randomness is the seed's.
SIM_OBJ   := $(call OBJ,$(wildcard tests/sim/*.c))
$(TESTBIN)/sim_test: $(SIM_OBJ) $(LAB_OBJ) $(LIB)
	@mkdir -p $(@D)
	$(LINK) $^ $(foreach f,aead_seal secret_random secret_unique,-Wl,--wrap=$(f)) $(TEST_LIBS)

# One list of cases for the library, NBD and the file; pull.so makes cards fail.
$(TESTBIN)/conformance_test: LDLIBS += $(shell pkg-config --libs libnbd 2>/dev/null)
$(TESTBIN)/conformance_test: $(call OBJ,$(wildcard tests/conformance/*.c) tools/ctl_client.c) $(LIB) | $(TESTBIN)/pull.so
	@mkdir -p $(@D)
	$(LINK) $^ $(LDLIBS)
$(TESTBIN)/pull.so: tests/e2e/pull.c
	@mkdir -p $(@D)
	$(CC) -O1 -fPIC -shared -o $@ $< -ldl

.SECONDARY:

.PHONY: tests
tests: $(C_TESTS) $(VM)/nbdkit-powercut-filter.so ## build the C tests

UNIT_RUNS  = $(foreach t,$(UNIT),"unit/$(t)=$(TESTBIN)/unit/$(t)")
LAB_RUNS   = $(foreach t,$(LAB_PARTS) $(STORES) $(TAMPERS) $(DOCS),"$(subst _,-,$(t))=$(TESTBIN)/$(t)_test") \
             "tools=$(TESTBIN)/tools_test" "salvage=$(TESTBIN)/salvage_test" "sdcard=$(TESTBIN)/sdcard_test" "sdcard-cut=$(TESTBIN)/sdcard_cut_test" "oncard=$(TESTBIN)/oncard_test" \
             "oncard-lbs=$(BUILD)/bench/oncard/oncard target=lbs disk=64M util=0.5 sync=32 warm=40000 ops=2000" \
             "oncard-zip=$(BUILD)/bench/oncard/oncard target=lbs disk=64M util=0.5 compress=zstd sync=1 warm=80000 ops=2000" \
             "io-error=$(TESTBIN)/io_error_test --json $(BUILD)/io-error.json" "oom=$(TESTBIN)/oom_test --json $(BUILD)/oom.json" \
             "tamper-quick=$(TESTBIN)/tamper_test" "tamper-posix=$(TESTBIN)/tamper_posix_test"
CONFORMANCE_RUNS = $(foreach d,library queue nbd fuse,"conformance/$(d)=LBS_BUILD_ROOT=$(OUT) $(TESTBIN)/conformance_test $(d)")
E2E_RUNS   = "e2e/edges=/usr/bin/python3 tests/e2e/nbd_edges.py" \
             "e2e/clients=tests/e2e/nbd_clients.sh" \
             "e2e/fuse=/usr/bin/python3 tests/e2e/fuse.py" \
             "e2e/launcher=/usr/bin/python3 tests/e2e/nbd_launcher.py" \
             "e2e/process_death=/usr/bin/python3 tests/e2e/process_death.py" \
             "e2e/process_death_zip=env LBS_E2E_CREATE=--compress=zstd /usr/bin/python3 tests/e2e/process_death.py" \
             "e2e/errno_matrix=/usr/bin/python3 tests/e2e/errno_matrix.py" \
             "e2e/secrets=/usr/bin/python3 tests/e2e/secrets.py" \
             "e2e/clean=/usr/bin/python3 tests/e2e/clean.py" \
             "e2e/import=/usr/bin/python3 tests/e2e/import.py" \
             "e2e/torn_fold=tests/e2e/torn_fold.sh" \
             "e2e/pulled_card=/usr/bin/python3 tests/e2e/pulled_card.py" \
             "e2e/scrub=/usr/bin/python3 tests/e2e/scrub.py" \
             "lbsck=/usr/bin/python3 tests/lbsck/run.py" \
             "e2e/sdcard=/usr/bin/python3 tests/e2e/sdcard.py" \
             "e2e/nospace=/usr/bin/python3 tests/e2e/qemu_nospace.py" \
             "vm/blocktrace=/usr/bin/python3 tests/vm/blocktrace_test.py" \
             "vm/powercut=/usr/bin/python3 tests/vm/powercut_test.py $(VM)/nbdkit-powercut-filter.so" \
             "e2e/reconnect=/usr/bin/python3 tests/e2e/nbd_qemu_reconnect.py" \
             "guest=tests/guest/guest_test.sh"
# Those that have to do with frames, on stores with compression.
ATTACK_ZIP = bit-in-block bit-in-tag bit-in-nonce bit-in-prefix bit-in-record bits-anywhere copied-block \
             swapped-blocks swapped-records old-blocks old-record malformed-lengths malformed-index \
             malformed-everywhere sectors-overwritten equal-plaintext running-old-blocks running-truncated \
             cut-flushed-tail cut-unflushed-tail process-death old-card
ATTACK_RUNS = "attack-claims=/usr/bin/python3 tests/attacks/claims.py" "attacks=tests/attacks/run" \
             "attacks-zip=env LBS_ATTACK_COMPRESS=lz4 tests/attacks/run $(ATTACK_ZIP)" \
             "golden=tests/golden/golden_test.sh"
VALGRIND   = valgrind -q --error-exitcode=9 --leak-check=full

.PHONY: check check-fast check-crash check-planted check-asan check-tsan check-clang check-valgrind deps
deps:
	@tools/deps check
# Installs what is missing, then everything that should pass before a commit.
check: deps ## install what is missing, build, run the tests
	$(MAKE) all bench-tools tests
	@mkdir -p build && rm -f build/check.log
	tests/run -t 900 $(UNIT_RUNS) $(LAB_RUNS) \
		"crash-quick=$(TESTBIN)/crash_test --quick --json $(BUILD)/crash-quick.json" \
		"sim-quick=$(TESTBIN)/sim_test --seeds 60" \
		"sim-found=for s in tests/sim/found/*.sim; do $(TESTBIN)/sim_test --quiet --script \$$s || exit 1; done" \
		"layers=tests/layers_test.sh" "named=tests/named_test.sh" "install=tests/install_test.sh" "abi=tests/abi_test.sh" "manual=/usr/bin/python3 tests/manual_test.py" "cli=tests/cli_test.sh" \
		$(CONFORMANCE_RUNS) $(E2E_RUNS) $(ATTACK_RUNS) \
		"clang=$(MAKE) -s BUILD=build-clang CC=clang CFLAGS='-O2 -g -Werror' all" \
		-t 600 "valgrind=$(MAKE) -s check-valgrind"

.PHONY: check-units
check-units: $(UNIT:%=$(TESTBIN)/unit/%) ## the unit tests alone
	tests/run -t 300 $(UNIT_RUNS)

check-crash: tests ## power cuts at every write and sync, in every variant
	tests/run -t 3600 "crash=$(TESTBIN)/crash_test --json $(BUILD)/crash.json" "tamper=$(TESTBIN)/tamper_test --all"

# Bugs planted one at a time, each in a copy of the one file that has it.
check-planted: all tests ## bugs on purpose: does the suite named for each notice?
	@PLANTED_CC='$(CC)' PLANTED_CFLAGS='$(ALLCFLAGS)' PLANTED_LIBS='$(TEST_LIBS)' PLANTED_LAB='$(LAB_OBJ)' \
	PLANTED_LIB='$(LIB)' PLANTED_BUILD='$(BUILD)' \
		tests/run -t 1200 "planted=tests/planted/run.py --json $(BUILD)/planted.json $(PLANTED)"; \
		status=$$?; cat build/log/planted.log; exit $$status

# A guest with Debian's kernel, whose card is FAT or exFAT. What the guest runs is
# copied into its initramfs, with libraries.
$(VM)/load: $(BUILD)/tests/vm/load.o
	@mkdir -p $(@D)
	$(LINK) $^ $(shell pkg-config --libs libnbd) -pthread
# nbdkit's functions have their parameters whether one needs them or not.
$(BUILD)/tests/vm/powercut.o: WARN += -Wno-unused-parameter
$(VM)/nbdkit-powercut-filter.so: $(BUILD)/tests/vm/powercut.o
	@mkdir -p $(@D)
	$(LINK) -shared $^ -pthread
.PHONY: check-vm
check-vm: ## real FAT and exFAT in a guest whose power is cut (FULL=1: all of it; ONLY=, SEED=)
	@tools/deps check vm
	$(MAKE) all $(VM)/load $(VM)/nbdkit-powercut-filter.so sdcard
	tests/run -t $(if $(FULL),7200,2400) "vm=tests/vm/check.py --build $(VM) --json $(BUILD)/vm.json $(if $(FULL),--full) \
		$(if $(SEED),--seed $(SEED)) $(ONLY)"; status=$$?; cat build/log/vm.log; exit $$status

# Debian as a guest, its disk a store's; the kernel and the filter are those of check-vm.
.PHONY: check-guest
check-guest: ## Debian on a store in a guest: killed, cut, full (QUICK=1: shorter; ONLY=, SEED=, DEBS=)
	@tools/deps check vm guest
	$(MAKE) all $(VM)/nbdkit-powercut-filter.so
	tools/guest-image $(BUILD)/guest/debian.img
	tests/run -t $(if $(QUICK),2400,7200) "debian=/usr/bin/python3 tests/guest/check.py --build $(BUILD) --json $(BUILD)/guest.json \
		$(if $(QUICK),--quick) $(if $(SEED),--seed $(SEED)) $(if $(DEBS),--debs $(DEBS)) $(ONLY)"; status=$$?; cat build/log/debian.log; exit $$status

.PHONY: account
account: ## what the suites counted in their last run here, into tests/README.md
	tests/account.py --write

.PHONY: sim
sim: $(TESTBIN)/sim_test ## the whole store under random faults (SEEDS= how many, STEPS=; SEED= one, told)
	$(TESTBIN)/sim_test --steps $(or $(STEPS),1000) $(if $(SEED),--seed $(SEED),--seeds $(or $(SEEDS),2000)) \
		$(if $(JSON),--json $(JSON))

check-asan: ## the C tests under AddressSanitizer and UBSan
	$(MAKE) BUILD=build-asan SAN=address,undefined CFLAGS='-O1 -g' tests build-asan/lbs-fuse
	tests/run -t 1500 $(foreach t,$(UNIT),"asan/$(t)=build-asan/tests/unit/$(t)") \
		$(foreach t,$(LAB_PARTS) $(STORES) $(TAMPERS),"asan/$(t)=build-asan/tests/$(t)_test") \
		"asan/sdcard=build-asan/tests/sdcard_test" "asan/sdcard-cut=build-asan/tests/sdcard_cut_test" \
		"asan/io-error=build-asan/tests/io_error_test --every 4" "asan/oom=build-asan/tests/oom_test --every 5" \
		"asan/crash-few=build-asan/tests/crash_test --few" \
		$(foreach d,library queue fuse,"asan/conformance-$(d)=ASAN_OPTIONS=verify_asan_link_order=0 LBS_BUILD_ROOT=build-asan build-asan/tests/conformance_test $(d)") \
		"asan/sim-quick=build-asan/tests/sim_test --seeds 20 --min-hits 0"

check-tsan: ## the C tests under ThreadSanitizer
	$(MAKE) BUILD=build-tsan SAN=thread CFLAGS='-O1 -g' tests build-tsan/lbs-fuse
	tests/run -t 1500 $(foreach t,$(UNIT),"tsan/$(t)=build-tsan/tests/unit/$(t)") \
		$(foreach t,$(LAB_PARTS) $(STORES),"tsan/$(t)=build-tsan/tests/$(t)_test") \
		$(foreach d,library queue fuse,"tsan/conformance-$(d)=LBS_BUILD_ROOT=build-tsan build-tsan/tests/conformance_test $(d)")

# Under qemu-user: the units, a few power cuts, stores that go there and back.
ARMS := arm64 armhf
# All of --few is some 200 s of processor time, for each.
ARM_CRASH ?= --few --only create
ARM_TESTS = $(patsubst %,$(1)/tests/%,$(UNIT:%=unit/%) $(LAB_PARTS:%=%_test) $(DOCS:%=%_test) \
            crash_test arm/vdisk golden/make)
.PHONY: check-arm
check-arm: all ## cross-built for arm64 and armhf, run under qemu-user, stores exchanged
	@tools/deps arm
	$(MAKE) $(call ARM_TESTS,$(BUILD))
	set -e; $(foreach a,$(ARMS),tools/cross $(a) make -s all $(call ARM_TESTS,build-$(a));)
	tests/run -t 900 $(foreach a,$(ARMS),$(foreach t,$(UNIT),"$(a)/$(t)=tools/cross $(a) run build-$(a)/tests/unit/$(t)") \
		$(foreach t,$(LAB_PARTS) $(DOCS),"$(a)/$(t)=tools/cross $(a) run build-$(a)/tests/$(t)_test") \
		"$(a)/crash=tools/cross $(a) run build-$(a)/tests/crash_test $(ARM_CRASH)" \
		"$(a)/exchange=tests/arm/exchange.sh $(a)")

check-valgrind: tests
	@set -e; for t in $(UNIT); do $(VALGRIND) $(TESTBIN)/unit/$$t >/dev/null; done

# ---- the rest ---------------------------------------------------------------
FUZZERS      := decode_fuzz scan_fuzz open_fuzz meta_fuzz
FUZZ_SECONDS ?= 60
FUZZ_FLAGS   := -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all
# Opening: the whole engine on the simulated card and internal flash.
build-fuzz/open_fuzz build-fuzz/meta_fuzz: build-fuzz/%: tests/fuzz/%.c $(filter recovery/%,$(LBSCK_SRC)) \
                                           $(LIBLBS_SRC) $(LAB_SRC)
	@mkdir -p $(@D)
	clang -std=gnu11 -O1 -g $(FUZZ_FLAGS) $(CPPFLAGS) $(PKG_CFLAGS) -pthread -o $@ \
		$^ -Wl,--wrap=aead_seal $(TEST_LIBS)
build-fuzz/%: tests/fuzz/%.c $(LIBLBS_SRC)
	@mkdir -p $(@D)
	clang -std=gnu11 -O1 -g $(FUZZ_FLAGS) $(CPPFLAGS) $(PKG_CFLAGS) -pthread -o $@ \
		$< $(CRYPTO_SRC) $(ZIP_SRC) $(FORMAT_SRC) liblbs/error.c liblbs/log/seal.c liblbs/log/scan.c $(LDLIBS)

# The modelled SD card, not installed: bench/sdcard/README.md.
$(OUT)/nbdkit-sdcard-plugin.so: $(call OBJ,$(SDCARD_PLUGIN_SRC)) frontends/nbd/plugin.map
	$(LINK) -shared -Wl,--version-script=frontends/nbd/plugin.map $(filter-out %.map,$^) $(LDLIBS)
.PHONY: sdcard
sdcard: $(OUT)/nbdkit-sdcard-plugin.so ## build the modelled SD card, an nbdkit plugin

.PHONY: demo fuzz bench-micro plot-map clean help
fuzz: all $(FUZZERS:%=build-fuzz/%) ## fuzz card, metadata and NBD requests, FUZZ_SECONDS each
	tests/run -t 86400 $(foreach f,$(FUZZERS),"fuzz/$(f)=tests/fuzz/run.sh $(FUZZ_SECONDS) build-fuzz/$(f)") \
		"fuzz/nbd_fuzz=/usr/bin/python3 tests/fuzz/nbd_fuzz.py --seconds $(FUZZ_SECONDS) --seed $${FUZZ_SEED:-1}"

demo: ## the main job on a real disk image, told as a story
	@tools/deps demo
	@$(MAKE) -s all
	tools/demo.sh

$(BUILD)/bench/micro $(BUILD)/bench/speed: $(BUILD)/bench/%: $(BUILD)/bench/%.o $(BUILD)/bench/kit.o $(LIB)
	$(LINK) $^ $(LDLIBS)
$(BUILD)/bench/clean: $(call OBJ,bench/clean.c bench/kit.c bench/thin.c bench/nocipher.c) $(LIB)
	$(LINK) $^ -Wl,--wrap=aead_seal -Wl,--wrap=aead_open $(LDLIBS)
$(BUILD)/bench/queue: $(BUILD)/bench/queue.o $(LIB)
	$(LINK) $^ $(LDLIBS)
.PHONY: bench-queue
bench-queue: $(BUILD)/bench/queue ## queues beside plain calls (QUICK=1: shorter)
	$< $(if $(JSON),--json $(JSON))
.PHONY: bench-clean bench-zip
bench-zip: all ## what compression saves and costs on a real file system (QUICK=1: shorter)
	bench/zip.sh $(if $(JSON),--json $(JSON))
bench-clean: $(BUILD)/bench/clean ## the cleaner in steady state beside theory (QUICK=1: shorter)
	$< $(if $(JSON),--json $(JSON))
$(BUILD)/bench/big: $(call OBJ,bench/big.c bench/nocipher.c) $(LIB)
	$(LINK) $^ $(foreach f,aead_seal aead_open,-Wl,--wrap=$(f)) $(LDLIBS)
.PHONY: bench-big
bench-big: $(BUILD)/bench/big ## the bounds on a big volume (VDISK=256 and WRITE=64 GiB; a GiB of memory)
	@dir=$$(mktemp -d /dev/shm/lbs-big.XXXXXX) && trap 'rm -rf "$$dir"' EXIT && \
		$< $$dir $(or $(VDISK),256) $(or $(WRITE),64)
# The data left out, checkpoints and page loads timed.
$(BUILD)/bench/mapload: $(BUILD)/bench/mapload.o $(BUILD)/bench/swallow.o $(LIB)
	$(LINK) $^ $(foreach f,aead_seal secret_random store_checkpoint mapstore_page,-Wl,--wrap=$(f)) $(LDLIBS)
# Workloads on modelled cards: bench/RESULTS.md.
$(BUILD)/bench/oncard/oncard: $(call OBJ,$(ONCARD_SRC)) $(LIB)
	$(LINK) $^ -Wl,--wrap=aead_seal -Wl,--wrap=aead_open $(LDLIBS)
.PHONY: bench bench-tools
bench: sdcard $(BUILD)/bench/oncard/oncard ## LBS and others on modelled SD cards (QUICK=1: shorter, tables not kept; ONLY=lbs: the others as they were)
	@tools/deps bench
	/usr/bin/python3 bench/oncard/run.py
bench-tools: sdcard $(addprefix $(BUILD)/bench/,micro speed clean mapload oncard/oncard) ## build what the benchmarks need
bench-micro: all $(BUILD)/bench/micro $(BUILD)/bench/speed $(BUILD)/bench/mapload ## how fast and how small, measured (QUICK=1: shorter)
	bench/micro.sh $(if $(JSON),--json $(JSON))
$(BUILD)/bench/passthrough.o: CPPFLAGS += $(shell pkg-config --cflags fuse3 2>/dev/null)
$(BUILD)/bench/passthrough: $(BUILD)/bench/passthrough.o
	$(LINK) $^ $(shell pkg-config --libs fuse3 2>/dev/null)
$(BUILD)/bench/lbs-fuse-nocipher: $(call OBJ,$(LBSFUSE_SRC) bench/nocipher.c) $(LIB)
	$(LINK) $^ -Wl,--wrap=aead_seal -Wl,--wrap=aead_open $(LDLIBS) $(shell pkg-config --libs fuse3 2>/dev/null)
.PHONY: bench-fuse
bench-fuse: all $(BUILD)/bench/passthrough $(BUILD)/bench/lbs-fuse-nocipher ## the FUSE file beside a plain file through FUSE (QUICK=1: shorter)
	bench/fuse.sh $(if $(JSON),--json $(JSON))
plot-map: $(BUILD)/bench/mapload ## draw what the map costs internal flash: docs/map.svg
	@tools/deps bench
	bench/mapplot.sh docs/map.svg

clean: ## remove what was built
	rm -rf build build-asan build-tsan build-clang build-fuzz $(ARMS:%=build-%) $(PROGRAMS) nbdkit-sdcard-plugin.so

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

-include $(shell find $(BUILD) -type f -name '*.d' 2>/dev/null)
