/* redis_writer: which commands a row needs, and what a batch tells at its end.
 *
 *     MULTI  HSET | HSET HDEL | DEL HSET PEXPIRE  ...  ZADD ...  EXEC      PUBLISH ...  ZREMRANGEBYSCORE ...
 *     └─────────────── the open batch's transaction ────────────────┘      └──── told when it is committed ────┘
 *
 * A row is one HSET. Fields that the key has and the row has not (a metric without a denominator now, a `_small` no more) must
 * go: the writer remembers each key's fields as bits (key_memory.c) and takes them out with an HDEL; where the key is unknown it sends
 * DEL HSET PEXPIRE. That is one command instead of three for nearly all rows, and readers never see a key half
 * written. A `_small` that the key has is not written again: of an agent's row a quarter of the fields. Whatever casts doubt on
 * the memory (a new connection, an error, a fence that Redis has lost) clears it. The same memory knows when a key expires, so
 * PEXPIRE is sent only when less than half of its time is left.
 *
 * PUBLISH stands outside: Redis refuses a whole transaction for one command that the user may not send, and the right to
 * a channel is easily forgotten. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "esteem/err.h"
#include "redis_parts.h"

enum {
    TTL_MARGIN_MS = 600000,
    SCOPE_STEP_MS = 60000,    /* a scope's score is renewed in steps of this */
    SCOPE_KEPT_MS = 3600000,  /* and at least this often */
    TRIM_MS = 3600000,        /* dead scopes are taken out this often */
};

/* ---- life ---- */

/* Twice the window, so that the key outlives it; a calendar window may be corrected for a while. */
static int64_t ttl_ms(const struct config *config, int64_t length_ms, bool rolling)
{
    return 2 * length_ms + TTL_MARGIN_MS + (rolling ? 0 : config->retention_correction_ms);
}

/* What is now is told again every few minutes, also where it stays the same (now.c). */
static int64_t ttl_of(const struct row *row)
{
    return row->now ? TTL_MARGIN_MS : ttl_ms(row->config, row->end_ms - row->start_ms, row->rolling);
}

static int64_t ttl_most(const struct config *config)
{
    const int64_t month_ms = INT64_C(31) * 86400000;
    int64_t rolling = config->rolling_count ? config->rolling[config->rolling_count - 1].length_ms : 0;
    int64_t most = ttl_ms(config, rolling, true), calendar = ttl_ms(config, month_ms, false);
    return most > calendar ? most : calendar;
}

static void batch_init(struct redis_batch *batch)
{
    *batch = (struct redis_batch){.command = malloc(REDIS_ROWS_MAX * REDIS_ROW_COMMANDS * sizeof *batch->command)};
    ensure(batch->command != NULL, "the machine has memory left");
}

void redis_writer_init(struct redis_writer *writer, struct redis_link *link, const struct config *config)
{
    redis_fields_init();
    writer->link = link;
    writer->ttl_most_ms = ttl_most(config);
    writer->rows_most = REDIS_ROWS_MAX;
    batch_init(&writer->open);
    batch_init(&writer->sent);
    key_memory_init(&writer->keys, REDIS_KEYS_MAX);
    key_memory_init(&writer->scopes, REDIS_KEYS_MAX);
    redis_tenants_init(&writer->tenants, config->redis_head);
}

void redis_writer_close(struct redis_writer *writer)
{
    key_memory_close(&writer->keys);
    key_memory_close(&writer->scopes);
    redis_tenants_close(&writer->tenants);
    free(writer->open.command);
    free(writer->sent.command);
    free(writer->json);
    writer->json = NULL;
}

void redis_writer_forget(struct redis_writer *writer)
{
    key_memory_clear(&writer->keys);
    key_memory_clear(&writer->scopes);
    for (uint32_t i = 0; i < writer->tenants.count; i++)
        writer->tenants.tenant[i].serial = 0;
}

/* ---- keys ---- */

