/* Level k of the ladder holds panes that have left windows 0 .. k-1 for good. Their width is the greatest common divisor of the
 * slides and lengths of the windows from k on, so no edge that they will meet falls inside one, and each level's width
 * divides the next one's. A level has one bucket for each start (pane_buckets.c). A bucket is an array of panes' numbers: the panes lie
 * anywhere in memory, and by the array the next ones can be fetched ahead of their turn. */
#include "pane_parts.h"

#include <stdlib.h>
#include <string.h>

#include "esteem/err.h"
#include "esteem/grain.h"
#include "esteem/span.h"

enum { AHEAD = 4, SETTLES_WIDTH_MS = 600000, SETTLES_MOST = 16384 /* panes, or one bucket, a step */ };

struct pane_ladder *pane_ladder_new(const struct config_rolling *rolling, int count, bool panes)
{
    struct pane_ladder *ladder = calloc(1, sizeof *ladder);
    ensure(ladder != NULL, "the machine has memory left");
    ladder->count = count;
    ladder->panes = panes;
    memcpy(ladder->rolling, rolling, (size_t)count * sizeof *rolling);
    int64_t width_ms[CONFIG_ROLLING_MAX];
    grain_widths(rolling, count, width_ms);
    for (int k = 0; k < count; k++)
        ladder->level[k].width_ms = width_ms[k];
    for (int k = 0; k <= count; k++)
        buckets_init(&ladder->level[k]);
    pane_lift(ladder);
    slab_init(&ladder->slab);
    ladder->free_first = NONE;
    slots_init(&ladder->slots, 1024);
    return ladder;
}

void pane_ladder_free(struct pane_ladder *ladder)
{
    if (ladder == NULL)
        return;
    for (int k = 0; k <= ladder->count; k++) {
        for (uint32_t b = 0; b < ladder->level[k].count; b++) {
            struct bucket *bucket = bucket_in(&ladder->level[k], b);
            for (uint32_t i = 0; i < bucket->count; i++)
                tally_free(&ladder->pane[bucket->pane[i]].tally, &ladder->slab);
            free(bucket->pane);
            pack_free_all(ladder, &ladder->level[k], bucket);
        }
        buckets_close(&ladder->level[k]);
    }
    free(ladder->pane);
    slots_close(&ladder->slots);
    free(ladder->gone);
    track_close(&ladder->track);
    slab_close(&ladder->slab);
    free(ladder);
}

const struct pane_edges *pane_edges(const struct pane_ladder *ladder, int window)
{
    return &ladder->edges[window];
}

/* ---- look-up of panes ---- */

static uint32_t hash(uint32_t key, int level, int64_t start_ms)
{
    return slots_hash((uint64_t)start_ms, (uint64_t)key << 8 | (unsigned)level);
}

uint32_t pane_find(struct pane_ladder *ladder, uint32_t key, int level, int64_t start_ms)
{
    uint32_t h = hash(key, level, start_ms), p;
    for (uint32_t i = slots_home(&ladder->slots, h); (p = slots_match(&ladder->slots, h, &i)) != SLOTS_NONE;)
        if (ladder->pane[p].key == key && ladder->pane[p].level == level && ladder->pane[p].start_ms == start_ms)
            return p;
    return pack_take_out(ladder, key, level, start_ms);
}

/* ---- buckets ---- */

/* The number at `i`; those behind it will be wanted soon. */
static uint32_t bucket_at(const struct pane_ladder *ladder, const struct bucket *bucket, uint32_t i)
{
    if (i + 2 * AHEAD < bucket->count)
        __builtin_prefetch(&ladder->pane[bucket->pane[i + 2 * AHEAD]]);
    if (i + AHEAD < bucket->count)
        __builtin_prefetch(tally_bytes(&ladder->pane[bucket->pane[i + AHEAD]].tally));
    return bucket->pane[i];
}

