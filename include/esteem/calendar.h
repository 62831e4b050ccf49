/* calendar: when a calendar window begins and ends, in an IANA time zone, daylight saving included. Zones are read from the
 * system's TZif files (with their rule for the years after the table) and never change the process's own zone.
 * A calendar belongs to one thread: it remembers what it was asked last. */
#ifndef ESTEEM_CALENDAR_H
#define ESTEEM_CALENDAR_H

#include <stdbool.h>
#include <stdint.h>

#include "esteem/config.h"

struct calendar;

/* `zone` is an IANA name such as "Asia/Kolkata". ERR_CONFIG when the system has no such zone. */
int calendar_new(const char *zone, struct calendar **calendar);
void calendar_free(struct calendar *calendar);

/* The window that holds an instant: [*start_ms, *end_ms). Hours are cut at zone transitions that are no whole hours; a day begins
 * at the first instant of its local date; weeks are ISO weeks. */
void calendar_bounds(struct calendar *calendar, enum calendar_window window, int64_t at_ms, int64_t *start_ms, int64_t *end_ms);

/* The first instant of a local date, in days since 1970; of a date that the zone skipped, that of the next. */
int64_t calendar_date_ms(const struct calendar *calendar, int64_t day);

/* The same local hour, day or week (no other window) of the week before the one that begins at start_ms. False: the zone skipped it. */
bool calendar_week_earlier(const struct calendar *calendar, enum calendar_window window, int64_t start_ms, int64_t *earlier_ms);

/* Seconds east of Greenwich at an instant (s since 1970). */
int32_t calendar_offset_s(const struct calendar *calendar, int64_t at_s);

#endif
