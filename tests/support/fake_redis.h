/* fake_redis: a Redis that knows as many commands as the sink sends and fails to order: it answers with an error, stalls, or closes
 * in the middle of a reply. One thread, one connection at a time, on a unix socket. The test's thread sets the orders. */
#ifndef ESTEEM_TESTS_FAKE_REDIS_H
#define ESTEEM_TESTS_FAKE_REDIS_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

struct fake_redis {
    int listener;
    pthread_t thread;
    _Atomic bool stop;
    _Atomic(const char *) error; /* NULL, or what every command but AUTH and SELECT is answered with: "LOADING wait" */
    _Atomic bool stalled;        /* reads, and answers nothing */
    _Atomic int cut;             /* so many more bytes of replies, then it closes; below 0: never */
    _Atomic int connections, hsets /* executed, the catalogue's too */, commands;
    char fence[32]; /* its own thread's */
};

void fake_redis_start(struct fake_redis *redis, const char *socket_path);
void fake_redis_stop(struct fake_redis *redis);

#endif