static void pack_crosses(const struct pack *pack, uint32_t was, uint32_t in, uint32_t before, pane_crosses *crosses, void *context)
{
    struct pack_cursor cursor = {0, 0}, ahead = {0, 0};
    struct packed one, soon;
    for (int i = 0; i < AHEAD; i++)
        (void)pack_next(pack, &ahead, &soon);
    while (pack_next(pack, &cursor, &one)) {
        if (!pack_next(pack, &ahead, &soon))
            soon = one;
        if (was == in && !(before && one.spans))
            continue;
        const struct tally view = tally_view(one.runs, one.length);
        crosses(context, &(struct pane_cross){&view, one.key, was, in, one.spans ? before : 0, soon.key});
    }
}

static void bucket_crosses(const struct pane_ladder *ladder, const struct bucket *bucket, uint32_t was, uint32_t in, uint32_t before, pane_crosses *crosses, void *context)
{
    for (uint32_t i = 0; i < bucket->count; i++) {
        const struct pane *pane = &ladder->pane[bucket_at(ladder, bucket, i)], *soon = i + AHEAD < bucket->count ? &ladder->pane[bucket->pane[i + AHEAD]] : pane;
        if (was != in || (before && pane->spans))
            crosses(context, &(struct pane_cross){&pane->tally, pane->key, was, in, pane->spans ? before : 0, soon->key});
    }
    for (const struct pack *pack = bucket->pack; pack; pack = pack->next)
        pack_crosses(pack, was, in, before, crosses, context);
}

/* ---- panes ---- */

uint32_t pane_at(struct pane_ladder *ladder, uint32_t key, int level, int64_t start_ms)
{
    uint32_t p = pane_find(ladder, key, level, start_ms);
    return p != NONE ? p : pane_make(ladder, key, level, start_ms);
}

uint32_t pane_make(struct pane_ladder *ladder, uint32_t key, int level, int64_t start_ms)
{
    uint32_t p = ladder->free_first;
    if (p != NONE) {
        ladder->free_first = ladder->pane[p].next;
    } else {
        if (ladder->made == ladder->room) {
            ladder->room = ladder->room ? ladder->room + ladder->room / 2 : 1024;
            ladder->pane = realloc(ladder->pane, ladder->room * sizeof *ladder->pane);
            ensure(ladder->pane != NULL, "the machine has memory left");
        }
        p = ladder->made++;
    }
    bucket_put(&ladder->level[level], start_ms, p);
    ladder->pane[p] = (struct pane){.start_ms = start_ms, .key = key, .level = (uint8_t)level, .used = true};
    slots_put(&ladder->slots, hash(key, level, start_ms), p);
    ladder->live++;
    track_new(&ladder->track, p, &ladder->pane[p].mark);
    return p;
}

void pane_drop(struct pane_ladder *ladder, uint32_t p)
{
    const struct pane *pane = &ladder->pane[p];
    pane_keep_for_checkpoint(ladder, p);
    pane_note_gone(ladder, pane->key, pane->level, pane->start_ms);
    pane_forget(ladder, p);
}

void pane_forget(struct pane_ladder *ladder, uint32_t p)
{
    struct pane *pane = &ladder->pane[p];
    pane->used = false;
    slots_remove(&ladder->slots, hash(pane->key, pane->level, pane->start_ms), p);
    tally_free(&pane->tally, &ladder->slab);
    pane->next = ladder->free_first;
    ladder->free_first = p;
    ladder->live--;
}

/* Whether [start, start + the level's width) has left all windows up to this level. */
static bool has_left(const struct pane_ladder *ladder, int level, int64_t start_ms)
{
    for (int w = 0; w <= level; w++)
        if (start_ms + ladder->level[level].width_ms > ladder->edges[w].left_ms)
            return false;
    return true;
}

