/* explain: a row's figure in words that a supervisor understands: what it means, its formula with the row's integers, from when to
 * when, which settings matter, what was left out, and where to look further. Any thread. */
#ifndef ESTEEM_EXPLAIN_H
#define ESTEEM_EXPLAIN_H

#include <stdio.h>

#include <jv.h>

#include "esteem/config.h"

/* `row` is borrowed; `name` is a metric or a measure; `config` may be NULL: then settings are not told, and the defaults serve the
 * formula. ERR_DATA when it is no row, ERR_USAGE when there is no such metric or measure. */
int explain_row(jv row, const char *name, const struct config *config, FILE *out);

#endif
