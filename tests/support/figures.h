/* figures: small runs of integers for tests, and reading them back. */
#ifndef ESTEEM_TEST_FIGURES_H
#define ESTEEM_TEST_FIGURES_H

#include <stdint.h>

#include "esteem/tally.h"

/* A run of one or two figures; the returned run is static and lives until the next-but-three call. */
const struct tally_run *run_of(uint32_t id, int64_t value);
const struct tally_run *run_of2(uint32_t id, int64_t value, uint32_t id2, int64_t value2);

/* The sum under an id in packed runs. */
int64_t figure_in(const uint8_t *runs, uint32_t length, uint32_t id);
static inline int64_t figure(const struct tally *tally, uint32_t id)
{
    return figure_in(tally_bytes(tally), tally->length, id);
}

/* A seeded generator: the same numbers in every run (xorshift64*). */
struct chance {
    uint64_t state;
};
uint64_t chance_next(struct chance *chance);
/* 0 .. below - 1 */
static inline int64_t chance_below(struct chance *chance, int64_t below)
{
    return (int64_t)(chance_next(chance) % (uint64_t)below);
}

#endif