static uint32_t members(const struct pane_edges *edges, int count, int64_t start_ms)
{
    uint32_t bits = 0;
    for (int w = 0; w < count; w++)
        bits |= (uint32_t)(start_ms >= edges[w].left_ms && start_ms < edges[w].right_ms) << w;
    return bits;
}

static uint32_t lies_before(const struct pane_edges *edges, int count, int64_t start_ms)
{
    uint32_t bits = 0;
    for (int w = 0; w < count; w++)
        bits |= (uint32_t)(start_ms < edges[w].left_ms) << w;
    return bits;
}

bool pane_has_spans(struct pane_ladder *ladder, const uint8_t *runs, uint32_t length)
{
    bool any = false;
    tally_dense_add(&ladder->dense, runs, length, 1);
    for (uint32_t id = SPAN_ON_FIRST; id < SPAN_IDS_END; id++)
        any |= ladder->dense.touched[id / 64] >> id % 64 & 1;
    tally_dense_clear(&ladder->dense);
    return any;
}

/* Older than all windows: how many spans it leaves open counts still. */
static void keep_open_spans(struct pane_ladder *ladder, uint32_t key, const uint8_t *runs, uint32_t length)
{
    struct tally_run run;
    tally_dense_add(&ladder->dense, runs, length, 1);
    tally_run_begin(&run);
    for (enum span span = 0; span < SPAN_COUNT; span++)
        tally_run_put(&run, span_on(span), ladder->dense.value[span_on(span)]);
    tally_run_end(&run);
    tally_dense_clear(&ladder->dense);
    if (tally_run_empty(&run))
        return;
    uint32_t p = pane_at(ladder, key, ladder->count, 0);
    pane_keep_for_checkpoint(ladder, p);
    ladder->pane[p].spans = true;
    tally_add(&ladder->pane[p].tally, &ladder->slab, &ladder->dense, run.bytes, run.length);
}

/* The level whose panes hold at_ms, and where its pane begins; `count`: it is older than the longest window, or there is none. */
static int level_of(const struct pane_ladder *ladder, int64_t at_ms, int64_t *start_ms)
{
    int level = 0;
    *start_ms = ladder->count ? grain_floor(at_ms, ladder->level[0].width_ms) : at_ms;
    while (ladder->placed && level < ladder->count && has_left(ladder, level, *start_ms))
        if (++level < ladder->count)
            *start_ms = grain_floor(at_ms, ladder->level[level].width_ms);
    return level;
}

void pane_prefetch(const struct pane_ladder *ladder, uint32_t key, int64_t at_ms)
{
    int64_t start_ms;
    if (ladder->panes) {
        int level = level_of(ladder, at_ms, &start_ms);
        slots_prefetch(&ladder->slots, hash(key, level, start_ms));
    }
}

uint32_t pane_put(struct pane_ladder *ladder, uint32_t key, int64_t at_ms, bool spans, const uint8_t *runs, uint32_t length, uint32_t *before)
{
    *before = ladder->placed ? lies_before(ladder->edges, ladder->count, at_ms) : 0;
    if (!ladder->panes)
        return members(ladder->edges, ladder->count, at_ms);
    int64_t start_ms;
    int level = level_of(ladder, at_ms, &start_ms);
    if (level == ladder->count) {
        if (spans)
            keep_open_spans(ladder, key, runs, length);
        return 0; /* older than the longest window */
    }
    uint32_t p = pane_at(ladder, key, level, start_ms);
    pane_keep_for_checkpoint(ladder, p);
    tally_add(&ladder->pane[p].tally, &ladder->slab, &ladder->dense, runs, length);
    ladder->pane[p].spans |= spans;
    return members(ladder->edges, ladder->count, start_ms);
}

/* ---- moving ---- */

/* Stretches of time that edges pass over, ascending, apart from one another. */
struct passed {
    struct pane_edges stretch[2 * CONFIG_ROLLING_MAX]; /* [left_ms, right_ms) */
    int count;
};

