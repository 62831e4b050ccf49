/* Eight threads log, change the level and the form at once. Lines go to standard error, which the runner keeps. */
#include <pthread.h>
#include <stdio.h>

#include "esteem/err.h"
#include "esteem/log.h"

enum { THREADS = 8, LINES = 3000 };

static void *talk(void *context)
{
    long self = (long)context;
    for (int i = 0; i < LINES; i++) {
        log_line(i % 3 ? LOG_DEBUG : LOG_WARN, "race.log", "thread %ld says %d", self % 3, i % 40);
        if (i % 100 == 0)
            log_level_set(i % 200 ? LOG_DEBUG : LOG_WARN);
        if (i % 500 == 0)
            log_json_set(i % 1000 == 0);
    }
    return NULL;
}

int main(void)
{
    pthread_t thread[THREADS];
    for (long t = 0; t < THREADS; t++)
        ensure(pthread_create(&thread[t], NULL, talk, (void *)t) == 0, "the machine grants a thread");
    for (int t = 0; t < THREADS; t++)
        pthread_join(thread[t], NULL);
    puts("all have spoken");
    return 0;
}
