/* redis: the sink over one connection (redis_link.c).
 *
 *     AWAY ──retry──> CONNECTING ──> GREETING (AUTH, SELECT, fence) ──> READY ──newer fence──> FENCED, for good
 *       └─────────────────── broken, silent or refused ──────────────────┘
 *
 * Fence: the first connection takes the next number of esteem:v1:fence. Each batch asks for it: a higher one is a newer instance,
 * and this one stops; a lower one or none means that Redis has lost its data, and everything is written again. */
#include "esteem/redis.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "esteem/err.h"
#include "esteem/log.h"
#include "redis_parts.h"

#define FENCE_KEY "esteem:v1:fence"

enum {
    RETRY_FIRST_MS = 100,
    RETRY_MAX_MS = 5000,
    TOLD_MS = 60000,        /* while Redis stays away, the log says so once a minute */
    SEND_EARLY = 256 << 10, /* bytes that are sent while the batch goes on */
};

enum phase { AWAY, CONNECTING, GREETING, READY, FENCED };

struct redis {
    const struct config *config;
    enum phase phase;
    int64_t now_ms;      /* of the last call that brought a time */
    int64_t retry_ms, delay_ms;
    int64_t progress_ms; /* when something came, or began to be waited for */
    int64_t rewrite_ms;  /* after an error: when everything is written again; 0: no error */
    int64_t told_ms;     /* when the log last said that Redis is away; 0: not since it was there */
    bool idle;           /* nothing was waited for at the end of the last step */
    bool refused;        /* the greeting was answered with an error */
    bool fence_setting;  /* SET on its way */
    uint64_t generation, connections;
    uint64_t rows_waiting, rows_lost; /* lost: not written, until everything is written again */
    struct redis_link link;
    struct redis_writer writer;

    /* the sink's thread writes, any reads; relaxed: figures on their own */
    _Atomic uint64_t rows, commands, errors, reconnects, bytes, fence;
    _Atomic bool fenced;
};

static void count(_Atomic uint64_t *counter, uint64_t more)
{
    atomic_fetch_add_explicit(counter, more, memory_order_relaxed);
}

static uint64_t own_fence(const struct redis *redis)
{
    return atomic_load_explicit(&redis->fence, memory_order_relaxed);
}

/* ---- coming and going ---- */

static void everything_again(struct redis *redis)
{
    redis_writer_forget(&redis->writer);
    redis->generation++;
    redis->rows_lost = 0;
    redis->rewrite_ms = 0;
}

static const char *place(const struct config *config)
{
    return config->redis_socket[0] ? config->redis_socket : config->redis_host;
}

/* The connection is of no use; the trail says why. */
static void go_away(struct redis *redis)
{
    redis_link_drop(&redis->link);
    redis_tenants_clear(&redis->writer.tenants);
    redis_writer_forget(&redis->writer);
    redis->rows_lost += redis->rows_waiting;
    redis->rows_waiting = 0;
    redis->phase = AWAY;
    redis->retry_ms = redis->now_ms + redis->delay_ms;
    redis->delay_ms = redis->delay_ms * 2 < RETRY_MAX_MS ? redis->delay_ms * 2 : RETRY_MAX_MS;
    if (redis->told_ms == 0 || redis->now_ms - redis->told_ms >= TOLD_MS) {
        log_warn("redis.away", "%s: %s; trying again", place(redis->config), err_text());
        redis->told_ms = redis->now_ms;
    }
}

static void be_fenced(struct redis *redis, uint64_t newer)
{
    redis->phase = FENCED;
    redis->rows_waiting = redis->rows_lost = 0;
    atomic_store_explicit(&redis->fenced, true, memory_order_relaxed);
    log_error("redis.fenced", "instance %llu has taken over from this one, %llu; nothing more is written",
              (unsigned long long)newer, (unsigned long long)own_fence(redis));
}

/* ---- the greeting ---- */

static void ask_fence(struct redis *redis)
{
    redis_link_command(&redis->link, own_fence(redis) ? REDIS_GET : REDIS_INCR, 1);
    redis_link_text(&redis->link, FENCE_KEY);
}

static void greet(struct redis *redis)
{
    const struct config *config = redis->config;
    struct redis_link *link = &redis->link;
    redis->phase = GREETING;
    redis->refused = redis->fence_setting = false;
    if (config->redis_password[0]) {
        redis_link_command(link, REDIS_AUTH, config->redis_user[0] ? 2 : 1);
        if (config->redis_user[0])
            redis_link_text(link, config->redis_user);
        redis_link_text(link, config->redis_password);
    }
    if (config->redis_database) {
        redis_link_command(link, REDIS_SELECT, 1);
        redis_link_integer(link, config->redis_database);
    }
    ask_fence(redis);
}

