/* The time zones of a fold's tenants. With another zone, which a restart brings, a tenant's days begin elsewhere: of those that had begun the new
 * ones get only what comes after, and the panes are too coarse to make them of. Their rows say since when; where a window is the same in both zones, as hours mostly
 * are, nothing changes. Cells of windows that the new zone has not are left out by the load. */
#include "fold_parts.h"

#include <stdio.h>

enum { ZONES_A_TABLE = 256, ZONE_TEXT_MAX = 320, LONGEST_DAYS = 32 /* more than a month */ };
static const int64_t day_ms = 86400000;

static uint16_t zone_of(struct fold *fold, const char *name, int64_t since_ms, uint32_t moved)
{
    int z = 0;
    while (z < fold->zones && (strcmp(fold->zone[z].name, name) != 0 || fold->zone[z].since_ms != since_ms || fold->zone[z].moved != moved))
        z++;
    if (z < fold->zones)
        return (uint16_t)z;
    ensure(z < ZONES_MAX, "there are fewer time zones");
    fold->zone = fold_must(realloc(fold->zone, (size_t)(z + 1) * sizeof *fold->zone));
    struct zone *zone = &fold->zone[fold->zones++];
    if (calendar_new(name, &zone->calendar) != 0) /* refused with the configuration; so its file has vanished */
        ensure(calendar_new("UTC", &zone->calendar) == 0, "the machine has tzdata");
    zone->name = fold_must(strdup(name)); /* the configuration may go */
    zone->since_ms = since_ms;
    zone->moved = moved;
    baseline_zone(fold->config, zone);
    return (uint16_t)z;
}

uint16_t zone_find(struct fold *fold, const char *tenant)
{
    return zone_of(fold, config_timezone(fold->config, tenant), INT64_MIN, 0);
}

struct calendar *zone_calendar(struct fold *fold, const char *tenant)
{
    uint16_t z = zone_find(fold, tenant); /* it may move them all */
    return fold->zone[z].calendar;
}

void zones_close(struct fold *fold)
{
    for (int z = 0; z < fold->zones; z++) {
        calendar_free(fold->zone[z].calendar);
        free(fold->zone[z].name);
    }
    free(fold->zone);
}

/* ---- checkpoints: "NAME SINCE MOVED" in the order of their numbers, which keys have; some tables of them ---- */

void zones_dump(const struct fold *fold, struct slice_out *out)
{
    static _Thread_local char text[ZONES_A_TABLE][ZONE_TEXT_MAX];
    const char *name[ZONES_A_TABLE];
    for (int first = 0, z; first < fold->zones; first += z) {
        for (z = 0; z < ZONES_A_TABLE && first + z < fold->zones; z++) {
            const struct zone *zone = &fold->zone[first + z];
            snprintf(text[z], sizeof text[z], "%.255s %lld %u", zone->name, (long long)zone->since_ms, zone->moved);
            name[z] = text[z];
        }
        slice_put_names(out, "zones", name, (uint32_t)z);
    }
}

bool zones_load(struct zones_saved *saved, const struct slice_names *names)
{
    saved->zone = fold_must(realloc(saved->zone, (saved->zones + names->count + 1) * sizeof *saved->zone));
    for (uint32_t i = 0; i < names->count; i++) {
        struct zone_saved *zone = &saved->zone[saved->zones];
        long long since_ms;
        *zone = (struct zone_saved){0};
        if (sscanf(names->name[i], "%255s %lld %u", zone->name, &since_ms, &zone->moved) != 3)
            return false;
        zone->since_ms = since_ms;
        saved->zones++;
    }
    return true;
}

void zones_saved_close(struct zones_saved *saved)
{
    for (uint32_t z = 0; z < saved->zones; z++)
        calendar_free(saved->zone[z].calendar);
    free(saved->zone);
    *saved = (struct zones_saved){0};
}

/* The windows that are not the same in both, from as far back as corrections reach to those that have begun. */
static uint32_t windows_that_differ(const struct config *config, struct calendar *was, struct calendar *is, int64_t newest_ms)
{
    uint32_t differ = 0;
    for (int w = 0; w < CALENDAR_COUNT; w++)
        for (int64_t at_ms = newest_ms - config->retention_correction_ms; at_ms <= newest_ms + day_ms; at_ms += day_ms) {
            int64_t start_ms, end_ms, was_start_ms, was_end_ms;
            calendar_bounds(was, (enum calendar_window)w, at_ms, &was_start_ms, &was_end_ms);
            calendar_bounds(is, (enum calendar_window)w, at_ms, &start_ms, &end_ms);
            differ |= (uint32_t)(start_ms != was_start_ms || end_ms != was_end_ms) << w;
        }
    return differ;
}

/* Asked for each key, and worked out for the first of them. */
static uint32_t moved_to(struct zone_saved *was, const struct zone *is, const struct config *config, int64_t newest_ms)
{
    struct zone then = {0};
    if (was->moves_to == is->calendar)
        return was->moves;
    if (was->calendar == NULL && calendar_new(was->name, &was->calendar) != 0)
        ensure(calendar_new("UTC", &was->calendar) == 0, "the machine has tzdata");
    was->moves_to = is->calendar;
    was->moves = windows_that_differ(config, was->calendar, is->calendar, newest_ms);
    then.calendar = was->calendar;
    baseline_zone(config, &then);
    was->baseline_moves = then.baseline_from_ms != is->baseline_from_ms || then.baseline_to_ms != is->baseline_to_ms;
    return was->moves;
}

bool zone_restore(struct fold *fold, struct key *key, struct zones_saved *saved, uint64_t number, int64_t newest_ms, int64_t now_ms)
{
    if (number >= saved->zones || newest_ms == INT64_MIN)
        return false;
    struct zone_saved *was = &saved->zone[number];
    const struct zone *is = &fold->zone[key->zone];
    bool another = strcmp(was->name, is->name) != 0;
    int64_t since_ms = another ? INT64_MAX : was->since_ms;
    uint32_t moved = another ? was->moved | moved_to(was, is, fold->config, newest_ms) : was->moved;
    fold->baseline_lost |= another && was->baseline_moves && baseline_is_late(fold->config, now_ms);
    if (moved && since_ms > newest_ms - LONGEST_DAYS * day_ms - fold->config->retention_correction_ms)
        key->zone = zone_of(fold, is->name, since_ms, moved);
    return another;
}

void zones_restored(struct fold *fold, int64_t after_ms)
{
    for (int z = 0; z < fold->zones; z++)
        if (fold->zone[z].since_ms == INT64_MAX)
            fold->zone[z].since_ms = after_ms;
}
