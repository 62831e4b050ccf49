/* span: a stretch of time that counts in every window by what of it lies there: an agent's states, segments. Spread over panes of a
 * second, one call would be hundreds of contributions; so a span [a, b) is two: "one more, at a" and "one less, at b". With N spans
 * open at a window's left edge L, n more than fewer inside it and s the sum of their instants with those signs, the window [L, R) holds
 *
 *     N (R - L) + n R - s        e.g. one span [12, 17) in [10, 20): 0 + (1 - 1) 20 - (12 - 17) = 5;  [5, 17): 10 + (-1) 20 + 17 = 7
 *
 * exactly, for spans that are still open too. Calendar windows take the milliseconds instead, cut at each quarter of an hour (UTC): no
 * calendar window of a zone in use since October 1979 begins or ends inside one. Any thread. */
#ifndef ESTEEM_SPAN_H
#define ESTEEM_SPAN_H

#include <stdint.h>

#include "esteem/tally.h"

enum span { SPAN_READY, SPAN_BUSY, SPAN_WRAP, SPAN_AWAY, SPAN_SEGMENT, SPAN_OVERLAP, SPAN_COUNT };
enum { SPAN_ON_FIRST = MEASURE_ready_on, SPAN_IDS_END = MEASURE_overlap_at + 1 };
_Static_assert((int)SPAN_IDS_END - (int)SPAN_ON_FIRST == 2 * (int)SPAN_COUNT, "a span has two inner measures");
_Static_assert((int)MEASURE_engaged_ms - (int)MEASURE_ready_ms == (int)SPAN_OVERLAP, "and one that is told");

static inline uint32_t span_on(enum span span)
{
    return SPAN_ON_FIRST + 2 * (uint32_t)span;
}

/* What a window [left_ms, right_ms) holds of a span's kind. */
static inline int64_t span_ms(int64_t before, int64_t on, int64_t at, int64_t left_ms, int64_t right_ms)
{
    return before * (right_ms - left_ms) + on * right_ms - at;
}

#define SPAN_OPEN INT64_MAX /* an end that is not known: counts in rolling windows alone */

/* Hands out what [from_ms, to_ms) contributes (sign 1), or takes away (-1), to each of `spans` (bits); `run` ends with its zero byte. */
typedef void span_each(void *context, int64_t anchor_ms, struct tally_run *run);
void span_put(uint32_t spans, int64_t from_ms, int64_t to_ms, int sign, span_each *each, void *context);
/* The end of spans that were open becomes known. */
void span_close(uint32_t spans, int64_t from_ms, int64_t to_ms, int sign, span_each *each, void *context);

#endif
