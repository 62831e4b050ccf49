/* recall_redis: the names in Redis, over a connection of its own:
 *
 *   AWAY ──> CONNECTING ──> AUTH, SELECT ──> SCAN, then HGET start of the calendar rows that it found ──> SCAN ... ──> cursor 0: done
 *
 * A step asks once and takes what has come. A broken connection begins again at cursor 0: a name that comes twice does no harm. A user that
 * may not SCAN ends it with a word: what a killed life told then stays until its time to live is over. */
#include <stdlib.h>
#include <string.h>

#include "esteem/err.h"
#include "esteem/log.h"
#include "esteem/recall.h"
#include "redis_parts.h"

enum { SCAN_COUNT = 500, RETRY_MS = 1000, KEYS_MOST = 1 << 14 /* of one SCAN's answer that wait for their start */ };

enum phase { AWAY, CONNECTING, SCANNING, STARTS, DONE };

struct redis {
    const struct config *config;
    struct recall *recall; /* of the step at hand */
    struct redis_link link;
    enum phase phase;
    int64_t retry_ms, progress_ms;
    char cursor[24];
    char pattern[REDIS_HEAD_MAX + sizeof "{*"]; /* of SCAN */
    char **key; /* calendar rows: whose start has been asked for, in order */
    uint32_t keys, answered;
    bool failed, told;
};

/* ---- names ---- */

static void put_name(struct redis *redis, const char *key, const char *start, size_t start_length)
{
    const struct config *config = redis->config;
    struct recall_name name;
    bool last;
    if (!recall_redis_key(config->redis_head, key, strlen(key), &name, &last))
        return;
    if (start)
        name.start = (struct recall_text){start, start_length};
    struct recalled *row = recalled_new(config, &name);
    if (row == NULL)
        return;
    row->record = RECALL_REDIS;
    row->running = start && !last;
    row->last = last;
    recall_put(redis->recall, row);
}

static bool is_calendar(const struct config *config, const char *key)
{
    struct recall_name name;
    bool last;
    if (!recall_redis_key(config->redis_head, key, strlen(key), &name, &last))
        return false;
    for (int w = 0; w < CALENDAR_COUNT; w++)
        if (strlen(calendar_names[w]) == name.window.length && memcmp(calendar_names[w], name.window.at, name.window.length) == 0)
            return true;
    return false;
}

/* ---- talking ---- */

static void ask_scan(struct redis *redis)
{
    redis_link_command(&redis->link, REDIS_SCAN, 5);
    redis_link_text(&redis->link, redis->cursor);
    redis_link_text(&redis->link, "MATCH");
    redis_link_text(&redis->link, redis->pattern);
    redis_link_text(&redis->link, "COUNT");
    redis_link_integer(&redis->link, SCAN_COUNT);
    redis->phase = SCANNING;
}

static void keys_free(struct redis *redis)
{
    for (uint32_t i = 0; i < redis->keys; i++)
        free(redis->key[i]);
    redis->keys = redis->answered = 0;
}

/* After an answer: the starts that it needs, else the next SCAN. */
static void go_on(struct redis *redis)
{
    if (redis->answered < redis->keys) {
        redis->phase = STARTS;
        return;
    }
    keys_free(redis);
    if (strcmp(redis->cursor, "0") == 0)
        redis->phase = DONE;
    else
        ask_scan(redis);
}

static void take_key(struct redis *redis, const char *key)
{
    if (!is_calendar(redis->config, key)) {
        put_name(redis, key, NULL, 0);
        return;
    }
    if (redis->keys == KEYS_MOST) { /* no answer of SCAN is that long */
        redis->failed = true;
        return;
    }
    redis->key[redis->keys++] = strdup(key);
    redis_link_command(&redis->link, REDIS_HGET, 2);
    redis_link_text(&redis->link, key);
    redis_link_text(&redis->link, "start");
}

static void scanned(struct redis *redis, const redisReply *reply)
{
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 2 || reply->element[0]->type != REDIS_REPLY_STRING ||
        reply->element[1]->type != REDIS_REPLY_ARRAY || reply->element[0]->len >= (int)sizeof redis->cursor) {
        redis->failed = true;
        return;
    }
    strcpy(redis->cursor, reply->element[0]->str);
    for (size_t i = 0; i < reply->element[1]->elements; i++)
        if (reply->element[1]->element[i]->type == REDIS_REPLY_STRING)
            take_key(redis, reply->element[1]->element[i]->str);
    go_on(redis);
}

