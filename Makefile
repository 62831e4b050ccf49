# esteem. `make` builds build/release/esteem, `make demo` shows it, `make test` proves it. No recursion: objects live in
# build/$(MODE)/, so that sanitizer builds never mix with release.
MODE     ?= release
B        := build/$(MODE)
PREFIX   ?= /usr/local
CC       ?= gcc
CXX      ?= g++

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
LDLIBS   += -lrdkafka -lhiredis -lyaml -ljq -lxxhash -lzstd -lsimdjson -lm -lstdc++

SRC      := $(wildcard engine/*.c engine/*/*.c)
SRCXX    := $(wildcard engine/*/*.cc)
OBJ      := $(SRC:%.c=$(B)/%.o) $(SRCXX:%.cc=$(B)/%.o)
LIBOBJ   := $(filter-out $(B)/engine/main.o,$(OBJ))

.PHONY: all clean
all: $(B)/esteem

$(B)/esteem: $(OBJ)
	$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS)

$(B)/engine/main.o: CFLAGS += -DESTEEM_COMMIT='"$(COMMIT)"'

$(B)/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) -MMD -MP -c -o $@ $<

$(B)/%.o: %.cc
	@mkdir -p $(@D)
	$(CXX) $(CXXFLAGS) -MMD -MP -c -o $@ $<

-include $(OBJ:.o=.d)

clean:
	rm -rf build
