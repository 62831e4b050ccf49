#include "support/fake_redis.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "esteem/err.h"

enum { BYTES_MAX = 32 << 20, LOOK_MS = 2 };

struct client {
    int fd;
    char *bytes;
    size_t length;
    bool multi;
    char (*queued)[16]; /* names */
    int queued_count;
    bool open;
};

/* The number between a sign and the end of its line. strtol would do, but ASan's strict_string_checks looks at all that follows. */
static long number_at(const char *at)
{
    long number = 0;
    for (at++; *at >= '0' && *at <= '9'; at++)
        number = number * 10 + (*at - '0');
    return number;
}

/* The length of the command at `from`, its name and second argument; 0: not whole yet. */
static size_t command_length(const struct client *client, size_t from, char name[16], char value[32])
{
    const char *at = client->bytes + from, *end = client->bytes + client->length;
    const char *line = memchr(at, '\n', (size_t)(end - at));
    if (line == NULL)
        return 0;
    long count = number_at(at);
    at = line + 1;
    name[0] = value[0] = '\0';
    for (long i = 0; i < count; i++) {
        line = memchr(at, '\n', (size_t)(end - at));
        if (line == NULL)
            return 0;
        long length = number_at(at);
        at = line + 1;
        if (end - at < length + 2)
            return 0;
        if (i == 0)
            snprintf(name, 16, "%.*s", (int)length, at);
        if (i == 2)
            snprintf(value, 32, "%.*s", length < 31 ? (int)length : 31, at);
        at += length + 2;
    }
    return (size_t)(at - client->bytes) - from;
}

static void say(struct fake_redis *redis, struct client *client, const char *text)
{
    size_t length = strlen(text);
    int cut = atomic_load(&redis->cut);
    if (cut >= 0) {
        client->open = (size_t)cut >= length;
        length = (size_t)cut < length ? (size_t)cut : length;
        atomic_store(&redis->cut, cut - (int)length);
    }
    for (size_t sent = 0; sent < length;) {
        ssize_t n = send(client->fd, text + sent, length - sent, MSG_NOSIGNAL);
        if (n <= 0) {
            client->open = false;
            return;
        }
        sent += (size_t)n;
    }
}

static void execute(struct fake_redis *redis, struct client *client)
{
    char text[64];
    snprintf(text, sizeof text, "*%d\r\n", client->queued_count);
    say(redis, client, text);
    for (int i = 0; i < client->queued_count && client->open; i++) {
        atomic_fetch_add(&redis->hsets, strcmp(client->queued[i], "HSET") == 0);
        say(redis, client, strcmp(client->queued[i], "SET") == 0 ? "+OK\r\n" : ":1\r\n");
    }
    client->multi = false;
    client->queued_count = 0;
}

static void answer(struct fake_redis *redis, struct client *client, const char *name, const char *value)
{
    char text[128];
    const char *error = atomic_load(&redis->error);
    atomic_fetch_add(&redis->commands, 1);
    if (error && strcmp(name, "AUTH") != 0 && strcmp(name, "SELECT") != 0) {
        snprintf(text, sizeof text, "-%s\r\n", error);
        client->multi = false;
        client->queued_count = 0;
        say(redis, client, text);
    } else if (strcmp(name, "EXEC") == 0) {
        execute(redis, client);
    } else if (client->multi) {
        if (strcmp(name, "SET") == 0)
            snprintf(redis->fence, sizeof redis->fence, "%s", value);
        snprintf(client->queued[client->queued_count++ & 0xffff], 16, "%s", name);
        say(redis, client, "+QUEUED\r\n");
    } else if (strcmp(name, "GET") == 0) {
        snprintf(text, sizeof text, "$%zu\r\n%s\r\n", strlen(redis->fence), redis->fence);
        say(redis, client, redis->fence[0] ? text : "$-1\r\n");
    } else {
        client->multi = strcmp(name, "MULTI") == 0;
        say(redis, client, strcmp(name, "PUBLISH") == 0 || name[0] == 'Z' ? ":0\r\n" : "+OK\r\n");
    }
}

static void take(struct client *client)
{
    ssize_t n = recv(client->fd, client->bytes + client->length, BYTES_MAX - client->length, 0);
    client->open = n > 0;
    client->length += n > 0 ? (size_t)n : 0;
}

static void answer_all(struct fake_redis *redis, struct client *client)
{
    char name[16], value[32];
    size_t done = 0;
    for (size_t length; client->open && !atomic_load(&redis->stalled) && (length = command_length(client, done, name, value)) > 0; done += length)
        answer(redis, client, name, value);
    memmove(client->bytes, client->bytes + done, client->length - done);
    client->length -= done;
}

static void serve(struct fake_redis *redis, int fd)
{
    struct client client = {.fd = fd, .bytes = malloc(BYTES_MAX), .queued = calloc(65536, 16), .open = true};
    ensure(client.bytes && client.queued, "the machine has memory left");
    atomic_fetch_add(&redis->connections, 1);
    while (client.open && !atomic_load(&redis->stop)) {
        struct pollfd waiting = {.fd = fd, .events = POLLIN};
        if (poll(&waiting, 1, LOOK_MS) > 0)
            take(&client);
        answer_all(redis, &client); /* also what came while it was stalled */
    }
    close(fd);
    free(client.bytes);
    free(client.queued);
}

static void *run(void *context)
{
    struct fake_redis *redis = context;
    while (!atomic_load(&redis->stop)) {
        struct pollfd waiting = {.fd = redis->listener, .events = POLLIN};
        if (poll(&waiting, 1, LOOK_MS) <= 0)
            continue;
        int fd = accept(redis->listener, NULL, NULL);
        if (fd >= 0)
            serve(redis, fd);
    }
    return NULL;
}

void fake_redis_start(struct fake_redis *redis, const char *socket_path)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    memset(redis, 0, sizeof *redis);
    atomic_store(&redis->cut, -1);
    snprintf(name.sun_path, sizeof name.sun_path, "%s", socket_path);
    redis->listener = socket(AF_UNIX, SOCK_STREAM, 0);
    int bound = bind(redis->listener, (struct sockaddr *)&name, sizeof name);
    ensure(bound == 0 && listen(redis->listener, 8) == 0, "a folder of the test's own");
    int started = pthread_create(&redis->thread, NULL, run, redis);
    ensure(started == 0, "the machine grants a thread");
}

void fake_redis_stop(struct fake_redis *redis)
{
    atomic_store(&redis->stop, true);
    pthread_join(redis->thread, NULL);
    close(redis->listener);
}