static void started(struct redis *redis, const redisReply *reply)
{
    if (redis->answered == redis->keys)
        return;
    if (reply->type == REDIS_REPLY_STRING) /* else it has expired, or is no row */
        put_name(redis, redis->key[redis->answered], reply->str, (size_t)reply->len);
    redis->answered++;
    go_on(redis);
}

static void tell(struct redis *redis, const char *what, const char *text)
{
    if (!redis->told)
        log_warn("recall.redis", "%s: %s", what, text);
    redis->told = true;
}

static void answered(void *context, const struct redis_expected *expected, const redisReply *reply)
{
    struct redis *redis = context;
    const char *command = redis_command_names[expected->command];
    if (reply->type == REDIS_REPLY_ERROR && strncmp(reply->str, "NOPERM", 6) == 0) {
        tell(redis, command, "NOPERM: rows that only a killed life had told stay until they expire; grant what the README lists");
        redis->phase = DONE;
    } else if (reply->type == REDIS_REPLY_ERROR && strncmp(reply->str, "WRONGTYPE", 9) != 0) {
        tell(redis, command, redis_faults[redis_fault_find(reply->str)].advice);
        redis->failed = true;
    } else if (redis->phase == DONE) {
        return;
    } else if (expected->command == REDIS_SCAN) {
        scanned(redis, reply);
    } else if (expected->command == REDIS_HGET) {
        started(redis, reply);
    }
}

static void greet(struct redis *redis)
{
    const struct config *config = redis->config;
    if (config->redis_password[0]) {
        redis_link_command(&redis->link, REDIS_AUTH, config->redis_user[0] ? 2 : 1);
        if (config->redis_user[0])
            redis_link_text(&redis->link, config->redis_user);
        redis_link_text(&redis->link, config->redis_password);
    }
    if (config->redis_database) {
        redis_link_command(&redis->link, REDIS_SELECT, 1);
        redis_link_integer(&redis->link, config->redis_database);
    }
    strcpy(redis->cursor, "0");
    ask_scan(redis);
}

/* ---- steps ---- */

static enum recall_progress go_away(struct redis *redis, int64_t now_ms)
{
    err_clear();
    redis_link_drop(&redis->link);
    keys_free(redis);
    redis->failed = false;
    redis->phase = AWAY;
    redis->retry_ms = now_ms + RETRY_MS;
    return RECALL_WAITS;
}

static enum recall_progress talk(struct redis *redis, int64_t now_ms)
{
    int64_t sent = redis_link_send(&redis->link);
    int64_t received = sent < 0 ? sent : redis_link_receive(&redis->link, answered, redis);
    if (redis->phase == DONE) {
        redis_link_drop(&redis->link);
        keys_free(redis);
        return RECALL_DONE;
    }
    if (sent + received > 0)
        redis->progress_ms = now_ms;
    if (received < 0 || redis->failed || now_ms - redis->progress_ms > redis->config->redis_timeout_ms)
        return go_away(redis, now_ms);
    return sent + received > 0 ? RECALL_WORKS : RECALL_WAITS;
}

static enum recall_progress step(void *state, struct recall *recall, int64_t now_ms)
{
    struct redis *redis = state;
    redis->recall = recall;
    if (redis->phase == DONE)
        return RECALL_DONE;
    if (redis->phase == AWAY) {
        if (now_ms < redis->retry_ms)
            return RECALL_WAITS;
        redis->progress_ms = now_ms;
        redis->phase = CONNECTING;
        return redis_link_connect(&redis->link, redis->config) == 0 ? RECALL_WORKS : go_away(redis, now_ms);
    }
    if (redis->phase != CONNECTING)
        return talk(redis, now_ms);
    int ready = redis_link_ready(&redis->link);
    if (ready < 0 || (ready == 0 && now_ms - redis->progress_ms > redis->config->redis_timeout_ms))
        return go_away(redis, now_ms);
    if (ready > 0)
        greet(redis);
    return ready ? RECALL_WORKS : RECALL_WAITS;
}

static void redis_close(void *state)
{
    struct redis *redis = state;
    keys_free(redis);
    redis_link_close(&redis->link);
    free(redis->key);
    free(redis);
}

int recall_redis_open(const struct config *config, struct recall_reader *reader)
{
    struct redis *redis = calloc(1, sizeof *redis);
    ensure(redis != NULL, "the machine has memory left");
    redis->config = config;
    snprintf(redis->pattern, sizeof redis->pattern, "%s{*", config->redis_head);
    redis->retry_ms = INT64_MIN;
    redis->key = calloc(KEYS_MOST, sizeof *redis->key);
    ensure(redis->key != NULL, "the machine has memory left");
    redis_link_init(&redis->link);
    *reader = (struct recall_reader){"redis", redis, step, redis_close};
    return 0;
}
