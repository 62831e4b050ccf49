/* row: one window of one scope key as it leaves the engine (SEMANTICS 6). A fold makes it as one block (a copy of the integers,
 * settled and packed), hands it over a ring and forgets it; whoever takes it opens it into a row_view, where the metrics
 * are worked out, and frees it. So windows have one owner and readers never see one half changed. */
#ifndef ESTEEM_ROW_H
#define ESTEEM_ROW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "esteem/config.h"
#include "esteem/measure.h"
#include "esteem/metric.h"
#include "esteem/tally.h"

/* A goal missed, met again, or configured no more: then the row has no figures, and is told as a message of its own (row_alert_json). */
enum row_alert_state { ROW_ALERT_NONE, ROW_ALERT_MISSED, ROW_ALERT_MET, ROW_ALERT_REMOVED };
struct row_alert {
    uint8_t state;
    uint8_t goal;      /* of config.goal; of one that was removed nothing but its name and `at_ms` is known */
    double value;      /* in the unit of the target */
    int64_t n;
    int64_t since_ms;  /* when it began */
    int64_t at_ms;     /* when that was judged long enough */
};

enum { ROW_CONFIGS_MAX = 8 };

struct row {
    int64_t start_ms, end_ms;
    int64_t eligible;  /* eligible agents at its end */
    uint32_t revision; /* 0: not final yet */
    bool final, partial;
    bool inexact;      /* the ledger had to retire interactions that this may need */
    bool rolling;
    bool last;         /* calendar: the newest window that is closed, Redis key `...:hour:last` */
    bool restored;     /* the engine was restarted: a row of before may stand in the sinks */
    bool running;      /* calendar: the one that holds the present, Redis key `...:hour` */
    bool now;          /* of no window: gauges of the present (now.h), at start_ms, which is end_ms; `running` too */
    uint8_t window;    /* index into config.rolling, or enum calendar_window */
    uint8_t value_count;
    uint8_t value_dimension[DIMENSION_MAX]; /* dimension of value i, ascending */
    const struct config *config; /* under which it is published; outlives the row */
    int64_t since_ms;        /* its scope was configured while it ran: what was over by then is not in it; INT64_MIN: it is whole */
    int befores;             /* configurations before, under which a part of it was counted; oldest first */
    char before[ROW_CONFIGS_MAX][9];
    int64_t made_ms;   /* when it left its fold, by the clock that only rises */
    struct row_alert alert;
    struct metric_across across;
    int baseline_count;      /* config's baseline metrics, or 0 */
    const double *baseline;  /* their values in the baseline; NAN: none */
    const char *goal;        /* of an alert: its goal's name, else NULL; all strings point into the block */
    const char *window_name; /* "5m", "hour" */
    const char *tenant;
    const char *scope;       /* canonical: "queue=billing,channel=chat", values percent-encoded; "all" */
    const char *value[DIMENSION_MAX];
    uint32_t runs_length;
    const uint8_t *runs;     /* packed integers (tally.h) */
};

/* A figure of a row that the configuration asks for, beside the metrics. Its number is the same in all rows of one configuration. */
struct row_extra {
    const char *name;   /* "csat_change", "goal.north_csat" */
    enum family family;
    struct metric_value value;
    bool about;         /* a goal that is about this row */
    bool met;           /* it is, if there is a value */
};
enum { ROW_EXTRA_MAX = CONFIG_BASELINE_MAX + CONFIG_GOAL_MAX };

/* A row with its metrics worked out. Large (kept by its user, one a thread) and reusable. */
struct row_view {
    const struct row *row;
    const struct config *config;
    bool employees; /* the privacy rule lets employee figures out */
    int64_t measure[MEASURE_COUNT];
    struct metric_across across;
    struct metric_value metric[METRIC_COUNT];
    int extras;
    struct row_extra extra[ROW_EXTRA_MAX];
    struct tally_dense dense; /* histograms: value[histogram_id(...)] */
};

/* One block; strings are copied. `value` may hold NULL when value_count is 0. */
struct row *row_new(const struct row *head, const uint8_t *runs, uint32_t runs_length);
void row_free(struct row *row);

/* The canonical scope text: values percent-encoded where they hold ':' '=' ',' '{' '}' '%', space or a control byte.
 * Returns the length; `out` holds `room` bytes (ROW_SCOPE_MAX is always enough). */
enum { ROW_SCOPE_MAX = DIMENSION_MAX * (3 * 256 + 64) };
size_t row_scope_text(const struct config *config, const uint8_t *dimension, const char *const *value, int count, char *out,
                      size_t room);
/* Percent-encodes one value as above. */
size_t row_encode(const char *value, char *out, size_t room);
/* The value again, ended by a zero byte; `out` has room for length + 1. False: not what row_encode writes. */
bool row_decode(const char *text, size_t length, char *out, size_t *decoded);

/* Opens a row: integers, privacy rule, metrics (of what is now there are none). Until the next open on the same view. */
void row_open(struct row_view *view, const struct row *row, const struct config *config);

/* The row's JSON. `families`: bit enum family; rows of Redis and compute carry all (FAMILY_ALL). Returns the length, without
 * a newline; `*text` is grown with realloc, `*room` its size. */
enum { FAMILY_ALL = (1 << FAMILY_COUNT) - 1 };
size_t row_json(const struct row_view *view, unsigned families, bool histograms, char **text, size_t *room);
/* The message of an alert, likewise. */
size_t row_alert_json(const struct row *row, char **text, size_t *room);
/* Whether the row has anything of these families: a measure that is not zero, eligible agents excepted. */
bool row_has(const struct row_view *view, unsigned families);
/* The families that it has a measure or a figure of: a figure that compares, or a goal, may stand without a measure. */
unsigned row_families(const struct row_view *view);

/* A metric's value as Redis and JSON print it: up to 6 decimals, no trailing zeros. Returns the length. */
enum { ROW_NUMBER_MAX = 40 };
size_t row_number(double value, char *out);

#endif
