# pare: make help

BUILD ?= rel
CC ?= gcc
O := build/$(BUILD)
NEEDS := ncursesw readline sqlite3 openblas libprotobuf-c jansson zlib libzip libpng libjpeg nettle
PACKAGES := gcc make pkg-config libncurses-dev libreadline-dev libsqlite3-dev libopenblas-dev \
	libprotobuf-c-dev protobuf-c-compiler protobuf-compiler libonnx-dev libjansson-dev zlib1g-dev \
	libzip-dev libpng-dev libjpeg62-turbo-dev nettle-dev
TEST_PACKAGES := perl tmux libonnx-testdata dataset-fashion-mnist
CHECK_PACKAGES := clang clang-format libclang-rt-14-dev

WARN := -Wall -Wextra -Wshadow -Wvla -Wconversion -Wno-sign-conversion -Wno-unknown-warning-option
OPT_rel := -O2 -g
OPT_werror := -O2 -Werror
OPT_asan := -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer
OPT_arm64 := -O2 -g -fno-tree-vectorize # GCC 12's vectorizer for arm64 fails on some tests
OPT_tsan := -O1 -g -fsanitize=thread
OPT_cov := -O0 -g --coverage
OPT_fuzz := -O1 -g -fsanitize=address,undefined,fuzzer-no-link -fno-sanitize-recover=undefined
OPT := $(OPT_$(firstword $(subst -, ,$(BUILD))))
PKG_CFLAGS := $(shell pkg-config --cflags $(NEEDS) 2>/dev/null)
PKG_LIBS := $(shell pkg-config --libs $(NEEDS) 2>/dev/null)
CFLAGS += -std=c11 -D_GNU_SOURCE $(OPT) $(WARN) -ffp-contract=off -fno-math-errno -fno-trapping-math -Ibuild $(PKG_CFLAGS) -pthread
LDLIBS += $(PKG_LIBS) -lm -ldl -pthread
Q := $(if $(V),,@)
say = $(if $(V),,@printf '  %-5s %s\n' '$(1)' '$(2)')

MACHINE := $(shell $(CC) -dumpmachine 2>/dev/null)
# Vector code: one object an ISA from each source, chosen at run time.
VECTOR_OPT := $(if $(filter fuzz,$(BUILD)),-O1 -fno-sanitize=all,-O3) # fuzzing feeds readers, not kernels
VECTOR := across kernels curves depthwise each gram product winograd wide
ifneq ($(findstring x86_64,$(MACHINE)),)
ISAS := sse2 avx2 avx512
ISA_sse2 :=
ISA_avx2 := -march=x86-64-v3
ISA_avx512 := -march=x86-64-v4 -mprefer-vector-width=512
else
ISAS := base
ISA_base :=
endif

