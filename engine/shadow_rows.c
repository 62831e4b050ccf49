/* shadow_rows: the shadow's rows in Redis and the live ones: held against each other, or deleted.
 *
 *     SCAN esteem:v1:{*             ──HGET row──> live file   ──┐ rows that can be compared ──> diff.c, what changes most first
 *     SCAN esteem:v1:shadow.NAME:{* ──HGET row──> shadow file ──┘ the others are counted
 *
 * Of what is now, and of rows that have been emptied, nothing is compared. A row whose window both have, but of other instants (the
 * shadow stopped a while ago), is counted as apart. Memory: 48 bytes a row; the rows themselves are in temporary files. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <xxhash.h>

#include "esteem/command.h"
#include "esteem/diff.h"
#include "esteem/err.h"
#include "esteem/recall.h"
#include "redis_ask.h"
#include "row_lines.h"
#include "shadow_parts.h"

enum { LIVE, SHADOW, SIDES };
enum { SCAN_COUNT = 500 };

/* ---- Redis ---- */

static redisContext *open_redis(const struct config *config)
{
    return redis_ask_open(config->redis_socket, config->redis_host, (int)config->redis_port, config);
}

/* Hands each answer of SCAN to `each`: some hundred keys. */
typedef int keys_each(void *context, redisContext *redis, redisReply *keys);
static int scan(redisContext *redis, const char *pattern, keys_each *each, void *context)
{
    char cursor[24] = "0", count[16];
    int result = 0;
    snprintf(count, sizeof count, "%d", SCAN_COUNT);
    do {
        redisReply *reply = redis_ask(redis, 6, (const char *[]){"SCAN", cursor, "MATCH", pattern, "COUNT", count});
        if (reply == NULL)
            return ERR_REDIS;
        bool good = reply->type == REDIS_REPLY_ARRAY && reply->elements == 2 && reply->element[0]->type == REDIS_REPLY_STRING &&
                    reply->element[1]->type == REDIS_REPLY_ARRAY;
        if (good)
            snprintf(cursor, sizeof cursor, "%s", reply->element[0]->str);
        result = good ? each(context, redis, reply->element[1]) : err_set(ERR_REDIS, "SCAN: an answer that is none");
        freeReplyObject(reply);
    } while (result == 0 && strcmp(cursor, "0") != 0);
    return result;
}

/* ---- deleting ---- */

static int delete_keys(void *context, redisContext *redis, redisReply *keys)
{
    uint64_t *deleted = context;
    const char **word = calloc(keys->elements + 1, sizeof *word);
    size_t *length = calloc(keys->elements + 1, sizeof *length);
    ensure(word && length, "the machine has memory left");
    word[0] = "UNLINK";
    length[0] = strlen(word[0]);
    for (size_t i = 0; i < keys->elements; i++) {
        word[i + 1] = keys->element[i]->str;
        length[i + 1] = keys->element[i]->len;
    }
    redisReply *reply = keys->elements ? redisCommandArgv(redis, (int)keys->elements + 1, word, length) : NULL;
    int result = 0;
    if (keys->elements && (reply == NULL || reply->type != REDIS_REPLY_INTEGER))
        result = err_set(ERR_REDIS, "UNLINK: %s", reply ? reply->str : redis->errstr);
    else if (reply)
        *deleted += (uint64_t)reply->integer;
    if (reply)
        freeReplyObject(reply);
    free(word);
    free(length);
    return result;
}

int shadow_rows_drop(const struct shadow *shadow, uint64_t *deleted)
{
    char pattern[128];
    redisContext *redis = open_redis(shadow->config);
    *deleted = 0;
    if (redis == NULL)
        return ERR_REDIS;
    snprintf(pattern, sizeof pattern, "%s*", shadow->config->redis_head);
    int result = scan(redis, pattern, delete_keys, deleted);
    redisFree(redis);
    return result;
}

/* ---- reading ---- */

struct found {
    XXH128_hash_t name; /* tenant, scope, window */
    int64_t start_ms, offset;
    int side;
    bool drop; /* read, and then not to be compared */
};

struct rows {
    const char *head;
    int side;
    char path[SIDES][SHADOW_PATH_MAX];
    FILE *file[SIDES];
    struct found *found;
    size_t count, room;
    int64_t now, emptied, apart;
    int64_t kept[SIDES];
};

/* Whether it may be a row of a window: not a set, not what is now. */
static bool is_window(struct rows *rows, const char *key)
{
    struct recall_name name;
    bool last;
    if (!recall_redis_key(rows->head, key, strlen(key), &name, &last))
        return false;
    if (name.window.length == 3 && memcmp(name.window.at, "now", 3) == 0) {
        rows->now += rows->side == SHADOW;
        return false;
    }
    return true;
}

