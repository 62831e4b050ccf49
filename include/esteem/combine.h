/* combine: the shard's table of differences by (scope key, pane), hot in its cache. Contributions of a tick that go to one cell are
 * added here, so that a hot queue costs the fold no more than a cold one. At the flush it writes one batch a fold.
 * Runs on: the shard's thread. */
#ifndef ESTEEM_COMBINE_H
#define ESTEEM_COMBINE_H

#include <stdbool.h>
#include <stdint.h>

#include "esteem/batch.h"
#include "esteem/config.h"
#include "esteem/derive.h"
#include "esteem/grain.h"
#include "esteem/intern.h"

struct combine;

/* `registry` NULL: no limit of keys. Panes are pane_ms wide and begin at pane_from_ms modulo pane_ms. */
struct combine *combine_new(int folds, int64_t pane_ms, int64_t pane_from_ms, const struct intern *strings, struct key_registry *registry);
void combine_free(struct combine *combine);

/* Makes a list of scopes known; returns its number, to be handed back with each contribution. */
uint32_t combine_scopes(struct combine *combine, const struct config *config);

/* The same from masks of dimensions (and SCOPE_AGENTS), as a checkpoint has them; and back: returns how many there are in list `scopes`. */
uint32_t combine_scopes_of(struct combine *combine, const uint32_t *masks, int count);
int combine_scopes_read(const struct combine *combine, uint32_t scopes, uint32_t *masks);
uint32_t combine_lists(const struct combine *combine); /* how many there are: 256 at most */

/* From now on contributions are told as this allows. Panes then begin at 0. */
void combine_coarsen(struct combine *combine, const struct grain *grain);

/* Adds runs to each scope whose dimensions they have. `spans`: spans begin or end in the runs (span.h). */
void combine_add(struct combine *combine, uint32_t tenant, uint32_t scopes, const struct dims *dims, int64_t anchor_ms, bool spans,
                 const uint8_t *runs, uint32_t length);

/* The same of what is now: into the block of its anchor (now.h). */
void combine_add_now(struct combine *combine, uint32_t tenant, uint32_t scopes, const struct dims *dims, int64_t anchor_ms, const uint8_t *runs,
                     uint32_t length);

/* About how many there are; 0: none. */
uint32_t combine_cells(const struct combine *combine);

/* Writes all cells into batch[fold] and empties the table. */
void combine_flush(struct combine *combine, struct batch **batch);

#endif
