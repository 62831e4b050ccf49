#include "redis_ask.h"

#include <inttypes.h>
#include <stdio.h>

#include "esteem/err.h"

redisReply *redis_ask(redisContext *redis, int words, const char **word)
{
    redisReply *reply = redisCommandArgv(redis, words, word, NULL);
    if (reply && reply->type != REDIS_REPLY_ERROR)
        return reply;
    err_set(ERR_REDIS, "Redis: %s: %s", word[0], reply ? reply->str : redis->errstr);
    if (reply)
        freeReplyObject(reply);
    return NULL;
}

static int tell(redisContext *redis, int words, const char **word)
{
    redisReply *reply = redis_ask(redis, words, word);
    if (reply == NULL)
        return ERR_REDIS;
    freeReplyObject(reply);
    return 0;
}

static int greet(redisContext *redis, const struct config *config)
{
    char database[24];
    int result = 0;
    snprintf(database, sizeof database, "%" PRId64, config->redis_database);
    if (config->redis_password[0])
        result = config->redis_user[0] ? tell(redis, 3, (const char *[]){"AUTH", config->redis_user, config->redis_password})
                                       : tell(redis, 2, (const char *[]){"AUTH", config->redis_password});
    return result == 0 && config->redis_database ? tell(redis, 2, (const char *[]){"SELECT", database}) : result;
}

redisContext *redis_ask_open(const char *socket, const char *host, int port, const struct config *config)
{
    int64_t ms = config ? config->redis_timeout_ms : 5000;
    struct timeval timeout = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};
    redisContext *redis = *socket ? redisConnectUnixWithTimeout(socket, timeout) : redisConnectWithTimeout(host, port, timeout);
    const char *fault = redis == NULL ? "no memory" : redis->err ? redis->errstr : NULL;
    if (fault && *socket)
        err_set(ERR_REDIS, "Redis at %s: %s", socket, fault);
    else if (fault)
        err_set(ERR_REDIS, "Redis at %s:%d: %s", host, port, fault);
    if (fault == NULL) {
        redisSetTimeout(redis, timeout);
        if (config == NULL || greet(redis, config) == 0)
            return redis;
    }
    if (redis)
        redisFree(redis);
    return NULL;
}
