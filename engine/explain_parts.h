/* explain_parts: what explain_words.c and the files beside it share. Any thread. */
#ifndef ESTEEM_EXPLAIN_PARTS_H
#define ESTEEM_EXPLAIN_PARTS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include <jv.h>

#include "esteem/config.h"
#include "esteem/row.h"
#include "row_lines.h"

struct telling {
    FILE *out;
    jv row;
    jv others; /* an array of rows, or null: see explain.h */
    struct row_key key;
    int64_t end_ms;
    const struct config *config; /* the settings given, else the defaults */
    bool given;
    struct row_view *view; /* the row's integers, worked out under `config` */
    bool withheld_all;     /* the privacy rule keeps employees' figures out of this row */
};

/* ---- explain_read.c ---- */

/* Reads the row back; `config` NULL: under the default settings. ERR_DATA: it is no row. */
int explain_open(struct telling *telling, jv row, const struct config *config, FILE *out);
void explain_close(struct telling *telling);
/* The metric as the row has it; a text beside it, to be freed, "" when there is none. */
struct metric_value explain_value_of(const struct telling *telling, enum metric metric);
char *explain_text_of(const struct telling *telling, const char *metric, const char *name);
/* `fallback` when there is no such number. */
double explain_number(jv object, const char *name, double fallback);
int64_t explain_integer(jv object, const char *name);
bool explain_is_true(jv object, const char *name);

/* ---- explain_words.c ---- */

/* Begins a titled line; what it returns begins the next one under it. */
const char *explain_begin(const struct telling *telling, const char *what);
void explain_put_figure(double value, const char *unit, FILE *out);

/* ---- explain_beside.c: what hangs together with a figure ---- */

enum { TOLD_MEASURES = 16 }; /* those of a formula, at most */
void explain_left_out(const struct telling *telling, enum metric metric, const enum measure *measures, int count);
/* `metric` -1: a measure alone is told. */
void explain_settings(const struct telling *telling, int metric, const enum measure *measures, int count);
/* Of a metric or a measure. */
void explain_notes(const struct telling *telling, const char *name);

/* ---- explain_compare.c: figures that hold a row against something else ---- */

typedef void explain_where(const struct telling *telling);
/* ERR_USAGE: the configuration that is given has no such goal, or no such metric in its baseline. */
int explain_goal(const struct telling *telling, const char *name, explain_where *where);
int explain_change(const struct telling *telling, const char *name, enum metric metric, explain_where *where);
void explain_across(const struct telling *telling, enum metric metric, const struct metric_value *value);

#endif
