# esteem. `make` builds build/release/esteem, `make demo` shows it, `make test` proves it. No recursion: objects live in
# build/$(MODE)/, so that sanitizer builds never mix with release.
MODE     ?= release
BUILD    ?= build
B        := $(BUILD)/$(MODE)
PREFIX   ?= /usr/local
ifeq ($(origin CC),default)
CC       := gcc
endif
ifeq ($(origin CXX),default)
CXX      := g++
endif

COMMIT   := $(shell git rev-parse --short=12 HEAD 2>/dev/null || echo unknown)$(shell git diff --quiet HEAD 2>/dev/null || echo -dirty)
WARN     := -Wall -Wextra -Wpedantic -Wshadow -Wconversion
COMMON   := -D_GNU_SOURCE -Iinclude -g -fno-omit-frame-pointer -pthread $(if $(WERROR),-Werror)
ifeq ($(MODE),release)
OPT      := -O2 -fno-tree-slp-vectorize
else ifeq ($(MODE),debug)
OPT      := -O1 -DESTEEM_DEBUG
else ifeq ($(MODE),asan)
OPT      := -O1 -DESTEEM_DEBUG -fsanitize=address,undefined -fno-sanitize-recover=undefined
else ifeq ($(MODE),tsan)
OPT      := -O1 -DESTEEM_DEBUG -fsanitize=thread
endif
CFLAGS   += -std=c11 -Iengine $(OPT) $(WARN) -Wstrict-prototypes $(COMMON)
CXXFLAGS += -std=c++17 $(OPT) $(WARN) $(COMMON)
LDFLAGS  += -pthread $(filter -fsanitize=%,$(OPT))
LDLIBS   += -lrdkafka -lhiredis -lyaml -ljq -lxxhash -lzstd -lsimdjson -lmicrohttpd -lm -lstdc++

