#include "esteem/demo_check.h"

#include <hiredis/hiredis.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "esteem/compute.h"
#include "esteem/err.h"
#include "esteem/row.h"

enum { TOLD_MOST = 5, INSTANTS_MAX = 64 };

/* A row's JSON without what differs by nature: `name` says which window it is, `figures` what is in it. */
struct entry {
    char *name;
    const char *figures;
    int64_t end_ms;
    bool rolling, seen;
};

struct entries {
    struct entry *entry;
    size_t count, room;
};

static struct entry *add(struct entries *entries, const char *json)
{
    if (entries->count == entries->room) {
        entries->room = entries->room ? entries->room * 2 : 1024;
        entries->entry = realloc(entries->entry, entries->room * sizeof *entries->entry);
        ensure(entries->entry != NULL, "the machine has memory left");
    }
    struct entry *entry = &entries->entry[entries->count];
    *entry = (struct entry){.name = strdup(json)};
    ensure(entry->name != NULL, "the machine has memory left");
    char *revision = strstr(entry->name, ",\"revision\":"), *measures = strstr(entry->name, "\"measures\":"), *end = strstr(entry->name, "\"end\":\"");
    if (revision == NULL || measures == NULL || end == NULL || !event_time_parse(end + 7, strcspn(end + 7, "\""), &entry->end_ms)) {
        free(entry->name);
        return NULL;
    }
    *revision = 0;
    entry->figures = measures;
    entries->count++;
    return entry;
}

static void entries_free(struct entries *entries)
{
    for (size_t i = 0; i < entries->count; i++)
        free(entries->entry[i].name);
    free(entries->entry);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct entry *)a)->name, ((const struct entry *)b)->name);
}

/* ---- what Redis has ---- */

static void read_row(redisContext *redis, const char *key, struct entries *rows)
{
    size_t length = strlen(key);
    if (length > 4 && strcmp(key + length - 4, ":now") == 0) /* compute has no present */
        return;
    redisReply *reply = redisCommand(redis, "HGET %s row", key);
    if (reply && reply->type == REDIS_REPLY_STRING && strstr(reply->str, "\"measures\":{}") == NULL) {
        struct entry *entry = add(rows, reply->str);
        if (entry)
            entry->rolling = strstr(reply->str, "\"partial\":true") != NULL;
    }
    if (reply)
        freeReplyObject(reply);
}

static int read_redis(const struct config *config, struct entries *rows)
{
    redisContext *redis = config->redis_socket[0] ? redisConnectUnix(config->redis_socket)
                                                  : redisConnect(config->redis_host, (int)config->redis_port);
    if (redis == NULL || redis->err) {
        err_set(ERR_REDIS, "%s", redis ? redis->errstr : "no memory");
        if (redis)
            redisFree(redis);
        return ERR_REDIS;
    }
    char cursor[32] = "0";
    do {
        redisReply *reply = redisCommand(redis, "SCAN %s MATCH esteem:v1:{* COUNT 1000", cursor);
        if (reply == NULL || reply->type != REDIS_REPLY_ARRAY || reply->elements != 2) {
            if (reply)
                freeReplyObject(reply);
            redisFree(redis);
            return err_set(ERR_REDIS, "SCAN was not answered");
        }
        snprintf(cursor, sizeof cursor, "%s", reply->element[0]->str);
        for (size_t i = 0; i < reply->element[1]->elements; i++)
            read_row(redis, reply->element[1]->element[i]->str, rows);
        freeReplyObject(reply);
    } while (strcmp(cursor, "0") != 0);
    redisFree(redis);
    return 0;
}

/* ---- what compute says ---- */

static int read_compute(const struct config *config, const char *feed_path, int64_t at_ms, bool calendars, struct entries *rows)
{
    struct compute compute = {config, &feed_path, 1, at_ms};
    struct compute_rows computed;
    struct row_view *view = calloc(1, sizeof *view);
    ensure(view != NULL, "the machine has memory left");
    int result = compute_rows(&compute, &computed);
    char *text = NULL;
    size_t room = 0;
    for (uint64_t i = 0; result == 0 && i < computed.count; i++) {
        if (!computed.row[i]->rolling && !calendars)
            continue;
        row_open(view, computed.row[i], config);
        if (!row_has(view, FAMILY_ALL))
            continue;
        row_json(view, FAMILY_ALL, config->publish_histograms, &text, &room);
        struct entry *entry = add(rows, text);
        if (entry)
            entry->rolling = computed.row[i]->rolling;
    }
    if (result == 0)
        compute_rows_free(&computed);
    free(text);
    free(view);
    return result;
}

/* The instants at which Redis' rolling rows end: one a slide. */
static int instants(const struct entries *rows, int64_t *at_ms)
{
    int count = 0;
    for (size_t i = 0; i < rows->count; i++) {
        if (!rows->entry[i].rolling)
            continue;
        int known = 0;
        while (known < count && at_ms[known] != rows->entry[i].end_ms)
            known++;
        if (known == count && count < INSTANTS_MAX)
            at_ms[count++] = rows->entry[i].end_ms;
    }
    return count;
}

static void compare(struct entries *redis, struct entries *computed, struct demo_check *check, FILE *out)
{
    uint64_t told = 0;
    qsort(computed->entry, computed->count, sizeof *computed->entry, by_name);
    for (size_t i = 0; i < redis->count; i++) {
        struct entry *row = &redis->entry[i];
        struct entry *want = bsearch(row, computed->entry, computed->count, sizeof *row, by_name);
        if (want)
            want->seen = true;
        bool equal = want && strcmp(want->figures, row->figures) == 0;
        check->equal += equal;
        check->different += !equal;
        if (!equal && told++ < TOLD_MOST)
            fprintf(out, "differs: %s\n  Redis:   %s\n  compute: %s\n", row->name, row->figures, want ? want->figures : "no such row");
    }
    check->rows = redis->count;
}

/* A rolling row of compute has to stand in Redis when it ends with its window's own slide: then Redis' row ends there too. */
static void find_missing(const struct config *config, const struct entries *redis, const struct entries *computed, struct demo_check *check,
                         FILE *out)
{
    for (size_t i = 0; i < computed->count; i++) {
        const struct entry *row = &computed->entry[i];
        if (!row->rolling || row->seen)
            continue;
        for (int w = 0; w < config->rolling_count; w++) {
            char window[40];
            snprintf(window, sizeof window, "\"window\":\"%s\"", config->rolling[w].name);
            int64_t newest_ms = INT64_MIN;
            if (strstr(row->name, window) == NULL)
                continue;
            for (size_t r = 0; r < redis->count; r++)
                if (redis->entry[r].rolling && strstr(redis->entry[r].name, window) && redis->entry[r].end_ms > newest_ms)
                    newest_ms = redis->entry[r].end_ms;
            if (newest_ms != row->end_ms)
                continue;
            if (check->missing++ < TOLD_MOST)
                fprintf(out, "missing in Redis: %s\n", row->name);
        }
    }
}

int demo_check(const struct config *config, const char *feed_path, struct demo_check *check, FILE *out)
{
    struct entries redis = {0}, computed = {0};
    int64_t at_ms[INSTANTS_MAX];
    *check = (struct demo_check){0};
    int result = read_redis(config, &redis);
    int count = instants(&redis, at_ms);
    for (int i = 0; i < count && result == 0; i++)
        result = read_compute(config, feed_path, at_ms[i], i == 0, &computed);
    if (result == 0) {
        compare(&redis, &computed, check, out);
        find_missing(config, &redis, &computed, check, out);
    }
    entries_free(&redis);
    entries_free(&computed);
    return result;
}
