/* times: lengths of time in milliseconds, and an hour to begin in, for tests. */
#ifndef ESTEEM_TEST_TIMES_H
#define ESTEEM_TEST_TIMES_H

#include <stdint.h>

#define S INT64_C(1000)
#define MIN (60 * S)
#define H (60 * MIN)
#define DAY (24 * H)
#define T INT64_C(1795356000000) /* 2026-11-22T14:00:00Z */

#endif