static size_t key_make(struct redis_writer *writer, const struct redis_tenant *tenant, const struct row *row)
{
    ensure(tenant->prefix_length + strlen(row->scope) + strlen(row->window_name) + 8 < REDIS_KEY_MAX, "names are bounded");
    char *at = mempcpy(writer->key, tenant->prefix, tenant->prefix_length);
    at = stpcpy(at, row->scope);
    *at++ = ':';
    at = stpcpy(at, row->window_name);
    if (!row->rolling && !row->running)
        at = stpcpy(at, ":last");
    return (size_t)(at - writer->key);
}

/* A command on one of the tenant's own keys: `scopes`, `changed`. */
static struct redis_expected *tenant_command(struct redis_writer *writer, const struct redis_tenant *tenant,
                                             enum redis_command command, int arguments, const char *name)
{
    char *end = stpcpy(mempcpy(writer->key, tenant->prefix, tenant->prefix_length), name);
    struct redis_expected *expected = redis_link_command(writer->link, command, arguments);
    redis_link_bytes(writer->link, writer->key, (size_t)(end - writer->key));
    return expected;
}

/* ---- a row ---- */

void redis_writer_batch(struct redis_writer *writer, const struct redis_expected *expected)
{
    ensure(writer->open.commands < REDIS_ROWS_MAX * REDIS_ROW_COMMANDS, "redis_writer_full was asked");
    writer->open.command[writer->open.commands++] = *expected;
}

static struct redis_expected *put_hset(struct redis_writer *writer, size_t key_length, bool histograms, const uint64_t *old)
{
    size_t length = row_json(&writer->view, FAMILY_ALL, histograms, &writer->json, &writer->json_room);
    return redis_put_hset(writer->link, writer->key, key_length, &writer->view, writer->json, length, old, writer->ends);
}

static void put_expire(struct redis_writer *writer, size_t key_length, int64_t ttl)
{
    redis_writer_batch(writer, redis_link_command(writer->link, REDIS_PEXPIRE, 2));
    redis_link_bytes(writer->link, writer->key, key_length);
    redis_link_integer(writer->link, ttl);
}

static void put_whole(struct redis_writer *writer, size_t key_length, int64_t ttl, bool histograms)
{
    redis_writer_batch(writer, redis_link_command(writer->link, REDIS_DEL, 1));
    redis_link_bytes(writer->link, writer->key, key_length);
    redis_writer_batch(writer, put_hset(writer, key_length, histograms, (uint64_t[KEY_WORDS]){0}));
    put_expire(writer, key_length, ttl);
}

static void key_set(struct key_known *key, uint64_t hash, int64_t expires_ms, const struct redis_fields *fields)
{
    key->hash = hash;
    key->expires_ms = expires_ms;
    memcpy(key->word, fields->word, sizeof key->word);
}

static void put_key(struct redis_writer *writer, size_t key_length, int64_t now_ms)
{
    const struct row *row = writer->view.row;
    const struct config *config = writer->view.config;
    uint64_t hash = key_memory_hash(writer->key, key_length, 0);
    struct redis_fields fields = redis_fields_of(&writer->view);
    struct key_known *key = key_memory_find(&writer->keys, hash, now_ms);
    int64_t ttl = ttl_of(row);
    if (row->config->serial < writer->serial) { /* of before a reload: its fields have other numbers */
        put_whole(writer, key_length, ttl, config->publish_histograms);
        if (key)
            key->expires_ms = now_ms;
        return;
    }
    if (key == NULL) {
        put_whole(writer, key_length, ttl, config->publish_histograms);
        if ((key = key_memory_put(&writer->keys, hash, now_ms)) != NULL)
            key_set(key, hash, now_ms + ttl, &fields);
        return;
    }
    struct redis_expected *expected = put_hset(writer, key_length, config->publish_histograms, key->word);
    expected->row = true;
    expected->key = hash;
    redis_writer_batch(writer, expected);
    if (redis_fields_lost(key->word, fields.word))
        redis_writer_batch(writer, redis_put_hdel(writer->link, writer->key, key_length, &writer->view, key->word, fields.word, writer->ends));
    memcpy(key->word, fields.word, sizeof key->word);
    if (key->expires_ms - now_ms < ttl / 2) {
        put_expire(writer, key_length, ttl);
        key->expires_ms = now_ms + ttl;
    }
}

