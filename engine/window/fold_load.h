/* fold_load: a slice on its way into folds: what fold_load.c and fold_load_head.c share, and nobody else. Runs before the folds' threads do. */
#ifndef ESTEEM_FOLD_LOAD_H
#define ESTEEM_FOLD_LOAD_H

#include "fold_parts.h"

/* Where a key of the slice is now. */
struct place {
    uint32_t fold, key; /* key NONE: of a scope that is no longer configured */
    uint32_t zone;      /* in the slice's numbers; NONE: none was said */
    struct place *more; /* of a bundle whose parts are in several folds now */
};

struct fold_load {
    struct fold **fold;
    int folds;
    struct key_registry *registry;
    struct place *place; /* by the slice's key numbers */
    uint32_t places, room;
    bool bundles_differ;       /* as in struct fold */
    struct alert_saved *alert; /* of the newest file */
    uint32_t alerts, alert_room;
    struct tally scratch;

    /* the head */
    uint8_t dimension[DIMENSION_MAX], calendar[CALENDAR_COUNT + 64]; /* theirs -> ours; 255: none */
    uint16_t measure[TALLY_IDS];                                     /* UINT16_MAX: none */
    int64_t now_ms, watermark_ms, newest_ms, corrected_from_ms;
    bool inexact, same_measures, same_baseline;
    bool more_keys; /* limits.keys is higher now */
    uint32_t gave_way[CONFIG_SCOPE_MAX]; /* scopes in which keys, or agents in them, went to __other__ */
    int gave_ways;
    int rolling_count;
    struct config_rolling rolling[CONFIG_ROLLING_MAX];
    int64_t rolling_since_ms[CONFIG_ROLLING_MAX];
    bool begun, same_rolling;
    struct pane_ladder *ladder[FOLD_MAX]; /* where the windows are others now: the slice's own, poured at the end */
    struct zones_saved zones;
    bool zones_differ;                    /* a key's is another now */
    uint32_t zoned;                       /* places whose zones have been looked at */
    uint32_t calendars;                   /* windows that were kept; 0: an older version did not say */
    int64_t calendar_from_ms[CALENDAR_COUNT];
    int scopes, configs; /* 0: likewise */
    struct {
        uint32_t mask;
        int64_t since_ms;
    } scope[CONFIG_SCOPE_MAX];
    struct {
        char id[9];
        int64_t until_ms;
    } config[ROW_CONFIGS_MAX + 1];
};

/* ---- fold_load_head.c ---- */

/* False: the item is not well-formed. */
bool load_head_item(struct fold_load *load, struct slice_item *item);
/* Before the first key: whether the rolling windows are still the same; if not, ladders of the old ones. */
void load_windows(struct fold_load *load);
/* After the last item: what the head means for a fold. */
void load_head_end(struct fold_load *load, int fold);

#endif