static int add_row(struct rows *rows, const char *text)
{
    struct row_key key;
    jv row = jv_parse(text);
    if (jv_get_kind(row) != JV_KIND_OBJECT || row_key_of(row, &key) != 0) { /* another program's key */
        jv_free(row);
        err_clear();
        return 0;
    }
    jv measures = jv_object_get(jv_copy(row), jv_string("measures"));
    bool empty = jv_get_kind(measures) != JV_KIND_OBJECT || jv_object_length(jv_copy(measures)) == 0;
    jv_free(measures);
    jv_free(row);
    if (rows->count == rows->room) {
        rows->room = rows->room ? rows->room * 2 : 1024;
        rows->found = realloc(rows->found, rows->room * sizeof *rows->found);
        ensure(rows->found != NULL, "the machine has memory left");
    }
    FILE *file = rows->file[rows->side];
    if (empty)
        rows->emptied++;
    else
        rows->found[rows->count++] = (struct found){.name = XXH3_128bits(key.text, (size_t)(key.window - key.text) + strlen(key.window)),
                                                    .start_ms = key.start_ms, .offset = ftello(file), .side = rows->side};
    row_key_close(&key);
    if (!empty && fprintf(file, "%s\n", text) < 0)
        return err_set(ERR_IO, "%s: %s", rows->path[rows->side], strerror(errno));
    return 0;
}

static int read_keys(void *context, redisContext *redis, redisReply *keys)
{
    struct rows *rows = context;
    size_t asked = 0;
    int result = 0;
    for (size_t i = 0; i < keys->elements; i++)
        if (is_window(rows, keys->element[i]->str)) {
            redisAppendCommandArgv(redis, 3, (const char *[]){"HGET", keys->element[i]->str, "row"}, NULL);
            asked++;
        }
    for (; asked > 0 && result == 0; asked--) {
        redisReply *reply;
        if (redisGetReply(redis, (void **)&reply) != REDIS_OK)
            return err_set(ERR_REDIS, "HGET: %s", redis->errstr);
        if (reply->type == REDIS_REPLY_STRING) /* else it has expired, or is no hash */
            result = add_row(rows, reply->str);
        freeReplyObject(reply);
    }
    return result;
}

static int open_files(struct rows *rows)
{
    const char *folder = getenv("TMPDIR");
    for (int side = 0; side < SIDES; side++) {
        snprintf(rows->path[side], sizeof rows->path[side], "%s/esteem-shadow.XXXXXX", folder && *folder ? folder : "/tmp");
        int file = mkstemp(rows->path[side]);
        rows->file[side] = file < 0 ? NULL : fdopen(file, "w+");
        if (rows->file[side] == NULL)
            return err_set(ERR_IO, "%s: %s", rows->path[side], strerror(errno));
    }
    return 0;
}

static void close_rows(struct rows *rows)
{
    for (int side = 0; side < SIDES; side++)
        if (rows->file[side]) {
            fclose(rows->file[side]);
            unlink(rows->path[side]);
        }
    free(rows->found);
}

static int read_rows(const struct shadow *shadow, struct rows *rows)
{
    redisContext *redis = open_redis(shadow->live);
    int result = redis ? 0 : ERR_REDIS;
    for (rows->side = 0; rows->side < SIDES && result == 0; rows->side++) {
        char pattern[128];
        rows->head = rows->side == LIVE ? shadow->live->redis_head : shadow->config->redis_head;
        snprintf(pattern, sizeof pattern, "%s{*", rows->head);
        result = scan(redis, pattern, read_keys, rows);
    }
    if (redis)
        redisFree(redis);
    return result;
}

/* ---- which of them to compare ---- */

static int by_name(const void *left, const void *right)
{
    const struct found *a = left, *b = right;
    int order = XXH128_cmp(&a->name, &b->name);
    if (order)
        return order;
    if (a->start_ms != b->start_ms)
        return a->start_ms < b->start_ms ? -1 : 1;
    return a->side != b->side ? a->side - b->side : (a->offset > b->offset) - (a->offset < b->offset);
}

static bool same_row(const struct found *a, const struct found *b)
{
    return XXH128_isEqual(a->name, b->name) && a->start_ms == b->start_ms;
}