/* The newest instant that is known to be in a row: the end of what is over, the start of what runs. */
static int64_t row_score(const struct row *row)
{
    return row->running && !row->rolling ? row->start_ms : row->end_ms;
}

static void put_scope(struct redis_writer *writer, struct redis_tenant *tenant, const struct row *row, int64_t now_ms)
{
    int64_t score = row_score(row);
    uint64_t hash = key_memory_hash(row->scope, strlen(row->scope), tenant->hash);
    struct key_known *known = key_memory_find(&writer->scopes, hash, now_ms);
    if (known && score < (int64_t)known->word[0] + SCOPE_STEP_MS)
        return;
    redis_writer_batch(writer, tenant_command(writer, tenant, REDIS_ZADD, 3, "scopes"));
    redis_link_integer(writer->link, score);
    redis_link_text(writer->link, row->scope);
    if ((known = key_memory_put(&writer->scopes, hash, now_ms)) != NULL)
        *known = (struct key_known){hash, now_ms + SCOPE_KEPT_MS, {(uint64_t)score}};
    tenant->newest_ms = score > tenant->newest_ms ? score : tenant->newest_ms;
}

/* The newest alert of a goal and scope, in a hash, as long as there is the goal; and to be told at the batch's end. */
static void put_alert(struct redis_writer *writer, struct redis_tenant *tenant, const struct row *row)
{
    char field[sizeof row->config->goal->field + ROW_SCOPE_MAX];
    size_t length = row_alert_json(row, &writer->json, &writer->json_room);
    snprintf(field, sizeof field, "%s|%s", row->goal, row->scope);
    if (row->alert.state == ROW_ALERT_REMOVED) {
        struct redis_expected *expected = tenant_command(writer, tenant, REDIS_HDEL, 2, "alerts");
        expected->alone = true;
        redis_writer_batch(writer, expected);
        redis_link_text(writer->link, field);
    } else {
        redis_writer_batch(writer, tenant_command(writer, tenant, REDIS_HSET, 3, "alerts"));
        redis_link_text(writer->link, field);
        redis_link_bytes(writer->link, writer->json, length);
        redis_writer_batch(writer, tenant_command(writer, tenant, REDIS_PEXPIRE, 2, "alerts"));
        redis_link_integer(writer->link, writer->ttl_most_ms);
    }
    redis_tenant_alert(&writer->tenants, tenant, writer->json, length);
}

void redis_writer_pace(struct redis_writer *writer, int64_t took_ms)
{
    uint32_t rows = writer->sent.rows, half = writer->rows_most / 2, twice = writer->rows_most * 2;
    if (took_ms > 2 * REDIS_BUSY_MS)
        writer->rows_most = half > REDIS_ROWS_LEAST ? half : REDIS_ROWS_LEAST;
    else if (took_ms < REDIS_BUSY_MS && rows >= writer->rows_most)
        writer->rows_most = twice < REDIS_ROWS_MAX ? twice : REDIS_ROWS_MAX;
}

bool redis_writer_full(const struct redis_writer *writer)
{
    return writer->open.rows >= writer->rows_most || writer->open.commands + REDIS_ROW_COMMANDS_MOST > REDIS_ROWS_MAX * REDIS_ROW_COMMANDS ||
           redis_link_waiting(writer->link) >= REDIS_BYTES_MAX ||
           writer->tenants.count >= REDIS_TENANTS_MAX;
}

