/* plan: what a reload does, option by option: found before anything changes, told by the log, by `esteem ctl reload` and by `esteem check NEW
 * --against OLD`. Each change takes effect at once (`live`), `at next boundary` or `needs restart`; the latter leave the old value in force, all others take effect.
 * Which is which stands in options.def and lists.def, a column of every row, so that no option can be left out.
 *
 * Runs on: the thread that loads. Bounded by the keys that there are. */
#ifndef ESTEEM_PLAN_H
#define ESTEEM_PLAN_H

#include <stdbool.h>
#include <stdio.h>

#include "esteem/config.h"

enum plan_when { PLAN_LIVE, PLAN_BOUNDARY /* with the next window that begins */, PLAN_RESTART };

struct plan_change {
    const char *key;     /* "metrics.min_n" */
    enum plan_when when;
    char *was, *is;      /* as a person reads them; of secrets they say only that they are others */
    const char *because; /* needs a restart only for that: the list that it hangs on; else NULL */
};

struct plan {
    struct plan_change *change;
    int count, restarts; /* changes; of which need a restart */
    bool roster;         /* what roster.file holds has changed */
    bool mappings;       /* the programs of the topics have changed; set by who looks at them */
    char *state;         /* lines of what becomes of scopes, windows and metrics */
};

/* From `old`, which is in force, to `next`, which was loaded: `next` becomes what is in force afterwards, so it has the old values of what
 * needs a restart, and its id says so. */
void plan_init(struct plan *plan, const struct config *old, struct config *next);
void plan_close(struct plan *plan);
/* Nothing differs. */
bool plan_empty(const struct plan *plan);
/* A line each: "live  metrics.min_n: 10 -> 20", "needs restart  kafka.group: a -> b (b is not in force)"; then the state's. */
void plan_write(const struct plan *plan, FILE *out);
/* Only what needs a restart. */
void plan_write_restarts(const struct plan *plan, FILE *out);

#endif
