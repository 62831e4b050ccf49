/* feeding: a source of messages held in memory, and a sink that keeps the newest row of each (window, tenant, scope, start) as
 * JSON. With these the whole pipeline runs in a test, stepped by hand or with its own threads. */
#ifndef ESTEEM_TEST_FEEDING_H
#define ESTEEM_TEST_FEEDING_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "esteem/row.h"
#include "esteem/sink.h"
#include "esteem/source.h"

enum { MEMORY_INPUTS_MAX = 8 };

/* Messages are appended before, or between polls by the polling thread. Input i is topic 0, partition i. */
struct memory_source {
    char **text;
    int *input;
    bool *given;
    int count, room, next /* all before it are given */, inputs;
    int most;                     /* messages a poll; 0: as many as are asked for */
    bool held[MEMORY_INPUTS_MAX]; /* asked for by hold */
    bool away[MEMORY_INPUTS_MAX]; /* set by the test: nothing comes of it */
    uint64_t polls;
};

void memory_init(struct memory_source *memory, int inputs);
void memory_close(struct memory_source *memory);
void memory_add(struct memory_source *memory, int input, const char *format, ...) __attribute__((format(printf, 3, 4)));
struct source memory_source(struct memory_source *memory);

/* Rows in the sink; the whole is read when the pipeline stands still. */
struct kept_row {
    char *key;  /* "5m acme queue=billing", "now acme all", calendar windows with " START_MS" behind it */
    char *json;
    uint64_t times;
    bool inexact;
};

struct row_store {
    struct kept_row *row;
    uint32_t count, room;
    uint32_t *slot, slots; /* by the key's hash */
    struct row_view *view;
    _Atomic bool full;
    _Atomic uint64_t generation;
};

void store_init(struct row_store *store);
void store_close(struct row_store *store);
struct sink store_sink(struct row_store *store);
/* NULL when there is no such row. */
const struct kept_row *store_row(const struct row_store *store, const char *key);
/* A measure of a row's JSON; 0 when it is absent, -1 when there is no row. */
int64_t store_measure(const struct row_store *store, const char *key, const char *measure);

#endif
