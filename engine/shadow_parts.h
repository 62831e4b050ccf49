/* shadow_parts: what the files of `esteem shadow` share: the command line and the configuration made of it (shadow.c), which part of the
 * feed is read (shadow_feed.c), the engine (shadow_run.c), its rows in Redis beside the live ones (shadow_rows.c), and the live engine's
 * change to its state (shadow_swap.c). Runs on: main. */
#ifndef ESTEEM_SHADOW_PARTS_H
#define ESTEEM_SHADOW_PARTS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "esteem/config.h"
#include "esteem/run.h"

enum { SHADOW_NAME_MAX = 32, SHADOW_PATH_MAX = 512 };

struct shadow {
    const char *name, *path; /* [a-z0-9-], the configuration's file */
    int64_t from_ms, to_ms;  /* INT64_MIN: from the beginning; INT64_MAX: to the end that the topics have at the start */
    int64_t memory, rows;    /* 0: as the configuration says */
    bool follow, json;
    struct config *live;     /* as the live engine would have it */
    struct config *config;   /* the shadow's: group, folder, keys and Redis alone */
};

/* ---- shadow_feed.c ---- */

/* A span for each partition there is. To be freed. ERR_KAFKA, ERR_CONFIG. */
int shadow_spans(const struct shadow *shadow, struct run_span **span, int *spans);
/* How many messages they have. */
int64_t shadow_messages(const struct run_span *span, int spans);

/* ---- shadow_run.c ---- */

int shadow_run(const struct shadow *shadow);
/* The file that says that the last run was read to its end and has a checkpoint of it. */
void shadow_finished_path(const struct shadow *shadow, char path[SHADOW_PATH_MAX]);

/* ---- shadow_rows.c ---- */

/* Returns an exit code: 0 equal, 1 they differ, 2 it cannot be told. */
int shadow_compare(const struct shadow *shadow);
/* Deletes all keys of the shadow, some hundred at a time. ERR_REDIS. */
int shadow_rows_drop(const struct shadow *shadow, uint64_t *deleted);

/* ---- shadow_swap.c ---- */

int shadow_swap(const struct shadow *shadow);
int shadow_drop(const struct shadow *shadow);

#endif
