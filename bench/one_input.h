/* one_input: what a source of one input that is always ready answers, for the benches' own sources. */
#ifndef ESTEEM_BENCH_ONE_INPUT_H
#define ESTEEM_BENCH_ONE_INPUT_H

#include <stdbool.h>

static bool always_ready(void *state)
{
    (void)state;
    return true;
}

static int one_input(void *state)
{
    (void)state;
    return 1;
}

#endif
