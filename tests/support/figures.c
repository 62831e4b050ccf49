#include "support/figures.h"


const struct tally_run *run_of2(uint32_t id, int64_t value, uint32_t id2, int64_t value2)
{
    static _Thread_local struct tally_run runs[4];
    static _Thread_local unsigned next;
    struct tally_run *run = &runs[next++ % 4];
    tally_run_begin(run);
    tally_run_put(run, id, value);
    tally_run_put(run, id2, value2);
    tally_run_end(run);
    return run;
}

const struct tally_run *run_of(uint32_t id, int64_t value)
{
    return run_of2(id, value, TALLY_IDS - 1, 0);
}

int64_t figure_in(const uint8_t *runs, uint32_t length, uint32_t id)
{
    static _Thread_local struct tally_dense dense;
    if (length == 0)
        return 0;
    tally_dense_add(&dense, runs, length, 1);
    int64_t value = dense.value[id];
    tally_dense_clear(&dense);
    return value;
}

uint64_t chance_next(struct chance *chance)
{
    uint64_t x = chance->state ? chance->state : 0x9e3779b97f4a7c15;
    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    chance->state = x;
    return x * 0x2545f4914f6cdd1d;
}
