/* redis_ask: questions to Redis whose answers are waited for: for commands; the engine's own way is publish/. Any thread. */
#ifndef ESTEEM_REDIS_ASK_H
#define ESTEEM_REDIS_ASK_H

#include <hiredis/hiredis.h>

#include "esteem/config.h"

/* By a socket, or where that is "" by host and port, with the configuration's timeout, user and database (`config` NULL: 5 s, none). NULL: the
 * trail says why. */
redisContext *redis_ask_open(const char *socket, const char *host, int port, const struct config *config);
/* NULL: no answer, or an error; the trail says which. */
redisReply *redis_ask(redisContext *redis, int words, const char **word);

#endif
