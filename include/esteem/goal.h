/* goal: a row held against the goals and leaderboards of a configuration that are about it. Pure functions; any thread. */
#ifndef ESTEEM_GOAL_H
#define ESTEEM_GOAL_H

#include <stdbool.h>

#include "esteem/config.h"
#include "esteem/row.h"

/* Whether the row is of this scope and window. */
bool goal_place_is(const struct config_place *place, const struct row *row);
/* Whether the goal is about the row: its place, and the values that it asks for. */
bool goal_is_about(const struct config_goal *goal, const struct row *row);
/* Whether the row tells how things stand now: a rolling one, or the calendar window that runs; with when_closed the last one closed. */
bool goal_is_present(bool when_closed, const struct row *row);
/* The same of a goal. A running window says nothing of employees' figures, which do not leave before it is final, and of counts that have to be
 * reached; one of which a part is missing (row.since_ms) says nothing of the latter either. */
bool goal_is_judged(const struct config_goal *goal, const struct row *row);

/* By which `per: day` divides. Days have 23 to 25 hours: `whole` ones, of a calendar window of a day or longer, are counted. */
double goal_days(bool whole, int64_t start_ms, int64_t end_ms);

struct goal_figure {
    bool present; /* false: the row has no such figure */
    bool small;   /* n below metrics.min_n; a measure never is */
    bool met;
    double value; /* in the unit of the target */
    double attainment; /* 100 value / target */
    int64_t n;    /* of a measure: itself */
};
/* The view's metrics have been worked out; the goal is about its row. E.g. csat 75 of 80, up: 93.75, not met; aht_ms 150,000 of
 * 200,000, down: 75, met. */
struct goal_figure goal_of(const struct config_goal *goal, const struct row_view *view);
/* How far it is missed, in per cent of the target: 0 or less where it is met. */
double goal_shortfall(const struct config_goal *goal, double attainment);

#endif
