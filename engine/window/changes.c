/* What a reload means for rows: keys of scopes that are no longer configured make none; those of scopes that came with one say since when they
 * are whole; and a row whose window began before a change of the settings names the configurations that had a part in it.
 *
 * The instant of a change is one of event time: that of the newest event that had been read when the last shard took the new configuration over.
 * What lies behind it was counted under the new one. Until all have, every row counts as of before. */
#include "fold_parts.h"

#include "esteem/varint.h"

static void scope_begins(struct fold *fold, uint32_t mask)
{
    struct changes *changes = &fold->changes;
    int i = 0;
    while (i < changes->scopes && changes->scope[i].mask != mask)
        i++;
    ensure(i < CHANGES_SCOPES_MAX, "what is not configured has been taken out, and a configuration has fewer scopes");
    changes->scopes += i == changes->scopes;
    changes->scope[i] = (struct scope_change){mask, INT64_MAX};
}

static void scope_ends(struct changes *changes, const struct config *next)
{
    int kept = 0;
    for (int i = 0; i < changes->scopes; i++)
        if (config_has_scope(next, changes->scope[i].mask))
            changes->scope[kept++] = changes->scope[i];
    changes->scopes = kept;
}

/* An id that comes again takes the place of its newest change: each is named once. */
static void id_ends(struct changes *changes, const char *id)
{
    int kept = 0;
    for (int i = 0; i < changes->ids; i++)
        if (strcmp(changes->id[i].id, id) != 0)
            changes->id[kept++] = changes->id[i];
    if (kept == ROW_CONFIGS_MAX) /* the oldest is named no more */
        memmove(changes->id, changes->id + 1, (size_t)--kept * sizeof *changes->id);
    changes->id[kept] = (struct id_change){.until_ms = INT64_MAX};
    snprintf(changes->id[kept].id, sizeof changes->id[kept].id, "%s", id);
    changes->ids = kept + 1;
}

void changes_reload(struct fold *fold, const struct config *next)
{
    const struct config *old = fold->config;
    struct changes *changes = &fold->changes;
    scope_ends(changes, next);
    for (int s = 0; s < next->scope_count; s++)
        if (!config_has_scope(old, next->scope[s].dimensions))
            scope_begins(fold, next->scope[s].dimensions);
    if (strcmp(old->id, next->id) != 0)
        id_ends(changes, old->id);
    changes->serial = next->serial;
    changes->pending = true;
    for (uint32_t k = 0; k < fold->keys; k++)
        fold->key[k]->hidden = !config_has_scope(next, fold->key[k]->mask & ~(uint32_t)SCOPE_AGENTS);
}

void changes_hear(struct fold *fold, const struct batch *batch)
{
    struct changes *changes = &fold->changes;
    int64_t newest_ms = INT64_MIN;
    fold->shard[batch->shard].serial = batch->serial;
    if (!changes->pending)
        return;
    for (int i = 0; i < fold->setup.shards; i++) {
        if (fold->shard[i].serial < changes->serial)
            return;
        newest_ms = fold->shard[i].told.newest_ms > newest_ms ? fold->shard[i].told.newest_ms : newest_ms;
    }
    changes->pending = false;
    for (int i = 0; i < changes->scopes; i++)
        if (changes->scope[i].since_ms == INT64_MAX)
            changes->scope[i].since_ms = newest_ms == INT64_MIN ? INT64_MIN : newest_ms + 1;
    for (int i = 0; i < changes->ids; i++)
        if (changes->id[i].until_ms == INT64_MAX)
            changes->id[i].until_ms = newest_ms == INT64_MIN ? INT64_MIN : newest_ms + 1;
}

/* ---- checkpoints ---- */

static void put_config(struct slice_out *out, const char *id, int64_t until_ms)
{
    uint8_t *at = slice_text(slice_put(out, SLICE_CONFIG, strlen(id) + 11 + VARINT_MAX), id, strlen(id));
    slice_put_end(out, varint_put(at, zigzag(until_ms)));
}

int64_t changes_scope_since_ms(const struct changes *changes, uint32_t mask)
{
    int64_t since_ms = INT64_MIN;
    for (int i = 0; i < changes->scopes; i++)
        if (changes->scope[i].mask == mask)
            since_ms = changes->scope[i].since_ms;
    return since_ms;
}

void changes_dump(const struct fold *fold, struct slice_out *out)
{
    const struct changes *changes = &fold->changes;
    for (int s = 0; s < fold->config->scope_count; s++) {
        uint32_t mask = fold->config->scope[s].dimensions;
        uint8_t *at = varint_put(slice_put(out, SLICE_SCOPE, 2 * VARINT_MAX), mask);
        slice_put_end(out, varint_put(at, zigzag(changes_scope_since_ms(changes, mask))));
    }
    for (int i = 0; i < changes->ids; i++)
        put_config(out, changes->id[i].id, changes->id[i].until_ms == INT64_MAX ? fold_newest_ms(fold) : changes->id[i].until_ms);
    put_config(out, fold->config->id, INT64_MAX);
}

void changes_restore_scope(struct fold *fold, uint32_t mask, int64_t since_ms)
{
    struct changes *changes = &fold->changes;
    int i = 0;
    while (i < changes->scopes && changes->scope[i].mask != mask)
        i++;
    if (since_ms == INT64_MIN || i == CHANGES_SCOPES_MAX || !config_has_scope(fold->config, mask))
        return;
    changes->scope[i] = (struct scope_change){mask, i < changes->scopes && changes->scope[i].since_ms > since_ms ? changes->scope[i].since_ms : since_ms};
    changes->scopes += i == changes->scopes;
}

void changes_restore_config(struct fold *fold, const char *id, int64_t until_ms)
{
    struct changes *changes = &fold->changes;
    int i = 0;
    while (i < changes->ids && strcmp(changes->id[i].id, id) != 0)
        i++;
    if (i == ROW_CONFIGS_MAX || until_ms == INT64_MIN)
        return;
    if (i == changes->ids) {
        changes->id[changes->ids++] = (struct id_change){.until_ms = INT64_MIN};
        snprintf(changes->id[i].id, sizeof changes->id[i].id, "%s", id);
    }
    changes->id[i].until_ms = until_ms > changes->id[i].until_ms ? until_ms : changes->id[i].until_ms;
}

/* ---- rows ---- */

int64_t changes_since_ms(const struct fold *fold, const struct key *key, bool rolling, int window, int64_t start_ms)
{
    const struct changes *changes = &fold->changes;
    const struct zone *zone = &fold->zone[key->zone];
    int64_t since_ms = changes_scope_since_ms(changes, key->mask);
    if (since_ms == INT64_MAX)
        since_ms = fold->now_ms;
    if (rolling && changes->rolling_since_ms[window] > since_ms)
        since_ms = changes->rolling_since_ms[window];
    if (!rolling && zone->moved >> window & 1 && zone->since_ms > since_ms)
        since_ms = zone->since_ms;
    return since_ms > start_ms ? since_ms : INT64_MIN;
}

void changes_head(const struct fold *fold, const struct key *key, struct row *head)
{
    const struct changes *changes = &fold->changes;
    head->since_ms = changes_since_ms(fold, key, head->rolling, head->window, head->start_ms);
    head->partial |= head->since_ms != INT64_MIN;
    for (int i = 0; i < changes->ids; i++)
        if (changes->id[i].until_ms > head->start_ms && strcmp(changes->id[i].id, fold->config->id) != 0)
            memcpy(head->before[head->befores++], changes->id[i].id, sizeof head->before[0]);
}
