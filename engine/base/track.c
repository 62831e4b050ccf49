#include "esteem/track.h"

#include <stdlib.h>

#include "esteem/err.h"

void track_close(struct track *track)
{
    free(track->changed);
    free(track->due);
    *track = (struct track){0};
}

bool track_begin(struct track *track, bool full, uint32_t made)
{
    ensure(!track->running, "one checkpoint runs at a time");
    full = full || !track->on;
    track->on = true;
    uint32_t *list = track->due, room = track->due_room;
    track->due = track->changed;
    track->due_count = track->changed_count;
    track->due_room = track->changed_room;
    track->changed = list;
    track->changed_room = room;
    track->changed_count = 0;
    track->number++; /* a mark is at most 255 checkpoints old: a full one renews all, and comes sooner (checkpoint.c) */
    track->running = true;
    track->full = full;
    track->next = 0;
    track->end = full ? made : track->due_count;
    return full;
}

bool track_on(const struct track *track)
{
    return track->on;
}

static void lose(struct track *track)
{
    track->on = false;
    track->changed_count = 0;
}

bool track_gone(struct track *track, uint32_t noted, uint32_t most)
{
    if (noted == most)
        lose(track);
    return track->on;
}

void track_give_up(struct track *track)
{
    lose(track);
    track->running = false;
}

static void list_put(struct track *track, uint32_t item, struct mark *mark)
{
    if (track->changed_count == TRACK_MOST)
        lose(track);
    if (!track->on)
        return;
    if (track->changed_count == track->changed_room) {
        track->changed_room = track->changed_room ? track->changed_room * 2 : 1024;
        track->changed = realloc(track->changed, track->changed_room * sizeof *track->changed);
        ensure(track->changed != NULL, "the machine has memory left");
    }
    track->changed[track->changed_count++] = item;
    mark->dirty = true;
}

void track_new(struct track *track, uint32_t item, struct mark *mark)
{
    mark->written = track->number;
    list_put(track, item, mark);
}

static bool due(const struct track *track, const struct mark *mark)
{
    return track->running && mark->written != track->number && (track->full || mark->dirty);
}

bool track_touch(struct track *track, uint32_t item, struct mark *mark)
{
    bool first = due(track, mark);
    if (first)
        mark->dirty = false; /* it stood in the list that is being written */
    mark->written = track->number;
    if (!mark->dirty)
        list_put(track, item, mark);
    return first;
}

bool track_next(struct track *track, uint32_t *item)
{
    if (track->next == track->end) {
        track->running = false;
        return false;
    }
    *item = track->full ? track->next : track->due[track->next];
    track->next++;
    return true;
}

bool track_take(struct track *track, struct mark *mark)
{
    if (!due(track, mark))
        return false;
    mark->written = track->number;
    mark->dirty = false;
    return true;
}
