/* redis: the sink over one connection (redis_link.c).
 *
 *     AWAY ──retry──> CONNECTING ──> GREETING (AUTH, SELECT, fence) ──> READY ──newer fence──> FENCED, for good
 *       └──────────────── broken, silent, refused or a replica ──────────┘
 *
 * Fence: each start takes a number above all before it. Rows travel in transactions that stand on it:
 *
 *     WATCH fence, GET fence, MULTI rows ... ──own──> EXEC, PUBLISH, WATCH fence, GET fence, MULTI rows ...
 *                                            ──higher──> FENCED
 *                                            ──lower or none──> EXEC, then claim
 *
 * Redis refuses EXEC when the fence was touched after WATCH: once a newer instance has put its number there, no row of an older
 * one is written any more. Rows go out as they are put, and Redis reads them while it has not told the number yet; only EXEC waits
 * for that. So Redis has always something to do: one transaction is executed while the next one's rows arrive.
 *
 * Claim: MULTI SET fence, DEL catalogue, HSET catalogue EXEC. It is the first write of a connection and the first after an error, and what
 * is written before rows are tried again: so a replica, a full or a loading Redis is asked for one small write at a time, and
 * everything is written again only when that succeeds. */
#include "esteem/redis.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "esteem/clock.h"
#include "esteem/err.h"
#include "esteem/log.h"
#include "redis_parts.h"

enum {
    RETRY_FIRST_MS = 100,
    RETRY_MAX_MS = 5000,
    SEND_ROWS = 64,
    TOLD_MS = 60000,        /* the log says the same once a minute */
};

enum phase { AWAY, CONNECTING, GREETING, READY, FENCED };

struct redis {
    const struct config *config;
    char fence_key[REDIS_HEAD_MAX + sizeof "fence"];
    enum phase phase;
    int64_t now_ms;      /* of the last call that brought a time */
    int64_t retry_ms, delay_ms;
    int64_t progress_ms; /* when something came, or began to be waited for */
    int64_t committed_ms; /* when the batch that was sent was */
    int64_t checked_ms;  /* when the fence was last seen to be ours */
    int64_t rewrite_ms;  /* after an error: when a claim is tried, and then everything is written again; 0: no error */
    int64_t rewritten_ms, pause_ms; /* the last time of that; how long the next error waits */
    int64_t heal_ms;     /* Redis drops keys: when everything is written again; 0: it does not */
    int64_t told_ms[REDIS_FAULTS + 1]; /* when the log last told of each, the last one that Redis is away; 0: never */
    bool idle;           /* nothing was waited for at the end of the last step */
    bool refused;        /* this connection will not do; the trail says why */
    bool claiming;       /* the next number that is read is followed by a claim */
    bool touched;        /* a transaction was refused because of the fence */
    bool lease;          /* the fence is ours and watched: the open transaction may be executed */
    uint64_t candidate;  /* the number that a claim tries to set */
    uint64_t generation, connections;
    uint64_t rows_waiting, rows_lost; /* lost: not written, until everything is written again */
    struct redis_link link;
    struct redis_writer writer;

    /* the sink's thread writes, any reads; relaxed: figures on their own */
    _Atomic uint64_t rows, commands, errors, reconnects, bytes, fence;
    _Atomic bool fenced, up;
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
    redis->heal_ms = 0;
    redis->rewritten_ms = redis->now_ms;
}

/* Where Redis is, in words; they stand until the next call of the same thread. */
static const char *place(const struct config *config)
{
    static _Thread_local char text[300];
    if (config->redis_socket[0])
        return config->redis_socket;
    snprintf(text, sizeof text, strchr(config->redis_host, ':') ? "[%s]:%d" : "%s:%d", config->redis_host, (int)config->redis_port);
    return text;
}

/* Whether the log is to tell of this fault now. */
static bool to_tell(struct redis *redis, int fault)
{
    int64_t *told_ms = &redis->told_ms[fault];
    if (*told_ms && redis->now_ms - *told_ms < TOLD_MS)
        return false;
    *told_ms = redis->now_ms;
    return true;
}

/* All rows that are not confirmed wait for the next time that everything is written. */
static void lose_rows(struct redis *redis)
{
    redis->rows_lost += redis->rows_waiting;
    redis->rows_waiting = 0;
}

/* The connection is of no use; the trail says why. */
static void go_away(struct redis *redis)
{
    redis_link_drop(&redis->link);
    redis_writer_drop(&redis->writer);
    lose_rows(redis);
    redis->phase = AWAY;
    redis->rewrite_ms = 0;
    redis->lease = redis->claiming = redis->touched = false;
    redis->retry_ms = redis->now_ms + redis->delay_ms;
    redis->delay_ms = redis->delay_ms * 2 < RETRY_MAX_MS ? redis->delay_ms * 2 : RETRY_MAX_MS;
    if (redis->refused) /* `failed` has told of it */
        redis->refused = false;
    else if (to_tell(redis, REDIS_FAULTS))
        log_warn("redis.away", "%s: %s; trying again", place(redis->config), err_text());
}

