#include "esteem/publisher.h"

#include <stdlib.h>

#include "esteem/err.h"

enum { ROWS_A_STEP = 2048 };

void publisher_init(struct publisher *publisher, const struct sink *sink, int folds)
{
    *publisher = (struct publisher){.sink = *sink, .rings = folds};
    publisher->ring = aligned_alloc(64, (size_t)folds * sizeof *publisher->ring);
    ensure(publisher->ring != NULL, "the machine has memory left");
    for (int f = 0; f < folds; f++)
        ring_init(&publisher->ring[f], PUBLISHER_RING);
}

void publisher_close(struct publisher *publisher)
{
    row_free(publisher->held);
    for (int f = 0; f < publisher->rings; f++) {
        for (struct row *row; (row = ring_pop_spsc(&publisher->ring[f])) != NULL;)
            row_free(row);
        ring_close(&publisher->ring[f]);
    }
    free(publisher->ring);
}

/* False: the sink has no room. */
static bool offer(struct publisher *publisher, struct row *row)
{
    if (publisher->sink.put(publisher->sink.state, row) != SINK_TAKEN) {
        publisher->held = row;
        return false;
    }
    publisher->taken++;
    if (publisher->probe == 0) {
        publisher->probe = publisher->taken;
        publisher->probe_ms = row->made_ms;
    }
    row_free(row);
    return true;
}

static int take_rows(struct publisher *publisher)
{
    int done = 0;
    struct row *row = publisher->held;
    publisher->held = NULL;
    if (row && !offer(publisher, row))
        return 0;
    done += row != NULL;
    for (int f = 0; f < publisher->rings && done < ROWS_A_STEP; f++)
        while (done < ROWS_A_STEP && (row = ring_pop_spsc(&publisher->ring[f])) != NULL) {
            if (!offer(publisher, row))
                return done;
            done++;
        }
    return done;
}

/* What a connection took that is gone now was not confirmed: all is written again under the next generation. */
static void look_at_probe(struct publisher *publisher, int64_t now_ms)
{
    const struct sink *sink = &publisher->sink;
    bool lost = sink->generation(sink->state) != publisher_generation(publisher);
    if (publisher->probe == 0 || (!lost && publisher->taken < publisher->probe + sink->pending(sink->state)))
        return;
    if (!lost)
        timing_note(&publisher->publish, (now_ms - publisher->probe_ms) * 1000, now_ms);
    publisher->probe = 0;
}

int publisher_step(struct publisher *publisher, int64_t now_ms)
{
    struct sink *sink = &publisher->sink;
    int done = take_rows(publisher);
    if (done)
        sink->batch_end(sink->state, now_ms);
    int moved = sink->step(sink->state, now_ms);
    look_at_probe(publisher, now_ms);
    bool empty = publisher->held == NULL && sink->pending(sink->state) == 0;
    for (int f = 0; f < publisher->rings; f++)
        empty &= ring_count(&publisher->ring[f]) == 0;
    atomic_store_explicit(&publisher->generation, sink->generation(sink->state), memory_order_release);
    atomic_fetch_add_explicit(&publisher->rows, (uint64_t)done, memory_order_relaxed);
    /* release: whoever sees this step sees how it ended, and the generation that asks for rows that were lost on the way */
    atomic_store_explicit(&publisher->empty, empty, memory_order_relaxed);
    atomic_fetch_add_explicit(&publisher->steps, 1, memory_order_release);
    return done + moved;
}

bool publisher_empty(const struct publisher *publisher, uint64_t *steps)
{
    /* acquire: partner of the step's release */
    *steps = atomic_load_explicit(&publisher->steps, memory_order_acquire);
    return atomic_load_explicit(&publisher->empty, memory_order_relaxed);
}
