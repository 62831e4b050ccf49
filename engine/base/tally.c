#include "esteem/tally.h"

#include <string.h>

#include "esteem/err.h"
#include "esteem/varint.h"

enum { SETTLE_SLACK = 128 /* unsettled bytes that are always let be */, LOG_SLACK = 1024 /* of one that is read once */ };

void tally_run_begin(struct tally_run *run)
{
    run->length = 0;
    run->last = 0;
}

void tally_run_put(struct tally_run *run, uint32_t id, int64_t value)
{
    if (value == 0)
        return;
    ensure(id >= run->last && run->length + 2 * VARINT_MAX < TALLY_RUN_MAX, "a run has ascending ids and a bounded length");
    uint8_t *at = varint_put(run->bytes + run->length, id + 1 - run->last);
    at = varint_put(at, zigzag(value));
    run->length = (uint32_t)(at - run->bytes);
    run->last = id + 1;
}

void tally_run_end(struct tally_run *run)
{
    run->bytes[run->length++] = 0;
}

/* Copies runs with every value's sign turned; returns the length, at most as long plus one byte a value. */
static uint32_t negate(const uint8_t *at, uint32_t length, uint8_t *out)
{
    const uint8_t *end = at + length;
    uint8_t *to = out;
    while (at < end) {
        for (uint64_t step, value; *at;) {
            at = varint_get(at, &step);
            at = varint_get(at, &value);
            to = varint_put(to, step);
            to = varint_put(to, zigzag(-unzigzag(value)));
        }
        *to++ = *at++;
    }
    return (uint32_t)(to - out);
}

void tally_run_negate(const struct tally_run *run, struct tally_run *negated)
{
    negated->length = negate(run->bytes, run->length, negated->bytes);
    negated->last = run->last;
}

__attribute__((cold, noinline)) static int64_t saturate(struct tally_dense *dense, int64_t a)
{
    dense->saturated++;
    return a < 0 ? -INT64_MAX : INT64_MAX;
}

/* Within -INT64_MAX .. INT64_MAX, so that every figure can change its sign. */
static inline void add_value(struct tally_dense *dense, uint32_t which, int64_t value)
{
    int64_t sum, before = dense->value[which];
    dense->touched[which / 64] |= UINT64_C(1) << which % 64;
    if (__builtin_add_overflow(before, value, &sum) || sum == INT64_MIN)
        sum = saturate(dense, before);
    dense->value[which] = sum;
}

void tally_dense_add(struct tally_dense *dense, const uint8_t *at, uint32_t length, int sign)
{
    const uint8_t *end = at + length;
    const int64_t turn = sign < 0 ? -1 : 0; /* (v ^ -1) - -1 is -v */
    while (at < end) {
        uint32_t id = 0;
        for (uint64_t step, value; *at; id += (uint32_t)step) {
            at = varint_get(at, &step);
            at = varint_get(at, &value);
            add_value(dense, id + (uint32_t)step - 1, (unzigzag(value) ^ turn) - turn);
        }
        at++;
    }
}

void tally_dense_add_mapped(struct tally_dense *dense, const uint8_t *at, uint32_t length, const uint16_t *map)
{
    const uint8_t *end = at + length;
    while (at < end) {
        uint32_t id = 0;
        for (uint64_t step, value; *at; id += (uint32_t)step) {
            at = varint_get(at, &step);
            at = varint_get(at, &value);
            uint16_t which = map[id + (uint32_t)step - 1];
            if (which == UINT16_MAX)
                continue;
            add_value(dense, which, unzigzag(value));
        }
        at++;
    }
}

void tally_dense_clear(struct tally_dense *dense)
{
    TALLY_DENSE_EACH(dense, id)
        dense->value[id] = 0;
    memset(dense->touched, 0, sizeof dense->touched);
}

/* Makes it longer; returns where its bytes are now. */
static uint8_t *lengthen(struct tally *tally, struct slab *slab, uint32_t length)
{
    bool inside = tally->length <= TALLY_INSIDE;
    if (length > TALLY_INSIDE && (inside || length > tally->block.capacity)) {
        uint32_t room = (uint32_t)slab_room(length > SLAB_LARGEST ? length + length / 2 : length);
        uint8_t *bytes = slab_take(slab, room);
        memcpy(bytes, tally_bytes(tally), tally->length);
        if (!inside)
            slab_give(slab, tally->block.bytes, tally->block.capacity);
        tally->block.bytes = bytes;
        tally->block.capacity = room;
    }
    tally->length = length;
    return length <= TALLY_INSIDE ? tally->inside : tally->block.bytes;
}

