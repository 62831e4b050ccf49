/* diff_changes: what differs between two rows, as JSON and in words; diff.c says which rows meet. Pure. Any thread. */
#ifndef ESTEEM_DIFF_CHANGES_H
#define ESTEEM_DIFF_CHANGES_H

#include <stdbool.h>
#include <stdio.h>

#include <jv.h>

/* `value`, taken, or an empty object in place of what is none. */
jv diff_object(jv value);

/* {"fields", "measures", "histograms", "metrics"} of two rows, borrowed, each there when something differs in it. Redis' rows have no histograms by
 * default: those are compared where both rows have them. */
jv diff_of(jv before, jv after);
/* Whether two rows, or what stands in them before the measures, agree in all that is neither key nor figure. Borrowed. */
bool diff_same_fields(jv before, jv after);

/* Writes what diff_of says, which is taken, a line a difference. */
void diff_put(jv changes, FILE *out);

#endif
