/* redis_link: one connection to Redis that never waits.
 *
 *     command ──> bytes (RESP) ──send──> socket ──receive──> hiredis' parser ──> answer(expected, reply)
 *        └──────> ring of what is expected, in order ─────────────────────────────────┘
 *
 * hiredis opens the socket and parses replies. The way out is our own: redisAppendCommandArgv allocates and copies each command
 * twice, its redisBufferWrite moves the whole buffer up after each partial write, and a write to a closed socket raises SIGPIPE. */
#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "esteem/digits.h"
#include "esteem/err.h"
#include "redis_parts.h"

enum {
    ROOM_FIRST = 64 << 10,
    ROOM_KEPT = 1 << 20,     /* a larger buffer is given back when it is empty */
    RECEIVE_BYTES = 64 << 10,
    RECEIVES_MAX = 64,       /* a step's passes */
    COUNT_TEXT_MAX = DIGITS_MAX + 3,
};

const char *const redis_command_names[REDIS_COMMAND_COUNT] = {
#define X(name) #name,
    REDIS_COMMANDS(X)
#undef X
};

void redis_link_init(struct redis_link *link)
{
    *link = (struct redis_link){.ring = malloc(REDIS_EXPECTED_MAX * sizeof *link->ring)};
    ensure(link->ring != NULL, "the machine has memory left");
}

void redis_link_close(struct redis_link *link)
{
    redis_link_drop(link);
    free(link->ring);
    free(link->bytes);
    *link = (struct redis_link){0};
}

/* --- connecting --- */

/* Takes the context. */
static int begin(struct redis_link *link, redisContext *context)
{
    if (context == NULL)
        return err_set(ERR_REDIS, "no memory for a connection");
    link->context = context;
    return context->err ? err_set(ERR_REDIS, "%s", context->errstr) : 0;
}

int redis_link_connect(struct redis_link *link, const struct config *config)
{
    redis_link_drop(link);
    if (config->redis_socket[0])
        return begin(link, redisConnectUnixNonBlock(config->redis_socket));
    link->port = (int)config->redis_port;
    link->lookup = redis_lookup_new(config->redis_host);
    return link->lookup ? 0 : err_set(ERR_REDIS, "looking up %s: no room", config->redis_host);
}

/* Once the address is known. 1: connecting, 0: not yet, or ERR_REDIS. */
static int looked_up(struct redis_link *link)
{
    char address[INET6_ADDRSTRLEN + 1 + IF_NAMESIZE];
    int known = redis_lookup_done(link->lookup, link->tries, address, sizeof address);
    if (known <= 0)
        return known;
    link->tries++;
    redis_lookup_free(link->lookup);
    link->lookup = NULL;
    int error = begin(link, redisConnectNonBlock(address, link->port));
    return error ? error : 1;
}