static void be_fenced(struct redis *redis, uint64_t newer)
{
    redis->phase = FENCED;
    redis->rows_waiting = redis->rows_lost = 0;
    atomic_store_explicit(&redis->fenced, true, memory_order_relaxed);
    log_error("redis.fenced", "instance %llu has taken over from this one, %llu; nothing more is written",
              (unsigned long long)newer, (unsigned long long)own_fence(redis));
}

/* After an error: no rows for a while, then a claim; longer with each that comes soon after the last. */
static void pause_rows(struct redis *redis)
{
    if (redis->rewrite_ms)
        return;
    redis->rewrite_ms = redis->now_ms + redis->pause_ms;
    redis->pause_ms = redis->pause_ms * 2 < REDIS_PAUSE_MAX_MS ? redis->pause_ms * 2 : REDIS_PAUSE_MAX_MS;
}

/* ---- the fence ---- */

static void ask_fence(struct redis *redis)
{
    redis->lease = false;
    redis_link_command(&redis->link, REDIS_WATCH, 1);
    redis_link_text(&redis->link, redis->fence_key);
    redis_link_command(&redis->link, REDIS_GET, 1);
    redis_link_text(&redis->link, redis->fence_key);
}

static void greet(struct redis *redis)
{
    const struct config *config = redis->config;
    struct redis_link *link = &redis->link;
    redis->phase = GREETING;
    redis->claiming = true;
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

/* Redis executes it only if nobody has touched the fence since it was read. */
static void claim(struct redis *redis, uint64_t number)
{
    struct redis_link *link = &redis->link;
    ensure(redis->writer.open.rows == 0, "rows that were put before are executed first");
    redis->claiming = true;
    redis->candidate = number;
    redis_link_command(link, REDIS_MULTI, 0);
    redis_link_command(link, REDIS_SET, 2);
    redis_link_text(link, redis->fence_key);
    redis_link_integer(link, (int64_t)number);
    redis_put_catalogue(link, redis->config->redis_head);
    redis_link_command(link, REDIS_EXEC, 0)->claim = true;
    ask_fence(redis);
}

static void be_ready(struct redis *redis)
{
    redis->phase = READY;
    redis->delay_ms = RETRY_FIRST_MS;
    redis->told_ms[REDIS_FAULTS] = 0;
    if (redis->connections++)
        count(&redis->reconnects, 1);
    log_info("redis.ready", "connected to %s as instance %llu", place(redis->config), (unsigned long long)own_fence(redis));
}

static void claimed(struct redis *redis)
{
    redis->claiming = redis->touched = false;
    atomic_store_explicit(&redis->fence, redis->candidate, memory_order_relaxed);
    if (redis->phase == GREETING)
        be_ready(redis);
    everything_again(redis);
}

/* The first number: above what is there, and above that of any earlier start even where Redis has lost it: milliseconds since 1970
 * tell earlier from later as well as the machines' clocks agree. */
static uint64_t first_number(uint64_t seen)
{
    struct clock clock = clock_real();
    int64_t wall_ms = clock_wall_ms(&clock);
    return wall_ms > 0 && (uint64_t)wall_ms > seen ? (uint64_t)wall_ms : seen + 1;
}

/* Rows that Redis has read already are executed whatever else is due: nobody newer is there. */
static void own_seen(struct redis *redis, bool lost)
{
    bool rows = redis->writer.open.rows > 0;
    if (lost && redis->rewrite_ms == 0) {
        log_warn("redis.lost", "Redis has lost its data; everything is written again");
        redis->claiming = true; /* after those rows, if there are any */
        if (!rows)
            claim(redis, own_fence(redis));
    } else if (redis->touched) {
        pause_rows(redis); /* somebody wrote our own number: the batch was refused all the same */
    }
    redis->lease = rows || !(redis->claiming || redis->rewrite_ms);
    if (redis->lease)
        redis->checked_ms = redis->now_ms;
}

static void fence_seen(struct redis *redis, const redisReply *reply)
{
    uint64_t seen = reply->type == REDIS_REPLY_STRING ? strtoull(reply->str, NULL, 10) : 0, own = own_fence(redis);
    if (own == 0) {
        claim(redis, first_number(seen));
    } else if (seen > own) {
        be_fenced(redis, seen);
    } else if (redis->claiming) {
        claim(redis, own);
    } else {
        own_seen(redis, seen < own);
    }
    redis->touched = false;
}

/* ---- answers ---- */

/* The first word of an error is its code; the rest may hold a key, which is not for the log, except of what comes before any key. */
static void failed(struct redis *redis, const struct redis_expected *expected, const char *text)
{
    int fault = redis_fault_find(text);
    const char *name = redis_command_names[expected->command], *advice = redis_faults[fault].advice;
    bool greeting = redis->phase == GREETING;
    bool beside = expected->command == REDIS_PUBLISH || expected->command == REDIS_ZREMRANGEBYSCORE;
    bool aborted = expected->command == REDIS_EXEC && strncmp(text, "EXECABORT", 9) == 0; /* its cause has been told */
    count(&redis->errors, 1);
    if (!redis->refused && !aborted && to_tell(redis, fault))
        log_warn("redis.error", "%s: %s: %.*s: %s", place(redis->config), name, (int)(greeting ? strlen(text) : strcspn(text, " ")), text, advice);
    if (greeting || (redis_faults[fault].leave && !beside)) {
        redis->refused = true;
    } else if (redis->claiming) {
        redis->claiming = false;
        redis->rewrite_ms = redis->now_ms + REDIS_PAUSE_MS;
    } else if (!beside) {
        pause_rows(redis);
    }
}

static void row_settled(struct redis *redis, const struct redis_expected *hset, const redisReply *reply)
{
    redis->rows_waiting--;
    if (reply->type == REDIS_REPLY_ERROR) {
        redis->rows_lost++;
        return;
    }
    count(&redis->rows, 1);
    if (redis_writer_hset_done(&redis->writer, hset, reply->integer, redis->now_ms) && redis->heal_ms == 0) {
        redis->heal_ms = redis->now_ms + REDIS_HEAL_MS;
        log_warn("redis.dropped", "keys are gone that Redis had: evicted, or deleted by another program; all are written again in %d s",
                 REDIS_HEAL_MS / 1000);
    }
}

/* Rows as EXEC answers them: all, none (`reply` is an error or nil), or one by one. */
static void batch_settled(struct redis *redis, const redisReply *reply)
{
    struct redis_batch *batch = &redis->writer.sent;
    bool whole = reply->type == REDIS_REPLY_ARRAY && reply->elements == batch->commands;
    redis_writer_pace(&redis->writer, redis->now_ms - redis->committed_ms);
    redis->refused = redis->refused || (reply->type == REDIS_REPLY_ARRAY && !whole); /* no Redis: what would it have executed? */
    for (uint32_t i = 0; i < batch->commands && whole; i++) {
        if (batch->command[i].command == REDIS_HSET || batch->command[i].alone)
            row_settled(redis, &batch->command[i], reply->element[i]);
        if (reply->element[i]->type == REDIS_REPLY_ERROR)
            failed(redis, &batch->command[i], reply->element[i]->str);
    }
    if (!whole) {
        redis->rows_waiting -= batch->rows;
        redis->rows_lost += batch->rows;
    }
    batch->rows = batch->commands = 0;
}

static void executed(struct redis *redis, const struct redis_expected *expected, const redisReply *reply)
{
    if (!expected->claim)
        batch_settled(redis, reply);
    else if (reply->type == REDIS_REPLY_ARRAY) /* neither SET nor DEL and HSET can fail then */
        claimed(redis);
    redis->touched = reply->type == REDIS_REPLY_NIL; /* the number that is read next says why */
}

static void answered(void *context, const struct redis_expected *expected, const redisReply *reply)
{
    struct redis *redis = context;
    count(&redis->commands, 1);
    if (redis->phase == FENCED)
        return;
    if (reply->type == REDIS_REPLY_ERROR)
        failed(redis, expected, reply->str);
    if (reply->type == REDIS_REPLY_ERROR && expected->command == REDIS_GET && redis->writer.open.rows)
        redis->refused = true; /* nothing will say whether they may be executed */
    if (expected->command == REDIS_EXEC)
        executed(redis, expected, reply);
    else if (expected->command == REDIS_GET && reply->type != REDIS_REPLY_ERROR && !redis->refused)
        fence_seen(redis, reply);
}

/* ---- rows ---- */

/* The clock for answers starts when there is something to wait for. */
static void time_is(struct redis *redis, int64_t now_ms)
{
    redis->now_ms = now_ms;
    if (redis->idle && redis->link.count) {
        redis->progress_ms = now_ms;
        redis->idle = false;
    }
}

/* The open batch, once the fence is known to be ours. */
static void commit(struct redis *redis)
{
    if (!redis->lease || redis->writer.open.rows == 0)
        return;
    redis->committed_ms = redis->now_ms;
    redis_writer_commit(&redis->writer);
    ask_fence(redis);
}

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
    if (!row->alert.state && !row->rolling && !row->running && !row->last)
        return SINK_TAKEN;
    if (redis->phase != READY)
        return SINK_AWAY;
    if (redis->rewrite_ms || redis->claiming || redis_writer_full(&redis->writer))
        return SINK_FULL;
    redis_writer_put(&redis->writer, row, redis->now_ms);
    redis->rows_waiting++;
    if (redis->writer.open.rows % SEND_ROWS == 0)
        send_now(redis);
    return redis->phase == READY ? SINK_TAKEN : SINK_AWAY;
}