/* Of a window that both have, rows without a partner on either side are of other instants. SCAN may name a key twice: the later is kept. */
static void settle_name(struct rows *rows, size_t first, size_t end)
{
    bool alone[SIDES] = {false, false};
    for (int pass = 0; pass < 2; pass++)
        for (size_t i = first; i < end; i++) {
            struct found *row = &rows->found[i];
            bool again = i + 1 < end && same_row(row, &rows->found[i + 1]) && rows->found[i + 1].side == row->side;
            bool paired = false;
            for (size_t k = first; k < end; k++)
                paired |= rows->found[k].side != row->side && rows->found[k].start_ms == row->start_ms;
            if (pass == 0) {
                alone[row->side] |= !paired;
                row->drop = again;
            } else if (!paired && !row->drop && alone[LIVE] && alone[SHADOW]) {
                row->drop = true;
                rows->apart++;
            }
        }
}

static void settle(struct rows *rows)
{
    if (rows->count)
        qsort(rows->found, rows->count, sizeof *rows->found, by_name);
    for (size_t first = 0, end; first < rows->count; first = end) {
        for (end = first + 1; end < rows->count && XXH128_isEqual(rows->found[first].name, rows->found[end].name); end++)
            ;
        settle_name(rows, first, end);
    }
}

static int by_offset(const void *left, const void *right)
{
    const struct found *a = left, *b = right;
    return a->side != b->side ? a->side - b->side : (a->offset > b->offset) - (a->offset < b->offset);
}

/* Blanks the rows that are not compared: diff.c passes over blank lines. */
static int blank(struct rows *rows)
{
    if (rows->count)
        qsort(rows->found, rows->count, sizeof *rows->found, by_offset);
    for (size_t i = 0; i < rows->count; i++) {
        const struct found *row = &rows->found[i];
        FILE *file = rows->file[row->side];
        rows->kept[row->side] += !row->drop;
        if (!row->drop)
            continue;
        bool last = i + 1 == rows->count || rows->found[i + 1].side != row->side;
        if (fseeko(file, 0, SEEK_END) != 0)
            return err_set(ERR_IO, "%s: %s", rows->path[row->side], strerror(errno));
        int64_t end = last ? (int64_t)ftello(file) : rows->found[i + 1].offset;
        if (fseeko(file, row->offset, SEEK_SET) != 0)
            return err_set(ERR_IO, "%s: %s", rows->path[row->side], strerror(errno));
        for (int64_t at = row->offset; at < end - 1; at++)
            putc(' ', file);
    }
    for (int side = 0; side < SIDES; side++)
        if (fflush(rows->file[side]) != 0)
            return err_set(ERR_IO, "%s: %s", rows->path[side], strerror(errno));
    return 0;
}

/* ---- the whole ---- */

static void tell_counts(const struct shadow *shadow, const struct rows *rows)
{
    if (shadow->json)
        printf("{\"shadow\":{\"rows_live\":%" PRId64 ",\"rows_shadow\":%" PRId64 ",\"apart\":%" PRId64 ",\"emptied\":%" PRId64 ",\"now\":%" PRId64 "}}\n",
               rows->kept[LIVE], rows->kept[SHADOW], rows->apart, rows->emptied, rows->now);
    else
        printf("%" PRId64 " rows live and %" PRId64 " of the shadow held against each other; not compared: %" PRId64 " that end at other instants, %" PRId64
               " that are empty, %" PRId64 " of what is now\n", rows->kept[LIVE], rows->kept[SHADOW], rows->apart, rows->emptied, rows->now);
}

int shadow_compare(const struct shadow *shadow)
{
    struct rows *rows = calloc(1, sizeof *rows);
    ensure(rows != NULL, "the machine has memory left");
    struct diff_counts counts = {0};
    int result = open_files(rows);
    if (result == 0)
        result = read_rows(shadow, rows);
    if (result == 0) {
        settle(rows);
        result = blank(rows);
    }
    if (result == 0 && rows->kept[SHADOW] == 0)
        result = err_set(ERR_REDIS, "Redis has no rows of shadow %s that could be compared; run esteem shadow %s first", shadow->name, shadow->name);
    struct diff_setup setup = {.path = {rows->path[LIVE], rows->path[SHADOW]}, .name = {"live", "shadow"}, .json = shadow->json, .by_size = true, .out = stdout};
    if (result == 0)
        result = diff_rows(&setup, &counts);
    if (result == 0)
        tell_counts(shadow, rows);
    if (result == 0 && fflush(stdout) != 0)
        result = err_set(ERR_IO, "standard output: %s", strerror(errno));
    close_rows(rows);
    free(rows);
    if (result != 0) {
        fprintf(stderr, "esteem shadow compare: %s\n", err_text());
        return EXIT_USAGE;
    }
    return counts.differing || counts.only_old || counts.only_new ? EXIT_FAILED : EXIT_DONE;
}