static void pass(struct passed *passed, int64_t from_ms, int64_t to_ms)
{
    int at = passed->count;
    if (from_ms >= to_ms)
        return;
    for (; at > 0 && passed->stretch[at - 1].left_ms > from_ms; at--)
        passed->stretch[at] = passed->stretch[at - 1];
    passed->stretch[at] = (struct pane_edges){from_ms, to_ms};
    passed->count++;
}

static void join(struct passed *passed)
{
    int last = 0;
    for (int i = 1; i < passed->count; i++) {
        struct pane_edges *one = &passed->stretch[last], *next = &passed->stretch[i];
        if (next->left_ms > one->right_ms)
            passed->stretch[++last] = *next;
        else if (next->right_ms > one->right_ms)
            one->right_ms = next->right_ms;
    }
    passed->count = passed->count ? last + 1 : 0;
}

static void cross_bucket(struct pane_ladder *ladder, const struct pane_edges *old, const struct bucket *bucket, pane_crosses *crosses, void *context)
{
    uint32_t was = members(old, ladder->count, bucket->start_ms), in = members(ladder->edges, ladder->count, bucket->start_ms);
    uint32_t before = lies_before(ladder->edges, ladder->count, bucket->start_ms) & ~lies_before(old, ladder->count, bucket->start_ms);
    bucket_crosses(ladder, bucket, was, in, before, crosses, context);
}

static void cross_stretch(struct pane_ladder *ladder, const struct pane_edges *old, const struct pane_edges *stretch, pane_crosses *crosses, void *context)
{
    for (int k = 0; k < ladder->count; k++) {
        struct level *level = &ladder->level[k];
        for (uint32_t b = bucket_from(level, stretch->left_ms); b < level->count && bucket_in(level, b)->start_ms < stretch->right_ms; b++)
            cross_bucket(ladder, old, bucket_in(level, b), crosses, context);
    }
}

/* Into another level, unless there is one of its name already. */
static bool moves(struct pane_ladder *ladder, uint32_t p, int level, int64_t start_ms)
{
    struct pane *pane = &ladder->pane[p];
    if (pane_find(ladder, pane->key, level, start_ms) != NONE)
        return false;
    pane_keep_for_checkpoint(ladder, p);
    pane_note_gone(ladder, pane->key, pane->level, pane->start_ms);
    slots_remove(&ladder->slots, hash(pane->key, pane->level, pane->start_ms), p);
    pane->level = (uint8_t)level;
    pane->start_ms = start_ms;
    bucket_put(&ladder->level[level], start_ms, p);
    slots_put(&ladder->slots, hash(pane->key, level, start_ms), p);
    return true;
}

static void spans_stay(struct pane_ladder *ladder, const struct packed *one)
{
    if (one->spans)
        keep_open_spans(ladder, one->key, one->runs, one->length);
}

/* Panes that have left all windows of their level go on, into a pane as wide as the windows allow that they have not left; out of the last
 * they are forgotten. */
static void promote(struct pane_ladder *ladder, int k)
{
    struct level *level = &ladder->level[k];
    for ((void)bucket_from(level, INT64_MIN); level->count && has_left(ladder, k, bucket_in(level, 0)->start_ms); buckets_drop_first(level)) {
        int64_t start_ms;
        int to = level_of(ladder, bucket_in(level, 0)->start_ms, &start_ms);
        if (to < ladder->count)
            pack_move(ladder, k, bucket_in(level, 0)->start_ms, to);
        else
            pack_drop(ladder, k, bucket_in(level, 0), spans_stay);
        const struct bucket *bucket = bucket_in(level, 0);
        for (uint32_t i = 0; i < bucket->count; i++) {
            uint32_t p = bucket_at(ladder, bucket, i);
            if (to < ladder->count && moves(ladder, p, to, start_ms))
                continue;
            if (to < ladder->count) {
                uint32_t older = pane_find(ladder, ladder->pane[p].key, to, start_ms);
                pane_keep_for_checkpoint(ladder, older);
                tally_merge(&ladder->pane[older].tally, &ladder->slab, &ladder->dense, &ladder->pane[p].tally, 1);
                ladder->pane[older].spans |= ladder->pane[p].spans;
            } else if (ladder->pane[p].spans) {
                struct tally oldest = ladder->pane[p].tally;
                keep_open_spans(ladder, ladder->pane[p].key, tally_bytes(&oldest), oldest.length);
            }
            pane_drop(ladder, p);
        }
    }
}

