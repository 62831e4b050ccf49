#include "esteem/span.h"

enum { QUARTER_MS = 900000 };

static int64_t quarter_end(int64_t at_ms)
{
    return (at_ms / QUARTER_MS - (at_ms % QUARTER_MS < 0) + 1) * QUARTER_MS;
}

/* A segment is engaged time too; what an agent's segments overlap is so much less of it. */
static void put_ms(struct tally_run *run, uint32_t spans, int64_t ms)
{
    for (uint32_t left = spans & ~(1u << SPAN_OVERLAP); left; left &= left - 1)
        tally_run_put(run, MEASURE_ready_ms + (uint32_t)__builtin_ctz(left), ms);
    tally_run_put(run, MEASURE_engaged_ms, ms * ((int)(spans >> SPAN_SEGMENT & 1) - (int)(spans >> SPAN_OVERLAP & 1)));
}

static void put_on(struct tally_run *run, uint32_t spans, int64_t at_ms, int sign)
{
    for (uint32_t left = spans; left; left &= left - 1) {
        uint32_t on = span_on((enum span)__builtin_ctz(left));
        tally_run_put(run, on, sign);
        tally_run_put(run, on + 1, sign * at_ms);
    }
}

static int64_t piece_end(int64_t from_ms, int64_t to_ms)
{
    int64_t end_ms = quarter_end(from_ms);
    return end_ms < to_ms ? end_ms : to_ms;
}

static void hand_out(int64_t anchor_ms, struct tally_run *run, span_each *each, void *context)
{
    tally_run_end(run);
    if (!tally_run_empty(run))
        each(context, anchor_ms, run);
}

static void pieces(uint32_t spans, int64_t from_ms, int64_t to_ms, int sign, span_each *each, void *context)
{
    for (int64_t end_ms; from_ms < to_ms; from_ms = end_ms) {
        struct tally_run run;
        end_ms = piece_end(from_ms, to_ms);
        tally_run_begin(&run);
        put_ms(&run, spans, sign * (end_ms - from_ms));
        hand_out(from_ms, &run, each, context);
    }
}

static void end(uint32_t spans, int64_t to_ms, int sign, span_each *each, void *context)
{
    struct tally_run run;
    tally_run_begin(&run);
    put_on(&run, spans, to_ms, -sign);
    hand_out(to_ms, &run, each, context);
}

void span_put(uint32_t spans, int64_t from_ms, int64_t to_ms, int sign, span_each *each, void *context)
{
    bool open = to_ms == SPAN_OPEN;
    struct tally_run run;
    if (to_ms <= from_ms)
        return;
    int64_t first_ms = open ? from_ms : piece_end(from_ms, to_ms);
    tally_run_begin(&run);
    put_ms(&run, spans, sign * (first_ms - from_ms));
    put_on(&run, spans, from_ms, sign);
    hand_out(from_ms, &run, each, context);
    if (open)
        return;
    pieces(spans, first_ms, to_ms, sign, each, context);
    end(spans, to_ms, sign, each, context);
}

void span_close(uint32_t spans, int64_t from_ms, int64_t to_ms, int sign, span_each *each, void *context)
{
    pieces(spans, from_ms, to_ms, sign, each, context);
    end(spans, to_ms, sign, each, context);
}
