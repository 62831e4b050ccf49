/* What a rolling window [L, R) holds of spans: N (R - L) + n R - s (span.h). n and s lie in the window's sum like any figure; N, how many
 * are open at L, is added up in key->before as their ends pass the window's left edge. While n is not zero a span is open at R, and the
 * row is another with each slide: such keys are noted, a list a window, when their row is made. */
#include "fold_parts.h"

#include "esteem/varint.h"

static uint32_t before_id(int window, enum span span)
{
    return (uint32_t)window * SPAN_COUNT + (uint32_t)span;
}
_Static_assert((int)CONFIG_ROLLING_MAX * (int)SPAN_COUNT <= (int)TALLY_IDS, "before has an id a window and span");

/* How many spans these runs begin, less those that they end. */
static void read_on(const uint8_t *at, uint32_t length, int64_t *on)
{
    for (const uint8_t *end = at + length; at < end; at++) {
        uint64_t next = 0; /* the id + 1 */
        for (uint64_t step, packed; *at;) {
            at = varint_get(at, &step);
            at = varint_get(at, &packed);
            next += step;
            if (next > SPAN_ON_FIRST && next <= SPAN_IDS_END && (next - 1 - SPAN_ON_FIRST) % 2 == 0)
                on[(next - 1 - SPAN_ON_FIRST) / 2] += unzigzag(packed);
        }
    }
}

void spans_before(struct fold *fold, uint32_t k, uint32_t before, const uint8_t *runs, uint32_t length)
{
    int64_t on[SPAN_COUNT] = {0};
    struct tally_run run;
    read_on(runs, length, on);
    tally_run_begin(&run);
    for (int w = 0; w < fold->rolling_count; w++)
        for (enum span span = 0; span < SPAN_COUNT && before >> w & 1; span++)
            tally_run_put(&run, before_id(w, span), on[span]);
    tally_run_end(&run);
    if (tally_run_empty(&run))
        return;
    tally_add(&fold->key[k]->before, &fold->slab, &fold->dense, run.bytes, run.length);
    for (; before; before &= before - 1) /* also where nothing else of it lies within the window */
        outlets_rolling_changed(fold, k, __builtin_ctz(before));
}

/* How many are open at the window's left edge; whether any. */
static bool read_before(const struct key *key, int window, int64_t *before)
{
    const uint8_t *at = tally_bytes(&key->before), *end = at + key->before.length;
    bool any = false;
    memset(before, 0, SPAN_COUNT * sizeof *before);
    for (uint64_t id = 0, step, value; at < end; id = 0, at++)
        for (; *at; id += step) {
            at = varint_get(at, &step);
            at = varint_get(at, &value);
            uint64_t which = id + step - 1 - before_id(window, 0);
            if (which >= SPAN_COUNT) /* of another window: below it, it wraps */
                continue;
            before[which] += unzigzag(value);
            any = true;
        }
    return any;
}

void spans_leave_out(struct fold *fold)
{
    for (uint32_t id = SPAN_ON_FIRST; id < SPAN_IDS_END; id++)
        fold->dense.value[id] = 0;
}

static bool any_span(const struct tally_dense *dense)
{
    bool any = false;
    for (uint32_t id = MEASURE_ready_ms; id < SPAN_IDS_END; id++)
        any |= dense->touched[id / 64] >> id % 64 & 1;
    return any;
}

static void show(struct tally_dense *dense, uint32_t id, int64_t ms)
{
    dense->touched[id / 64] |= UINT64_C(1) << id % 64;
    dense->value[id] = ms;
}

bool spans_show(struct fold *fold, const struct key *key, int window)
{
    const struct pane_edges *edges = pane_edges(fold->ladder, window);
    struct tally_dense *dense = &fold->dense;
    int64_t before[SPAN_COUNT], ms[SPAN_COUNT];
    bool moves = false;
    if (!read_before(key, window, before) && !any_span(dense))
        return false;
    for (enum span span = 0; span < SPAN_COUNT; span++) {
        int64_t on = dense->value[span_on(span)];
        ms[span] = span_ms(before[span], on, dense->value[span_on(span) + 1], edges->left_ms, edges->right_ms);
        moves |= on != 0;
    }
    spans_leave_out(fold);
    for (enum span span = 0; span <= SPAN_SEGMENT; span++)
        show(dense, MEASURE_ready_ms + (uint32_t)span, ms[span]);
    show(dense, MEASURE_engaged_ms, ms[SPAN_SEGMENT] - ms[SPAN_OVERLAP]);
    return moves;
}

void spans_move(struct fold *fold, uint32_t k, int window)
{
    struct key *key = fold->key[k];
    if (fold->setup.batch || key->moving >> window & 1)
        return;
    key->moving |= (uint16_t)(1u << window);
    if (fold->moving[window].count == fold->moving[window].room) {
        fold->moving[window].room = fold->moving[window].room ? fold->moving[window].room * 2 : 64;
        fold->moving[window].key = fold_must(realloc(fold->moving[window].key, fold->moving[window].room * sizeof k));
    }
    fold->moving[window].key[fold->moving[window].count++] = k;
}

void spans_moved(struct fold *fold, int window)
{
    for (uint32_t i = 0; i < fold->moving[window].count; i++) {
        uint32_t k = fold->moving[window].key[i];
        fold->key[k]->moving &= (uint16_t)~(1u << window);
        outlets_rolling_changed(fold, k, window);
    }
    fold->moving[window].count = 0;
}

void spans_close(struct fold *fold)
{
    for (int w = 0; w < CONFIG_ROLLING_MAX; w++)
        free(fold->moving[w].key);
}