void pane_ladder_fix(struct pane_ladder *ladder, int64_t at_ms)
{
    for (int w = 0; w < ladder->count; w++)
        ladder->edges[w] = (struct pane_edges){at_ms - ladder->rolling[w].length_ms, at_ms};
    ladder->placed = true;
}

static struct pane_edges edges_at(const struct config_rolling *rolling, int64_t now_ms)
{
    int64_t right_ms = grain_right_ms(rolling, now_ms);
    return (struct pane_edges){right_ms - rolling->length_ms, right_ms};
}

static void place(struct pane_ladder *ladder, int64_t now_ms, pane_crosses *crosses, void *context)
{
    for (int w = 0; w < ladder->count; w++)
        ladder->edges[w] = edges_at(&ladder->rolling[w], now_ms);
    ladder->placed = true;
    for (int k = 0; k < ladder->count; k++)
        for (uint32_t b = 0; b < ladder->level[k].count; b++) {
            const struct bucket *bucket = bucket_in(&ladder->level[k], b);
            bucket_crosses(ladder, bucket, 0, members(ladder->edges, ladder->count, bucket->start_ms), lies_before(ladder->edges, ladder->count, bucket->start_ms),
                           crosses, context);
        }
    const struct level *older = &ladder->level[ladder->count];
    if (older->count)
        bucket_crosses(ladder, bucket_in(older, 0), 0, 0, (1u << ladder->count) - 1, crosses, context);
}

static void move(struct pane_ladder *ladder, int64_t now_ms, pane_crosses *crosses, void *context)
{
    struct pane_edges old[CONFIG_ROLLING_MAX];
    struct passed passed = {.count = 0};
    memcpy(old, ladder->edges, sizeof old);
    for (int w = 0; w < ladder->count; w++) {
        struct pane_edges next = edges_at(&ladder->rolling[w], now_ms);
        if (next.right_ms <= old[w].right_ms)
            continue;
        pass(&passed, old[w].left_ms, next.left_ms);
        pass(&passed, old[w].right_ms, next.right_ms);
        ladder->edges[w] = next;
    }
    join(&passed);
    for (int i = 0; i < passed.count; i++)
        cross_stretch(ladder, old, &passed.stretch[i], crosses, context);
}

/* A wide pane is the sum of many, and keeps their figures one behind the other until it settles; settled it takes a third of the memory. Done where
 * only late figures can still come. */
static void settle(struct pane_ladder *ladder, int k, int64_t until_ms)
{
    struct level *level = &ladder->level[k];
    uint32_t settled = 0;
    if (level->width_ms < SETTLES_WIDTH_MS || until_ms <= level->settled_ms)
        return;
    for (uint32_t b = bucket_from(level, level->settled_ms); b < level->count && bucket_in(level, b)->start_ms + level->width_ms <= until_ms; b++) {
        const struct bucket *bucket = bucket_in(level, b);
        for (uint32_t i = 0; i < bucket->count; i++)
            tally_settle(&ladder->pane[bucket_at(ladder, bucket, i)].tally, &ladder->slab, &ladder->dense);
        level->settled_ms = bucket->start_ms + level->width_ms;
        if ((settled += bucket->count) > SETTLES_MOST)
            return; /* with the next step */
    }
}

void pane_advance(struct pane_ladder *ladder, int64_t now_ms, pane_crosses *crosses, void *context)
{
    if (!ladder->placed)
        place(ladder, now_ms, crosses, context);
    else
        move(ladder, now_ms, crosses, context);
}