SRC      := $(wildcard engine/*.c engine/*/*.c)
SRCXX    := $(wildcard engine/*/*.cc)
OBJ      := $(SRC:%.c=$(B)/%.o) $(SRCXX:%.cc=$(B)/%.o)
LIBOBJ   := $(filter-out $(B)/engine/main.o,$(OBJ))

.PHONY: demo bench bench-peers all clean check test test-deep unit golden reference statistics planted layers race asan compdb install format
all: $(B)/esteem

$(B)/esteem: $(OBJ)
	$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS)

# main.o names the commit: it is made anew when that changes.
$(shell mkdir -p $(B) && echo '$(COMMIT)' | cmp -s - $(B)/commit || echo '$(COMMIT)' > $(B)/commit)
$(B)/engine/main.o: $(B)/commit
$(B)/engine/main.o: CFLAGS += -DESTEEM_COMMIT='"$(COMMIT)"'

$(B)/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) -MMD -MP -c -o $@ $<

$(B)/%.o: %.cc
	@mkdir -p $(@D)
	$(CXX) $(CXXFLAGS) -MMD -MP -c -o $@ $<

# ---- tests: tests/run runs suites and sums up; the sanitizers' objects are made by a second make with another MODE ----

UNIT     := $(patsubst tests/unit/%.c,$(B)/tests/unit/%,$(wildcard tests/unit/test_*.c))
RACE     := $(patsubst tests/race/%.c,$(B)/tests/race/%,$(wildcard tests/race/race_*.c))
SUPPORT  := $(patsubst %.c,$(B)/%.o,$(wildcard tests/support/*.c))
TESTOBJ  := $(UNIT:=.o) $(RACE:=.o) $(SUPPORT)
$(TESTOBJ): CFLAGS += -Itests
.SECONDARY: $(TESTOBJ)

# Archives, so that a test is linked with what it uses only.
$(B)/libesteem.a: $(LIBOBJ)
$(B)/libsupport.a: $(SUPPORT)
$(B)/lib%.a:
	@rm -f $@
	ar rcs $@ $^

$(UNIT): $(B)/tests/unit/%: $(B)/tests/unit/%.o $(B)/libsupport.a $(B)/libesteem.a
	$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS) -lcriterion
$(RACE): $(B)/tests/race/%: $(B)/tests/race/%.o $(B)/libsupport.a $(B)/libesteem.a
	$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS)

.PHONY: unit-programs race-programs
unit-programs: $(UNIT)
race-programs: $(RACE)

# Seconds: for every change.
check:
	@deploy/install-deps.sh --test
	$(MAKE) MODE=release all unit-programs
	BUILD=$(BUILD) tests/run layers unit-short golden reference-short
# Everything, on a machine that may have nothing yet.
test:
	deploy/install-deps.sh --test
	$(MAKE) MODE=release all unit-programs
	$(MAKE) MODE=asan all unit-programs
	$(MAKE) MODE=tsan race-programs
	BUILD=$(BUILD) tests/run layers unit golden reference statistics planted race asan system
# Hours: faults by the thousand. The first round that fails ends it, with its seed.
TORTURE_ROUNDS ?= 50
TORTURE_EVENTS ?= 2000000
TORTURE_SEED   ?= 1
TORTURE_JOBS   ?= 1
TORTURE_FEEDS  ?= 5
test-deep: $(B)/esteem
	ESTEEM=$(B)/esteem tests/system/long_replay.sh
	ESTEEM=$(B)/esteem TORTURE_ROUNDS=$(TORTURE_ROUNDS) TORTURE_EVENTS=$(TORTURE_EVENTS) TORTURE_SEED=$(TORTURE_SEED) TORTURE_JOBS=$(TORTURE_JOBS) TORTURE_FEEDS=$(TORTURE_FEEDS) \
		TORTURE_RATE=50000 TORTURE_FAULTS=30 TORTURE_LIMIT_S=3600 tests/system/torture.sh
unit: unit-programs
	BUILD=$(BUILD) tests/run unit
layers:
	BUILD=$(BUILD) tests/run layers
golden: $(B)/esteem
	BUILD=$(BUILD) tests/run golden
reference: $(B)/esteem
	BUILD=$(BUILD) tests/run reference
statistics: $(B)/esteem
	BUILD=$(BUILD) tests/run statistics
planted: $(B)/esteem
	BUILD=$(BUILD) tests/run planted
race:
	$(MAKE) MODE=tsan race-programs
	BUILD=$(BUILD) tests/run race
asan:
	$(MAKE) MODE=asan all unit-programs
	BUILD=$(BUILD) tests/run asan

# ---- to look at, and to measure ----

# The main job on this machine alone. DEMO_SECONDS=20 ends it by itself.
demo:
	@deploy/install-deps.sh
	@$(MAKE) --no-print-directory MODE=release all
	@$(B)/esteem demo

BENCH    := $(patsubst bench/%.c,$(B)/bench/%,$(wildcard bench/*.c))
$(BENCH): $(B)/bench/%: $(B)/bench/%.o $(B)/libesteem.a
	$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS)
.SECONDARY: $(BENCH:=.o)
# One table: figure, goal, reached, ratio. bench/bench.py says how; SECTIONS="wire stages" runs only those.
bench:
	deploy/install-deps.sh --test --bench
	$(MAKE) MODE=release all bench-programs
	bench/bench.py $(SECTIONS)
# Beside Kafka Streams, Flink and timely dataflow: PEERS=FOLDER holds their programs (bench/peers.py --help).
bench-peers:
	deploy/install-deps.sh --test --bench
	$(MAKE) MODE=release all bench-programs
	bench/peers.py --peers "$(PEERS)"
.PHONY: bench-programs
bench-programs: $(BENCH)

# ---- the rest ----

# What an editor's language server reads.
compdb:
	@python3 -c 'import json, os, sys; print(json.dumps([{"directory": os.getcwd(), "file": f, \
	"command": ("$(CXX) $(CXXFLAGS)" if f.endswith(".cc") else "$(CC) $(CFLAGS) -Itests") + " -c " + f} for f in sys.argv[1:]], indent=1))' \
	$(SRC) $(SRCXX) $(wildcard tests/*/*.c bench/*.c) > compile_commands.json

install: $(B)/esteem
	install -Dm755 $(B)/esteem $(DESTDIR)$(PREFIX)/bin/esteem
	install -Dm644 deploy/esteem.yaml $(DESTDIR)$(PREFIX)/share/esteem/esteem.yaml
	install -d $(DESTDIR)$(PREFIX)/share/esteem/mappings
	$(if $(wildcard schemas/mappings/*.jq),install -m644 $(wildcard schemas/mappings/*.jq) $(DESTDIR)$(PREFIX)/share/esteem/mappings)

format:
	clang-format -i $(SRC) $(wildcard engine/*/*.h include/esteem/*.h tests/*/*.c tests/*/*.h)

-include $(OBJ:.o=.d) $(TESTOBJ:.o=.d) $(BENCH:=.d)

clean:
	rm -rf $(BUILD)

# The documents that are made from the tables; tests/schemas.sh says whether they are up to date.
.PHONY: schemas
schemas: $(B)/esteem
	@cd schemas && for pair in events:event.schema.json row:row.schema.json config:config.schema.json options:options.md \
	metrics:metrics.md redis:redis-keys.md observe:observe.md; do $(abspath $(B))/esteem schema $${pair%%:*} > $${pair#*:} || exit 1; done