ENGINE := $(filter-out $(VECTOR:%=engine/run/%.c),$(sort $(wildcard engine/*/*.c)))
VECTOR_OBJ := $(foreach i,$(ISAS),$(VECTOR:%=$(O)/engine/run/%_$(i).o))
ENGINE_OBJ := $(ENGINE:%.c=$(O)/%.o) $(VECTOR_OBJ) $(O)/gen/onnx.pb-c.o
HOUSE := $(sort $(wildcard plugins/*.c sessions/*.c tui/*/*.c))
HOUSE_OBJ := $(HOUSE:%.c=$(O)/%.o)
TESTS := $(patsubst tests/unit/%.c,$(O)/tests/%,$(sort $(wildcard tests/unit/test_*.c)))
SCRIPTS := $(sort $(wildcard tests/*/*.t))
FUZZERS := $(patsubst tests/fuzz/%.c,build/fuzz/%,$(sort $(wildcard tests/fuzz/fuzz_*.c)))
SOURCES := $(sort $(wildcard engine/*.h engine/*/*.[ch] plugins/*.[ch] sessions/*.[ch] tui/*/*.[ch] tui/*.[ch] \
	tests/*.[ch] tests/*/*.[ch] examples/*/*.[ch]))

.PHONY: all help demo deps test-deps check-deps test check arm64 layers format-check format fuzz fuzzers bench bench-estimate bench-quantize bench-prune tsan clean install
all: pare

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /  make \1|/p' Makefile | sort | awk -F'|' '{printf "%-20s %s\n", $$1, $$2}'

pare: $(O)/pare
	$(Q)ln -sf $< $@

$(O)/pare: $(O)/tui/main.o $(HOUSE_OBJ) $(O)/libpare.a
	$(call say,LD,$@)
	$(Q)$(CC) $(OPT) -rdynamic -o $@ $(O)/tui/main.o $(HOUSE_OBJ) $(O)/libpare.a $(LDLIBS)

# the folders too: a source that leaves must leave the library
$(O)/libpare.a: $(ENGINE_OBJ) $(sort $(dir $(ENGINE)))
	$(call say,AR,$@)
	$(Q)rm -f $@ && ar rcs $@ $(ENGINE_OBJ)

# The lists of rows: a file that is added or removed joins or leaves by itself.
build/gen/ops.inc: $(sort $(wildcard engine/ops/*.c)) engine/ops
	$(Q)mkdir -p $(@D) && sed -n 's/^const struct pare_op \(pare_ops_[a-z0-9_]*\)\[\].*/ROWS(\1)/p' \
		$(sort $(wildcard engine/ops/*.c)) > $@
build/gen/cli.inc: $(sort $(wildcard tui/cli/*.c)) tui/cli
	$(Q)mkdir -p $(@D) && sed -n 's/^const struct cli_command \(cli_[a-z0-9_]*\) .*/COMMAND(\1)/p' \
		$(sort $(wildcard tui/cli/*.c)) > $@
build/gen/onnx.pb-c.c: /usr/include/onnx/onnx.proto
	$(call say,GEN,$@)
	$(Q)mkdir -p $(@D) && protoc-c --proto_path=$(<D) --c_out=$(@D) $<
build/gen/onnx.pb-c.h: build/gen/onnx.pb-c.c
$(O)/gen/onnx.pb-c.o: build/gen/onnx.pb-c.c
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D) && $(CC) $(CFLAGS) -w -c -o $@ $<
GENERATED := build/gen/ops.inc build/gen/cli.inc build/gen/onnx.pb-c.c

$(O)/%.o: %.c | $(GENERATED)
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D) && $(CC) $(CFLAGS) -MMD -MP -c -o $@ $<
$(O)/engine/ops/registry.o: build/gen/ops.inc
$(O)/tui/cli/rows.o: build/gen/cli.inc
define vector_rule
$(O)/engine/run/$(1)_$(2).o: engine/run/$(1).c
	$(call say,CC,engine/run/$(1).c for $(2))
	$(Q)mkdir -p $$(@D) && $(CC) $(CFLAGS) $(VECTOR_OPT) -ffp-contract=fast $(ISA_$(2)) -DPARE_ISA=$(2) -MMD -MP -c -o $$@ $$<
endef
$(foreach i,$(ISAS),$(foreach v,$(VECTOR),$(eval $(call vector_rule,$(v),$(i)))))

$(O)/tests/%: tests/unit/%.c $(HOUSE_OBJ) $(O)/libpare.a | $(GENERATED)
	$(call say,TEST,$@)
	$(Q)mkdir -p $(@D) && $(CC) $(CFLAGS) -I. -MMD -MP -o $@ $< $(HOUSE_OBJ) $(O)/libpare.a $(LDLIBS)

-include $(wildcard build/*/*/*.d build/*/*/*/*.d)

# ---- installing what is missing ------------------------------------------------------------------

define install_missing
	@missing=$$(for p in $(1); do dpkg-query -W -f='$${Status}' $$p 2>/dev/null | grep -q 'ok installed' || echo $$p; done); \
	[ -z "$$missing" ] && exit 0; \
	if [ "$$(id -u)" = 0 ]; then sudo=; elif command -v sudo >/dev/null; then sudo=sudo; else \
		echo "pare needs packages. As root:  apt-get install -y" $$missing; exit 1; fi; \
	echo "installing:" $$missing; \
	$$sudo apt-get update -q >/dev/null; \
	DEBIAN_FRONTEND=noninteractive $$sudo apt-get install -y -q --no-install-recommends $$missing >/dev/null \
	|| { echo "this failed; as root:  apt-get install -y" $$missing; exit 1; }
endef

deps:
	$(call install_missing,$(PACKAGES))
test-deps: deps
	$(call install_missing,$(TEST_PACKAGES))
check-deps: test-deps
	$(call install_missing,$(CHECK_PACKAGES))

# make is started again because what pkg-config says is read at its start
demo: deps ## install what is missing, build, open the workbench on the example
	$(Q)$(MAKE) --no-print-directory pare && exec ./pare demo

test: test-deps ## install what is missing, build, run all tests
	$(Q)$(MAKE) --no-print-directory run-tests
run-tests: pare $(TESTS)
	$(Q)BUILD=$(BUILD) PARE=$(CURDIR)/$(O)/pare prove -j2 --exec '' $(TESTS) $(SCRIPTS)

operators: $(O)/tests/test_operators ## write the table of operators from their rows
	$(Q)$< --write

check: check-deps layers format-check ## warnings are errors (gcc, clang), ASan + UBSan, layers, format
	$(Q)$(MAKE) --no-print-directory BUILD=werror-gcc CC=gcc build/werror-gcc/pare
	$(Q)$(MAKE) --no-print-directory BUILD=werror-clang CC=clang build/werror-clang/pare
	$(Q)$(MAKE) --no-print-directory BUILD=asan asan-tests
asan-tests: $(O)/pare $(TESTS)
	$(Q)ASAN_OPTIONS=detect_leaks=1 BUILD=$(BUILD) PARE=$(CURDIR)/$(O)/pare prove -j2 --exec '' $(TESTS)
tsan: ## tests under ThreadSanitizer
	$(Q)$(MAKE) --no-print-directory BUILD=tsan tsan-tests
tsan-tests: $(TESTS)
	$(Q)BUILD=$(BUILD) prove -j1 --exec '' $(TESTS)

# Debian's cross compiler and, in SYSROOT, the libraries of PACKAGES for arm64: those of
# dpkg --add-architecture arm64, or packages unpacked into a folder by dpkg -x, where nothing points to
# the OpenBLAS that is meant
SYSROOT ?= /
ARM64 := aarch64-linux-gnu
arm64: ## build for arm64 and run its tests under qemu (gcc-aarch64-linux-gnu, qemu-user-static; SYSROOT=DIR)
	$(Q)PKG_CONFIG_SYSROOT_DIR=$(SYSROOT:/=) \
		PKG_CONFIG_LIBDIR=$(SYSROOT:/=)/usr/lib/$(ARM64)/pkgconfig:$(SYSROOT:/=)/usr/lib/$(ARM64)/openblas-pthread/pkgconfig \
		$(MAKE) --no-print-directory BUILD=arm64 CC='$(ARM64)-gcc --sysroot=$(SYSROOT)' arm64-tests
arm64-tests: $(O)/pare $(TESTS)
	$(Q)CC='$(CC)' BUILD=$(BUILD) PARE=$(CURDIR)/$(O)/pare prove -j2 --exec 'qemu-aarch64-static -L $(SYSROOT) -E LD_LIBRARY_PATH=/usr/lib/$(ARM64)/openblas-pthread' $(TESTS)

layers: ## includes point one way: tui → sessions → engine ← plugins
	$(Q)sh tests/layers.sh
format-check:
	$(Q)clang-format --dry-run -Werror $(SOURCES)
format: ## lay the sources out
	$(Q)clang-format -i $(SOURCES)

# the inner make knows whether the engine or the target changed since
fuzzers:
	$(Q)$(MAKE) --no-print-directory BUILD=fuzz CC=clang $(FUZZERS)
ifeq ($(BUILD),fuzz)
build/fuzz/fuzz_%: tests/fuzz/fuzz_%.c $(HOUSE_OBJ) $(O)/libpare.a
	$(call say,FUZZ,$@)
	$(Q)$(CC) $(CFLAGS) -I. -MMD -MP -fsanitize=fuzzer -o $@ $< $(HOUSE_OBJ) $(O)/libpare.a $(LDLIBS)
endif
FUZZ_SECONDS ?= 60
fuzz: check-deps fuzzers ## each fuzz target for a minute
	$(Q)for f in $(FUZZERS); do n=$${f##*/}; mkdir -p build/corpus/$$n; \
		$$f -max_total_time=$(FUZZ_SECONDS) -timeout=10 -rss_limit_mb=2048 -close_fd_mask=3 \
			build/corpus/$$n tests/fuzz/$${n#fuzz_} || exit 1; done

$(O)/bench/%: tests/bench/%.c $(O)/libpare.a
	$(call say,BENCH,$@)
	$(Q)mkdir -p $(@D) && $(CC) $(CFLAGS) -I. -MMD -MP -o $@ $< $(O)/libpare.a $(LDLIBS)
bench: pare $(O)/bench/bench_eval ## speed and memory against ONNX Runtime (needs python3 with onnxruntime)
	$(Q)PYTHON="$(PYTHON)" BENCH_EVAL=$(O)/bench/bench_eval sh tests/bench/bench.sh $(MODELS)
SHARED := $(or $(PARE_SHARED),../shared)
bench-estimate: $(O)/bench/bench_estimate ## how wrong estimates are: random plans, predicted and then measured
	$(Q)$< examples/fashion/model.onnx examples/fashion/data.conf 1000 60
	$(Q)for m in kws_dscnn resnet8 resnet20; do \
		[ ! -f $(SHARED)/models/$$m/model.onnx ] || $< $(SHARED)/models/$$m/model.onnx $(SHARED)/models/$$m 1000 60; done

PREFIX ?= /usr/local
SHARE := $(DESTDIR)$(PREFIX)/share
install: pare ## into PREFIX (/usr/local), with DESTDIR before it
	install -D $(O)/pare $(DESTDIR)$(PREFIX)/bin/pare
	install -d $(SHARE)/man/man1 $(SHARE)/pare/examples/fashion $(DESTDIR)$(PREFIX)/lib/pare/plugins/profiles
	$(O)/pare man > $(SHARE)/man/man1/pare.1
	install -m 644 plugins/profiles/*.profile $(DESTDIR)$(PREFIX)/lib/pare/plugins/profiles
	install -m 644 examples/fashion/* $(SHARE)/pare/examples/fashion

NETWORKS ?= $(foreach m,resnet20 resnet56 resnet8 resnet8_large kws_dscnn,$(wildcard $(SHARED)/models/$(m)))
bench-quantize: pare ## examples/quantize.md: what each rounding costs (needs python3 with onnxruntime)
	$(Q)$(or $(PYTHON),python3) tests/bench/quantize.py $(O)/pare examples/quantize.md $(NETWORKS)
bench-prune: pare ## examples/prune.md: what weights that go cost (needs python3 with onnxruntime)
	$(Q)$(or $(PYTHON),python3) tests/bench/prune.py $(O)/pare examples/prune.md $(NETWORKS)

clean:
	$(Q)rm -rf build pare
