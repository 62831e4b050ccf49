/* Panes that cross the edges of rolling windows when time moves: gathered key by key, so that those of one key that cross the same edges are added up
 * before its windows change. In a replay of a feed as sparse as a real one a step is minutes of event time, and nearly all are of that kind. */
#include "fold_parts.h"

static void look_ahead(const struct key *soon)
{
    __builtin_prefetch(&soon->within);
    __builtin_prefetch(soon->waits);
    __builtin_prefetch(&soon->difference[0]);
    __builtin_prefetch(&soon->difference[2]);
}

void fold_crosses(void *context, const struct pane_cross *cross)
{
    struct fold *fold = context;
    look_ahead(fold->key[cross->soon]);
    if (cross->before)
        spans_before(fold, cross->key, cross->before, tally_bytes(cross->tally), cross->tally->length);
    if (cross->was != cross->in)
        change_windows(fold, cross->key, cross->was, cross->in, cross->tally);
}

static const struct crossing *next_alike(const struct fold *fold, const struct crossing *one)
{
    const struct crossing *next = one->next == NONE ? NULL : &fold->crossings.item[one->next];
    return next && next->was == one->was && next->in == one->in ? next : NULL;
}

/* A key's panes that cross the same edges, one after the other, are added up first. Returns which is next. */
static uint32_t cross_alike(struct fold *fold, uint32_t k, const struct crossing *first)
{
    if (next_alike(fold, first) == NULL) {
        change_windows(fold, k, first->was, first->in, &first->tally);
        return first->next;
    }
    struct tally sum = {0};
    const struct crossing *last = first;
    for (const struct crossing *one = first; one; one = next_alike(fold, one)) {
        tally_dense_add(&fold->dense, tally_bytes(&one->tally), one->tally.length, 1);
        last = one;
    }
    tally_pack(&sum, &fold->slab, &fold->dense);
    change_windows(fold, k, first->was, first->in, &sum);
    tally_free(&sum, &fold->slab);
    return last->next;
}

static void cross_gathered(struct fold *fold)
{
    struct crossings *crossings = &fold->crossings;
    for (uint32_t w = 0; w < crossings->withs; w++) {
        uint32_t k = crossings->with[w];
        look_ahead(fold->key[crossings->with[w + 2 < crossings->withs ? w + 2 : w]]);
        for (uint32_t c = crossings->first[k]; c != NONE;)
            c = cross_alike(fold, k, &crossings->item[c]);
        crossings->first[k] = NONE;
    }
    crossings->count = crossings->withs = 0;
}

static void reserve(struct fold *fold)
{
    struct crossings *crossings = &fold->crossings;
    if (crossings->item == NULL) {
        crossings->item = fold_must(malloc(CROSSINGS_MOST * sizeof *crossings->item));
        crossings->with = fold_must(malloc(CROSSINGS_MOST * sizeof *crossings->with));
    }
    if (crossings->keys >= fold->keys)
        return;
    crossings->first = fold_must(realloc(crossings->first, fold->key_room * sizeof *crossings->first));
    memset(crossings->first + crossings->keys, 0xff, (fold->key_room - crossings->keys) * sizeof *crossings->first);
    crossings->keys = fold->key_room;
}

static void gather(void *context, const struct pane_cross *cross)
{
    struct fold *fold = context;
    struct crossings *crossings = &fold->crossings;
    if (cross->before)
        spans_before(fold, cross->key, cross->before, tally_bytes(cross->tally), cross->tally->length);
    if (cross->was == cross->in)
        return;
    if (crossings->count == CROSSINGS_MOST)
        cross_gathered(fold);
    if (crossings->first[cross->key] == NONE)
        crossings->with[crossings->withs++] = cross->key;
    crossings->item[crossings->count] = (struct crossing){*cross->tally, cross->was, cross->in, crossings->first[cross->key]};
    crossings->first[cross->key] = crossings->count++;
}

void crossings_advance(struct fold *fold)
{
    reserve(fold);
    pane_advance(fold->ladder, fold->now_ms, gather, fold);
    cross_gathered(fold);
    pane_age(fold->ladder);
}

void crossings_close(struct fold *fold)
{
    free(fold->crossings.item);
    free(fold->crossings.with);
    free(fold->crossings.first);
}