void redis_writer_put(struct redis_writer *writer, const struct row *row, int64_t now_ms)
{
    struct redis_tenant *tenant = redis_tenant_find(&writer->tenants, row->tenant);
    if (writer->open.rows++ == 0) {
        writer->tenants.run += writer->sent.rows == 0;
        redis_link_command(writer->link, REDIS_MULTI, 0);
    }
    if (row->alert.state) {
        put_alert(writer, tenant, row);
        return;
    }
    if (row->config->serial > writer->serial) { /* a reload: what is remembered of keys has other numbers */
        writer->serial = row->config->serial;
        writer->ttl_most_ms = ttl_most(row->config);
        key_memory_clear(&writer->keys);
    }
    row_open(&writer->view, row, row->config);
    size_t key_length = key_make(writer, tenant, row);
    put_key(writer, key_length, now_ms);
    redis_tenant_changed(&writer->tenants, tenant, writer->key, key_length);
    put_scope(writer, tenant, row, now_ms);
    if (!row->now)
        redis_put_goals(writer, tenant, ttl_of(row));
}

/* Where all fields were new, Redis had dropped the key (evicted, deleted), and its time to live: the next write is a whole one. */
bool redis_writer_hset_done(struct redis_writer *writer, const struct redis_expected *hset, int64_t fields_new, int64_t now_ms)
{
    struct key_known *key = hset->row && fields_new == hset->fields ? key_memory_find(&writer->keys, hset->key, now_ms) : NULL;
    if (key)
        key->expires_ms = now_ms;
    return key != NULL;
}

/* ---- the end of a batch ---- */

/* Scopes whose keys have all expired. The scores are event time, and so is what they are held against. */
static void trim_scopes(struct redis_writer *writer, struct redis_tenant *tenant)
{
    if (tenant->newest_ms == INT64_MIN ||
        (tenant->trimmed_ms != INT64_MIN && tenant->newest_ms - tenant->trimmed_ms < TRIM_MS))
        return;
    tenant->trimmed_ms = tenant->newest_ms;
    tenant_command(writer, tenant, REDIS_ZREMRANGEBYSCORE, 3, "scopes");
    redis_link_text(writer->link, "-inf");
    redis_link_integer(writer->link, tenant->newest_ms - writer->ttl_most_ms);
}

static void tell_tenant(struct redis_writer *writer, struct redis_tenant *tenant)
{
    if (tenant->keys_length) {
        tenant_command(writer, tenant, REDIS_PUBLISH, 2, "changed");
        redis_link_bytes(writer->link, tenant->keys, tenant->keys_length);
    }
    for (size_t at = 0; at < tenant->alerts_length; at += strlen(tenant->alerts + at) + 1) {
        tenant_command(writer, tenant, REDIS_PUBLISH, 2, "alerts");
        redis_link_text(writer->link, tenant->alerts + at);
    }
    trim_scopes(writer, tenant);
    redis_tenant_told(tenant);
}

void redis_writer_commit(struct redis_writer *writer)
{
    struct redis_tenants *tenants = &writer->tenants;
    struct redis_batch emptied = writer->sent;
    ensure(emptied.rows == 0, "one transaction is on its way at a time");
    redis_link_command(writer->link, REDIS_EXEC, 0);
    while (tenants->dirty_count)
        tell_tenant(writer, &tenants->tenant[tenants->dirty[--tenants->dirty_count]]);
    if (tenants->count >= REDIS_TENANTS_MAX) {
        redis_tenants_clear(tenants);
        tenants->serial = writer->serial; /* their sets stand as they are */
    }
    emptied.commands = 0;
    writer->sent = writer->open;
    writer->open = emptied;
}

void redis_writer_drop(struct redis_writer *writer)
{
    writer->open.commands = writer->open.rows = 0;
    writer->sent.commands = writer->sent.rows = 0;
    redis_tenants_clear(&writer->tenants);
    redis_writer_forget(writer);
}