static void be_ready(struct redis *redis)
{
    redis->phase = READY;
    redis->delay_ms = RETRY_FIRST_MS;
    redis->told_ms = 0;
    if (redis->connections++)
        count(&redis->reconnects, 1);
    log_info("redis.ready", "connected to %s as instance %llu", place(redis->config), (unsigned long long)own_fence(redis));
    everything_again(redis);
    redis_put_catalogue(&redis->link);
}

/* ---- answers ---- */

static void fence_seen(struct redis *redis, const redisReply *reply)
{
    uint64_t seen = reply->type == REDIS_REPLY_STRING ? strtoull(reply->str, NULL, 10) : 0;
    if (seen > own_fence(redis)) {
        be_fenced(redis, seen);
        return;
    }
    if (seen == own_fence(redis) || redis->fence_setting)
        return;
    redis->fence_setting = true;
    redis_link_command(&redis->link, REDIS_SET, 2);
    redis_link_text(&redis->link, FENCE_KEY);
    redis_link_integer(&redis->link, (int64_t)own_fence(redis));
    if (redis->phase == READY) {
        log_warn("redis.lost", "Redis has lost its data; everything is written again");
        everything_again(redis);
        redis_put_catalogue(&redis->link);
    }
}

static void row_settled(struct redis *redis, bool written)
{
    redis->rows_waiting--;
    if (written)
        count(&redis->rows, 1);
    else
        redis->rows_lost++;
}

/* The first word of an error is its code; the rest may hold a key, which is not for the log. */
static void failed(struct redis *redis, const struct redis_expected *expected, const char *text)
{
    const char *name = redis_command_names[expected->command];
    count(&redis->errors, 1);
    if (redis->phase == GREETING) {
        if (!redis->refused)
            err_set(ERR_REDIS, "%s: %s", name, text);
        redis->refused = true;
        return;
    }
    log_warn("redis.error", "%s: %.*s", name, (int)strcspn(text, " "), text);
    if (expected->row)
        row_settled(redis, false);
    if (expected->command == REDIS_SET)
        redis->fence_setting = false;
    bool beside = expected->command == REDIS_PUBLISH || expected->command == REDIS_ZADD ||
                  expected->command == REDIS_ZREMRANGEBYSCORE;
    if (!beside && redis->rewrite_ms == 0)
        redis->rewrite_ms = redis->now_ms + REDIS_PAUSE_MS;
}

static const char *error_inside(const redisReply *reply)
{
    for (size_t i = 0; i < reply->elements; i++)
        if (reply->element[i]->type == REDIS_REPLY_ERROR)
            return reply->element[i]->str;
    return reply->type == REDIS_REPLY_ARRAY ? NULL : "NIL";
}

static void answered(void *context, const struct redis_expected *expected, const redisReply *reply)
{
    struct redis *redis = context;
    const char *error = reply->type == REDIS_REPLY_ERROR ? reply->str : NULL;
    count(&redis->commands, 1);
    if (redis->phase == FENCED)
        return;
    if (error == NULL && expected->command == REDIS_EXEC)
        error = error_inside(reply);
    if (error) {
        failed(redis, expected, error);
        return;
    }
    switch ((enum redis_command)expected->command) {
    case REDIS_INCR: atomic_store_explicit(&redis->fence, (uint64_t)reply->integer, memory_order_relaxed); break;
    case REDIS_GET: fence_seen(redis, reply); break;
    case REDIS_SET: redis->fence_setting = false; break;
    case REDIS_EXEC: row_settled(redis, true); break;
    case REDIS_HSET:
        if (expected->row) {
            redis_writer_hset_done(&redis->writer, expected, reply->integer, redis->now_ms);
            row_settled(redis, true);
        }
        break;
    default: break;
    }
}

/* ---- rows ---- */

static void send_now(struct redis *redis)
{
    int64_t sent = redis_link_send(&redis->link);
    if (sent < 0)
        go_away(redis);
    else
        count(&redis->bytes, (uint64_t)sent);
}

static enum sink_result put(void *state, const struct row *row)
{
    struct redis *redis = state;
    if (!row->rolling && !row->running && !row->last)
        return SINK_TAKEN;
    if (redis->phase != READY)
        return SINK_AWAY;
    if (redis->rewrite_ms || redis->rows_waiting >= REDIS_ROWS_MAX || redis_writer_full(&redis->writer))
        return SINK_FULL;
    redis_writer_put(&redis->writer, row, redis->now_ms);
    redis->rows_waiting++;
    if (redis_link_waiting(&redis->link) >= SEND_EARLY)
        send_now(redis);
    return redis->phase == READY ? SINK_TAKEN : SINK_AWAY;
}

