/* formula: the formulas of metrics.def for people, in names and with a row's integers in their places. What is read here is the text
 * that the code itself was expanded from (metric.c), so page, explanation and figure cannot drift apart. Any thread. */
#ifndef ESTEEM_FORMULA_H
#define ESTEEM_FORMULA_H

#include <stdbool.h>
#include <stdio.h>

#include "esteem/config.h"
#include "esteem/metric.h"
#include "esteem/row.h"

/* Writes a metric's formula. `config`: the variant of service_level is that of its settings, a setting's value stands for its key;
 * NULL: as the catalogue has it. `view`: its integers stand for the measures' names; NULL: names.
 * E.g. csat: "100 * csat_top / csat_n", with a view "100 * 10 / 12". */
void formula_put(enum metric metric, const struct config *config, const struct row_view *view, FILE *out);
/* The same for service_level under any policy. */
void formula_put_service_level(enum abandons policy, const struct row_view *view, FILE *out);

/* The measures that it names, in its order, each once. Returns how many of at most `room`. */
int formula_measures(enum metric metric, const struct config *config, enum measure *measures, int room);
/* 1 to 100 when the metric is a percentile, and of which histogram; else 0. */
int formula_percentile(enum metric metric, enum histogram *histogram);

/* A setting by its field in struct config: its key, what it does, and its value as the file spells it. */
struct formula_setting {
    const char *field, *key, *help;
};
/* NULL when there is none. */
const struct formula_setting *formula_setting(const char *field, size_t length);
void formula_put_setting(const struct formula_setting *setting, const struct config *config, FILE *out);

/* Fills a view with the integers of a made-up hour, from which the manual's examples are worked out. */
void formula_example(struct row_view *view, const struct config *config);

#endif
