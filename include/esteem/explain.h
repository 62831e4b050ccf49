/* explain: a row's figure in words that a supervisor understands: what it means, its formula with the row's integers, from when to
 * when, which settings matter, what was left out, and where to look further. Any thread. */
#ifndef ESTEEM_EXPLAIN_H
#define ESTEEM_EXPLAIN_H

#include <stdbool.h>
#include <stdio.h>

#include <jv.h>

#include "esteem/config.h"

/* `row` and `channels` are borrowed; `name` is a metric, a measure, METRIC_change or goal.NAME; `channels`, an array of the rows of the
 * row's channels, or null, serves the gaps alone; `config` may be NULL: then settings are not told, and the defaults serve the formula.
 * ERR_DATA when it is no row, ERR_USAGE when there is no such metric, measure or, with `config`, goal. */
int explain_row(jv row, jv channels, const char *name, const struct config *config, FILE *out);
/* Whether the figure compares the row's channels. */
bool explain_wants_channels(const char *name);

#endif