void pane_age(struct pane_ladder *ladder)
{
    for (int k = 0; k < ladder->count; k++)
        promote(ladder, k);
    pane_tend(ladder);
}

void pane_tend(struct pane_ladder *ladder)
{
    if (!ladder->placed)
        return;
    int64_t until_ms = ladder->edges[0].left_ms; /* all that is older has left the windows before k */
    for (int k = 1; k < ladder->count; k++) {
        settle(ladder, k, until_ms);
        pack_level(ladder, k, until_ms, PACK_MOST);
        until_ms = ladder->edges[k].left_ms < until_ms ? ladder->edges[k].left_ms : until_ms;
    }
}

int64_t pane_end_ms(const struct pane_ladder *ladder, int64_t now_ms)
{
    int64_t end_ms = now_ms;
    for (int w = 0; w < ladder->count && now_ms != INT64_MIN; w++) {
        int64_t left_ms = edges_at(&ladder->rolling[w], now_ms).left_ms;
        end_ms = left_ms < end_ms ? left_ms : end_ms;
    }
    return end_ms;
}

/* Where panes of before had to be cut for the ladder's own windows, they may lie wrongly for this one too: of those whose edges are among its own, the
 * first that is whole; of all, the last. */
static int64_t uncut_from(const struct pane_ladder *ladder, const int64_t *since_ms, int64_t step_ms)
{
    int64_t first_ms = INT64_MAX, last_ms = INT64_MIN;
    for (int w = 0; w < ladder->count; w++) {
        bool among = step_ms % grain_common(ladder->rolling[w].slide_ms, ladder->rolling[w].length_ms) == 0;
        first_ms = among && since_ms[w] < first_ms ? since_ms[w] : first_ms;
        last_ms = since_ms[w] > last_ms ? since_ms[w] : last_ms;
    }
    return first_ms < last_ms ? first_ms : last_ms;
}

int64_t pane_exact_from(const struct pane_ladder *ladder, const int64_t *since_ms, const struct config_rolling *rolling, int64_t now_ms)
{
    int64_t step_ms = grain_common(rolling->slide_ms, rolling->length_ms);
    int k = 0;
    if (ladder->count == 0)
        return INT64_MAX;
    while (k < ladder->count && step_ms % ladder->level[k].width_ms == 0)
        k++;
    if (now_ms == INT64_MIN && k == 0)
        return INT64_MAX;
    int64_t from_ms = uncut_from(ladder, since_ms, step_ms);
    if (k && since_ms[k - 1] > from_ms)
        from_ms = since_ms[k - 1];
    if (now_ms == INT64_MIN) /* all lies in panes of level 0 */
        return from_ms;
    int64_t reach_ms = k ? edges_at(&ladder->rolling[k - 1], now_ms).left_ms /* what is older lies in panes of level k, or nowhere */
                         : edges_at(&ladder->rolling[0], now_ms).right_ms;
    return reach_ms > from_ms ? reach_ms : from_ms;
}

void pane_lift(struct pane_ladder *ladder)
{
    for (int w = 0; w < ladder->count; w++)
        ladder->edges[w] = (struct pane_edges){INT64_MAX, INT64_MAX};
    for (int k = 0; k < ladder->count; k++)
        ladder->level[k].settled_ms = ladder->level[k].packs_due_ms = INT64_MIN;
    ladder->placed = false;
}

struct pane_counts pane_counts(const struct pane_ladder *ladder)
{
    return (struct pane_counts){.panes = ladder->live + ladder->packed, .packed = ladder->packed,
                                .bytes = ladder->slab.used + ladder->live * sizeof(struct pane) + ladder->packed_bytes,
                                .slack_bytes = ladder->slab.bytes - ladder->slab.used + (ladder->room - ladder->live) * sizeof(struct pane)};
}