void tally_pack(struct tally *tally, struct slab *slab, struct tally_dense *dense)
{
    static _Thread_local uint8_t scratch[TALLY_IDS * (3 + VARINT_MAX) + 1];
    uint8_t *at = scratch;
    uint32_t last = 0;
    TALLY_DENSE_EACH(dense, id) {
        int64_t value = dense->value[id];
        dense->value[id] = 0;
        if (value == 0)
            continue;
        at = varint_put(at, id + 1 - last);
        at = varint_put(at, zigzag(value));
        last = id + 1;
    }
    memset(dense->touched, 0, sizeof dense->touched);
    if (at != scratch)
        *at++ = 0;
    uint32_t length = (uint32_t)(at - scratch);
    bool fits = tally->length > TALLY_INSIDE && length > TALLY_INSIDE && length <= tally->block.capacity &&
                slab_room(length) == tally->block.capacity;
    if (!fits)
        tally_free(tally, slab);
    tally->length = fits ? length : 0;
    memcpy(lengthen(tally, slab, length), scratch, length);
    tally->settled = length;
}

void tally_settle(struct tally *tally, struct slab *slab, struct tally_dense *dense)
{
    if (tally->settled == tally->length)
        return;
    tally_dense_add(dense, tally_bytes(tally), tally->length, 1);
    tally_pack(tally, slab, dense);
}

static void add(struct tally *tally, struct slab *slab, struct tally_dense *dense, const uint8_t *runs, uint32_t length, uint32_t slack)
{
    if (length <= 1)
        return;
    uint32_t before = tally->length;
    if (before + length - tally->settled > tally->settled + slack) {
        tally_dense_add(dense, tally_bytes(tally), before, 1);
        tally_dense_add(dense, runs, length, 1);
        tally_pack(tally, slab, dense);
        return;
    }
    memcpy(lengthen(tally, slab, before + length) + before, runs, length);
}

void tally_add(struct tally *tally, struct slab *slab, struct tally_dense *dense, const uint8_t *runs, uint32_t length)
{
    add(tally, slab, dense, runs, length, SETTLE_SLACK);
}

void tally_log(struct tally *tally, struct slab *slab, struct tally_dense *dense, const uint8_t *runs, uint32_t length)
{
    add(tally, slab, dense, runs, length, LOG_SLACK);
}

void tally_merge(struct tally *tally, struct slab *slab, struct tally_dense *dense, const struct tally *other, int sign)
{
    if (other->length == 0)
        return;
    if (sign > 0) {
        tally_add(tally, slab, dense, tally_bytes(other), other->length);
        return;
    }
    uint8_t negated[1024];
    if (other->length <= sizeof negated / 2) {
        tally_add(tally, slab, dense, negated, negate(tally_bytes(other), other->length, negated));
        return;
    }
    tally_dense_add(dense, tally_bytes(tally), tally->length, 1);
    tally_dense_add(dense, tally_bytes(other), other->length, -1);
    tally_pack(tally, slab, dense);
}

void tally_set(struct tally *tally, struct slab *slab, const struct tally_run *run)
{
    uint32_t length = tally_run_empty(run) ? 0 : run->length;
    if (tally->length > TALLY_INSIDE)
        tally_free(tally, slab);
    tally->length = 0;
    memcpy(lengthen(tally, slab, length), run->bytes, length);
    tally->settled = length;
}

int tally_is_zero(struct tally *tally, struct slab *slab, struct tally_dense *dense)
{
    tally_settle(tally, slab, dense);
    return tally->length == 0;
}

void tally_free(struct tally *tally, struct slab *slab)
{
    if (tally->length > TALLY_INSIDE)
        slab_give(slab, tally->block.bytes, tally->block.capacity);
    *tally = (struct tally){0};
}

static const uint8_t *varint_checked(const uint8_t *at, const uint8_t *end, uint64_t *value)
{
    *value = 0;
    for (unsigned shift = 0; at < end && shift < 64; shift += 7) {
        uint64_t byte = *at++;
        *value |= (byte & 0x7f) << shift;
        if (byte < 0x80)
            return at;
    }
    return NULL;
}

int tally_runs_valid(const uint8_t *at, uint32_t length)
{
    const uint8_t *end = at + length;
    while (at < end) {
        uint64_t id = 0, step, value;
        while (at < end && *at) {
            if ((at = varint_checked(at, end, &step)) == NULL || (at = varint_checked(at, end, &value)) == NULL)
                return 0;
            id += step;
            if (step > TALLY_IDS || id > TALLY_IDS)
                return 0;
        }
        if (at == end)
            return 0;
        at++;
    }
    return 1;
}
