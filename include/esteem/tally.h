/* tally: a sparse vector of signed integers by id (measure.h), the one form in which figures are added, carried, merged and
 * kept: a combine cell, a batch, a pane, a window. It is an append log of packed differences that settles when it has
 * doubled: adding copies a few bytes, settling adds equal ids up and drops zeros. So an add costs the same however full
 * the window is, and an agent's pane of twenty measures takes about 60 bytes.
 *
 *   run: { varint(id - previous id) , zigzag varint(value) } ... 0        tally: settled run, run, run, ...
 *
 * Bounded: a settled tally holds at most TALLY_IDS entries. Runs on: the thread that owns its slab. */
#ifndef ESTEEM_TALLY_H
#define ESTEEM_TALLY_H

#include <stdint.h>
#include <string.h>

#include "esteem/measure.h"
#include "esteem/slab.h"

enum { TALLY_INSIDE = 16 }; /* so short a tally needs no block: an agent's within a key */
struct tally {
    uint32_t length, settled; /* settled: of the first run */
    union {
        uint8_t inside[TALLY_INSIDE];
        struct {
            uint8_t *bytes;
            uint32_t capacity;
        } block; /* when it is longer than that */
    };
};

static inline const uint8_t *tally_bytes(const struct tally *tally)
{
    return tally->length <= TALLY_INSIDE ? tally->inside : tally->block.bytes;
}

/* Runs that lie elsewhere, as a tally to be read: nobody writes to it. */
static inline struct tally tally_view(const uint8_t *runs, uint32_t length)
{
    struct tally view = {.length = length, .settled = length};
    if (length <= TALLY_INSIDE)
        memcpy(view.inside, runs, length);
    else
        view.block.bytes = (uint8_t *)(uintptr_t)runs;
    return view;
}

/* A dense vector to settle in and to read from; one a thread. All zero between uses. */
struct tally_dense {
    uint64_t touched[(TALLY_IDS + 63) / 64];
    int64_t value[TALLY_IDS];
    uint64_t saturated; /* sums that would have left int64: kept at its end, counted */
};

/* One run under construction: ids in ascending order. */
enum { TALLY_RUN_MAX = 1024 };
struct tally_run {
    uint32_t length, last; /* last id + 1 */
    uint8_t bytes[TALLY_RUN_MAX];
};

void tally_run_begin(struct tally_run *run);
void tally_run_put(struct tally_run *run, uint32_t id, int64_t value); /* id above the last one; 0 is left out */
void tally_run_end(struct tally_run *run);
/* The same ids with the other sign. */
void tally_run_negate(const struct tally_run *run, struct tally_run *negated);
static inline int tally_run_empty(const struct tally_run *run)
{
    return run->length <= 1;
}

/* Appends runs (whole ones) and settles when that pays. */
void tally_add(struct tally *tally, struct slab *slab, struct tally_dense *dense, const uint8_t *runs, uint32_t length);
/* The same for one that is read once, soon: it settles late. */
void tally_log(struct tally *tally, struct slab *slab, struct tally_dense *dense, const uint8_t *runs, uint32_t length);
/* Adds `other`, or takes it away when sign is -1. Both append and settle when that pays. */
void tally_merge(struct tally *tally, struct slab *slab, struct tally_dense *dense, const struct tally *other, int sign);
void tally_settle(struct tally *tally, struct slab *slab, struct tally_dense *dense);
/* Packs a dense vector into the tally, in place of what it holds, and clears the vector. */
void tally_pack(struct tally *tally, struct slab *slab, struct tally_dense *dense);
/* Puts a run in place of what the tally holds. */
void tally_set(struct tally *tally, struct slab *slab, const struct tally_run *run);
/* Whether nothing but zeros is in it; settles. */
int tally_is_zero(struct tally *tally, struct slab *slab, struct tally_dense *dense);
void tally_free(struct tally *tally, struct slab *slab);

/* Adds runs into a dense vector. */
void tally_dense_add(struct tally_dense *dense, const uint8_t *runs, uint32_t length, int sign);
/* The same, id i counting as map[i]; UINT16_MAX leaves it out. */
void tally_dense_add_mapped(struct tally_dense *dense, const uint8_t *runs, uint32_t length, const uint16_t *map);
/* Sets all that was touched to zero again. */
void tally_dense_clear(struct tally_dense *dense);
/* Calls for each id that is not zero, ascending, and clears. */
#define TALLY_DENSE_EACH(dense, id)                                                                                    \
    for (uint32_t word_ = 0; word_ < sizeof (dense)->touched / sizeof *(dense)->touched; word_++)                      \
        for (uint64_t bits_ = (dense)->touched[word_]; bits_; bits_ &= bits_ - 1)                                      \
            for (uint32_t id = word_ * 64 + (uint32_t)__builtin_ctzll(bits_), once_ = 1; once_; once_ = 0)

/* Whether `length` bytes are whole, well-formed runs: for bytes that come from outside. */
int tally_runs_valid(const uint8_t *runs, uint32_t length);

#endif