/* The clock for answers starts when there is something to wait for. */
static void time_is(struct redis *redis, int64_t now_ms)
{
    redis->now_ms = now_ms;
    if (redis->idle && redis->link.count) {
        redis->progress_ms = now_ms;
        redis->idle = false;
    }
}

static void batch_end(void *state, int64_t now_ms)
{
    struct redis *redis = state;
    time_is(redis, now_ms);
    if (redis->phase != READY)
        return;
    redis_writer_tell(&redis->writer);
    if (redis->link.count < REDIS_EXPECTED_MAX)
        ask_fence(redis);
    time_is(redis, now_ms);
    send_now(redis);
}

/* ---- steps ---- */

static int connect_step(struct redis *redis)
{
    if (redis->now_ms < redis->retry_ms)
        return 0;
    redis->progress_ms = redis->now_ms;
    redis->phase = CONNECTING;
    if (redis_link_connect(&redis->link, redis->config) != 0)
        go_away(redis);
    return 1;
}

static bool silent(const struct redis *redis)
{
    return redis->now_ms - redis->progress_ms > redis->config->redis_timeout_ms;
}

static int connecting_step(struct redis *redis)
{
    int ready = redis_link_ready(&redis->link);
    if (ready == 0 && silent(redis))
        ready = err_set(ERR_REDIS, "no connection within %lld ms", (long long)redis->config->redis_timeout_ms);
    if (ready < 0)
        go_away(redis);
    if (ready > 0)
        greet(redis);
    return ready != 0;
}

/* Bytes out, answers in. Returns the bytes that moved, or an error. */
static int64_t exchange(struct redis *redis)
{
    int64_t sent = redis_link_send(&redis->link);
    if (sent < 0)
        return sent;
    count(&redis->bytes, (uint64_t)sent);
    int64_t received = redis_link_receive(&redis->link, answered, redis);
    if (received < 0 || redis->refused)
        return ERR_REDIS;
    redis->idle = redis->link.count == 0;
    if (received > 0)
        redis->progress_ms = redis->now_ms;
    if (!redis->idle && silent(redis))
        return err_set(ERR_REDIS, "no reply within %lld ms", (long long)redis->config->redis_timeout_ms);
    return sent + received;
}

static int talking_step(struct redis *redis)
{
    if (redis->phase == READY)
        redis_writer_tell(&redis->writer);
    int64_t moved = exchange(redis);
    if (redis->phase == FENCED) {
        redis_link_drop(&redis->link);
        return 1;
    }
    if (moved < 0) {
        redis->refused = false;
        go_away(redis);
        return 1;
    }
    if (redis->phase == GREETING && redis->link.count == 0)
        be_ready(redis);
    if (redis->rewrite_ms && redis->now_ms >= redis->rewrite_ms)
        everything_again(redis);
    return moved > 0;
}

static int step(void *state, int64_t now_ms)
{
    struct redis *redis = state;
    time_is(redis, now_ms);
    switch (redis->phase) {
    case AWAY: return connect_step(redis);
    case CONNECTING: return connecting_step(redis);
    case GREETING:
    case READY: return talking_step(redis);
    case FENCED: break;
    }
    return 0;
}

static uint64_t generation(void *state)
{
    return ((const struct redis *)state)->generation;
}

static uint64_t pending(void *state)
{
    const struct redis *redis = state;
    return redis->rows_waiting + redis->rows_lost;
}

/* ---- life ---- */

int redis_sink_open(const struct config *config, struct sink *sink)
{
    if (!config->redis_socket[0] && !config->redis_host[0])
        return err_set(ERR_CONFIG, "redis.host: empty; name a host or a redis.socket");
    struct redis *redis = calloc(1, sizeof *redis);
    ensure(redis != NULL, "the machine has memory left");
    redis->config = config;
    redis->delay_ms = RETRY_FIRST_MS;
    redis->retry_ms = INT64_MIN;
    redis_link_init(&redis->link);
    redis_writer_init(&redis->writer, &redis->link, config);
    *sink = (struct sink){"redis", redis, put, batch_end, step, generation, pending};
    return 0;
}

void redis_sink_close(struct sink *sink)
{
    struct redis *redis = sink->state;
    if (redis == NULL)
        return;
    redis_link_close(&redis->link);
    redis_writer_close(&redis->writer);
    free(redis);
    sink->state = NULL;
}

bool redis_fenced(const void *state)
{
    return atomic_load_explicit(&((const struct redis *)state)->fenced, memory_order_relaxed);
}

struct redis_counts redis_counts(const struct sink *sink)
{
    const struct redis *redis = sink->state;
#define READ(counter) atomic_load_explicit(&redis->counter, memory_order_relaxed)
    return (struct redis_counts){READ(rows), READ(commands), READ(errors), READ(reconnects), READ(bytes), READ(fence)};
#undef READ
}
