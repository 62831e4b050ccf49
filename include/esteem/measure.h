/* measure: the ids of all that a window can hold. A window is a sparse vector of signed integers: ids below MEASURE_COUNT are
 * the measures of measures.def, above them the buckets of the two histograms. So a count and a percentile's bucket are
 * added, retracted, merged and stored by one piece of code (tally.h). */
#ifndef ESTEEM_MEASURE_H
#define ESTEEM_MEASURE_H

#include <stdbool.h>
#include <stdint.h>

enum measure {
#define MEASURE(name, families, meaning) MEASURE_##name,
#include "esteem/measures.def"
#undef MEASURE
    MEASURE_COUNT
};

enum histogram { HISTOGRAM_wait, HISTOGRAM_handle, HISTOGRAM_COUNT };

enum {
    HISTOGRAM_BUCKETS = 1024,  /* 960 are enough for 93 d in ms */
    HISTOGRAM_FIRST_ID = 256,  /* measures stay below */
    TALLY_IDS = HISTOGRAM_FIRST_ID + HISTOGRAM_COUNT * HISTOGRAM_BUCKETS
};
_Static_assert((int)MEASURE_COUNT <= (int)HISTOGRAM_FIRST_ID, "measures and histogram buckets share one range of ids");

enum family { FAMILY_CSAT, FAMILY_NPS, FAMILY_AHT, FAMILY_SERVICE, FAMILY_CONTACT, FAMILY_USAGE, FAMILY_SALES, FAMILY_EMPLOYEE, FAMILY_COUNT };

extern const char *const measure_names[MEASURE_COUNT];
extern const char *const measure_meanings[MEASURE_COUNT];
extern const uint8_t measure_families[MEASURE_COUNT]; /* bit: enum family */
extern const char *const histogram_names[HISTOGRAM_COUNT];
extern const char *const family_names[FAMILY_COUNT];  /* "csat", ...: the metric topic's name */

/* Whether it is a gauge of the present (now.h): in a row of its own, in no window. */
static inline bool measure_is_now(enum measure measure)
{
    return measure >= MEASURE_waiting && measure <= MEASURE_agents_away;
}

/* Whether the privacy rule of SEMANTICS 5 withholds this measure. */
bool measure_is_employee(enum measure measure);

/* Bucket of a duration: v < 64 ms in bucket v, above that 32 equal sub-buckets an octave.
 * E.g. 63 -> 63, 64 and 65 -> 64, 126 and 127 -> 95, 128..131 -> 96. */
static inline uint32_t histogram_bucket(int64_t ms)
{
    uint64_t v = ms < 0 ? 0 : (uint64_t)ms;
    if (v < 64)
        return (uint32_t)v;
    uint32_t octave = 63 - (uint32_t)__builtin_clzll(v);
    return 64 + (octave - 6) * 32 + ((uint32_t)(v >> (octave - 5)) - 32);
}

static inline uint32_t histogram_id(enum histogram histogram, uint32_t bucket)
{
    return HISTOGRAM_FIRST_ID + (uint32_t)histogram * HISTOGRAM_BUCKETS + bucket;
}

int64_t histogram_low_ms(uint32_t bucket);    /* lower bound */
int64_t histogram_middle_ms(uint32_t bucket); /* low + half the width, a half millisecond cut; relative error <= 1.6 % */

#endif