int redis_link_ready(struct redis_link *link)
{
    int known = link->lookup ? looked_up(link) : 1;
    if (known <= 0)
        return known;
    struct pollfd waiting = {.fd = link->context->fd, .events = POLLOUT};
    if (poll(&waiting, 1, 0) <= 0)
        return 0;
    int error = 0;
    socklen_t size = sizeof error;
    if (getsockopt(waiting.fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0)
        error = errno;
    if (error)
        return err_set(ERR_REDIS, "%s", strerror(error));
    return 1;
}

void redis_link_drop(struct redis_link *link)
{
    if (link->context)
        redisFree(link->context);
    redis_lookup_free(link->lookup);
    link->context = NULL;
    link->lookup = NULL;
    link->head = link->length = 0;
    link->first = link->count = 0;
}

/* --- commands --- */

__attribute__((noinline)) static void make_room(struct redis_link *link, size_t more)
{
    if (link->head) {
        link->length -= link->head;
        memmove(link->bytes, link->bytes + link->head, link->length);
        link->head = 0;
    }
    if (link->room - link->length < more) {
        link->room = (link->length + more) * 2 < ROOM_FIRST ? ROOM_FIRST : (link->length + more) * 2;
        link->bytes = realloc(link->bytes, link->room);
        ensure(link->bytes != NULL, "the machine has memory left");
    }
}

/* Room for `more` bytes at the end; the caller adds what it wrote. */
static inline char *room_for(struct redis_link *link, size_t more)
{
    if (link->room - link->length < more)
        make_room(link, more);
    return link->bytes + link->length;
}

char *redis_link_room(struct redis_link *link, size_t most)
{
    return room_for(link, most);
}

void redis_link_wrote(struct redis_link *link, size_t length)
{
    link->length += length;
}

/* "*12\r\n" or "$5\r\n" */
static inline char *put_count(char *at, char kind, uint64_t count)
{
    *at++ = kind;
    at += digits_put(count, at);
    return mempcpy(at, "\r\n", 2);
}

void redis_link_bytes(struct redis_link *link, const char *bytes, size_t length)
{
    char *start = room_for(link, COUNT_TEXT_MAX + length + 2), *at = put_count(start, '$', length);
    at = mempcpy(mempcpy(at, bytes, length), "\r\n", 2);
    link->length += (size_t)(at - start);
}

void redis_link_text(struct redis_link *link, const char *text)
{
    redis_link_bytes(link, text, strlen(text));
}

void redis_link_integer(struct redis_link *link, int64_t value)
{
    char text[DIGITS_MAX + 1];
    size_t length = digits_put_signed(value, text);
    redis_link_bytes(link, text, length);
}

struct redis_expected *redis_link_command(struct redis_link *link, enum redis_command command, int arguments)
{
    ensure(link->count < REDIS_EXPECTED_MAX, "the sink keeps room in the ring");
    char *start = room_for(link, COUNT_TEXT_MAX);
    link->length += (size_t)(put_count(start, '*', (uint64_t)arguments + 1) - start);
    redis_link_text(link, redis_command_names[command]);
    struct redis_expected *expected = &link->ring[(link->first + link->count++) % REDIS_EXPECTED_MAX];
    *expected = (struct redis_expected){.command = (uint8_t)command};
    return expected;
}

/* --- bytes --- */

int64_t redis_link_send(struct redis_link *link)
{
    int64_t sent = 0;
    while (link->head < link->length) {
        ssize_t n = send(link->context->fd, link->bytes + link->head, redis_link_waiting(link), MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
            return sent;
        if (n <= 0)
            return err_set(ERR_REDIS, "sending: %s", strerror(errno));
        link->head += (size_t)n;
        sent += n;
    }
    link->head = link->length = 0;
    if (link->room > ROOM_KEPT) {
        free(link->bytes);
        link->bytes = NULL;
        link->room = 0;
    }
    return sent;
}

static int answer_all(struct redis_link *link, redis_answer *answer, void *context)
{
    for (;;) {
        void *reply = NULL;
        if (redisReaderGetReply(link->context->reader, &reply) != REDIS_OK)
            return err_set(ERR_REDIS, "not a reply of Redis: %s", link->context->reader->errstr);
        if (reply == NULL)
            return 0;
        if (link->count == 0) {
            freeReplyObject(reply);
            return err_set(ERR_REDIS, "a reply to no command");
        }
        struct redis_expected expected = link->ring[link->first];
        link->first = (link->first + 1) % REDIS_EXPECTED_MAX;
        link->count--;
        answer(context, &expected, reply);
        freeReplyObject(reply);
    }
}

int64_t redis_link_receive(struct redis_link *link, redis_answer *answer, void *context)
{
    char bytes[RECEIVE_BYTES];
    int64_t received = 0;
    for (int pass = 0; pass < RECEIVES_MAX; pass++) {
        ssize_t n = recv(link->context->fd, bytes, sizeof bytes, MSG_DONTWAIT);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
            break;
        if (n <= 0)
            return err_set(ERR_REDIS, "%s", n == 0 ? "closed by the server" : strerror(errno));
        received += n;
        if (redisReaderFeed(link->context->reader, bytes, (size_t)n) != REDIS_OK)
            return err_set(ERR_REDIS, "no memory for a reply");
        int error = answer_all(link, answer, context);
        if (error)
            return error;
    }
    return received;
}