static void batch_end(void *state, int64_t now_ms)
{
    struct redis *redis = state;
    time_is(redis, now_ms);
    if (redis->phase != READY)
        return;
    commit(redis);
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

/* What is due when nothing is on its way: the claim after a pause, the fence of an idle connection, keys that Redis dropped. */
static void look_after(struct redis *redis)
{
    int64_t now_ms = redis->now_ms;
    if (redis->rewrite_ms == 0 && now_ms - redis->rewritten_ms > 2 * REDIS_PAUSE_MAX_MS)
        redis->pause_ms = REDIS_PAUSE_MS;
    if (redis->lease && redis->heal_ms && now_ms >= redis->heal_ms)
        everything_again(redis);
    if (redis->link.count || redis->writer.open.rows)
        return;
    if (redis->rewrite_ms ? now_ms >= redis->rewrite_ms : now_ms - redis->checked_ms >= REDIS_FENCE_MS) {
        redis->claiming = redis->rewrite_ms != 0;
        redis->rewrite_ms = 0;
        ask_fence(redis);
    }
}

static int talking_step(struct redis *redis)
{
    if (redis->phase == READY) {
        look_after(redis);
        commit(redis);
        time_is(redis, redis->now_ms);
    }
    int64_t moved = exchange(redis);
    if (redis->phase == FENCED) {
        redis_link_drop(&redis->link);
        return 1;
    }
    if (moved < 0) {
        go_away(redis);
        return 1;
    }
    return moved > 0;
}

static int phase_step(struct redis *redis)
{
    switch (redis->phase) {
    case AWAY: return connect_step(redis);
    case CONNECTING: return connecting_step(redis);
    case GREETING:
    case READY: return talking_step(redis);
    case FENCED: break;
    }
    return 0;
}

static int step(void *state, int64_t now_ms)
{
    struct redis *redis = state;
    time_is(redis, now_ms);
    int done = phase_step(redis);
    atomic_store_explicit(&redis->up, redis->phase == READY && redis->rewrite_ms == 0, memory_order_relaxed);
    return done;
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

static bool same_place(const struct config *one, const struct config *other)
{
    return strcmp(one->redis_socket, other->redis_socket) == 0 && strcmp(one->redis_host, other->redis_host) == 0 &&
           one->redis_port == other->redis_port && one->redis_database == other->redis_database &&
           strcmp(one->redis_user, other->redis_user) == 0 && strcmp(one->redis_password, other->redis_password) == 0;
}

/* Another Redis, or another name there: a new connection, with a number of its own, to which everything is written. */
static void reload(void *state, const struct config *config)
{
    struct redis *redis = state;
    bool same = same_place(redis->config, config);
    redis->config = config;
    if (same || redis->phase == FENCED)
        return;
    log_info("redis.moves", "%s: redis.* has changed; everything is written there", place(config));
    redis->refused = true; /* it is told */
    go_away(redis);
    redis->delay_ms = RETRY_FIRST_MS;
    redis->retry_ms = redis->now_ms;
    atomic_store_explicit(&redis->fence, 0, memory_order_relaxed);
}

/* ---- life ---- */

int redis_sink_open(const struct config *config, struct sink *sink)
{
    if (!config->redis_socket[0] && !config->redis_host[0])
        return err_set(ERR_CONFIG, "redis.host: empty; name a host or a redis.socket");
    struct redis *redis = calloc(1, sizeof *redis);
    ensure(redis != NULL, "the machine has memory left");
    redis->config = config;
    ensure(strlen(config->redis_head) <= REDIS_HEAD_MAX, "a shadow's name is short");
    snprintf(redis->fence_key, sizeof redis->fence_key, "%sfence", config->redis_head);
    redis->delay_ms = RETRY_FIRST_MS;
    redis->pause_ms = REDIS_PAUSE_MS;
    redis->retry_ms = INT64_MIN;
    redis_link_init(&redis->link);
    redis_writer_init(&redis->writer, &redis->link, config);
    *sink = (struct sink){"redis", redis, put, batch_end, step, generation, pending, reload};
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
    return (struct redis_counts){READ(rows), READ(commands), READ(errors), READ(reconnects), READ(bytes), READ(fence), READ(up)};
#undef READ
}
