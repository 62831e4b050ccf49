/* explain: a row's figure in words that a supervisor understands: what it means, its formula with the row's integers, from when to
 * when, which settings matter, what was left out, and where to look further. Any thread. */
#ifndef ESTEEM_EXPLAIN_H
#define ESTEEM_EXPLAIN_H

#include <stdio.h>

#include <jv.h>

#include "esteem/config.h"

/* The other rows that a figure is told with: those of the row's channels, of the days in its window. */
enum explain_others { EXPLAIN_ALONE, EXPLAIN_CHANNELS, EXPLAIN_DAYS };
enum explain_others explain_wants(const char *name, const struct config *config);

/* `row` and `others` are borrowed; `name` is a metric, a measure, METRIC_change or goal.NAME; `others` is an array of what explain_wants
 * says, or null: not at hand; `config` may be NULL: then settings are not told, and the defaults serve the formula.
 * ERR_DATA when it is no row, ERR_USAGE when there is no such metric, measure or, with `config`, goal. */
int explain_row(jv row, jv others, const char *name, const struct config *config, FILE *out);

#endif
