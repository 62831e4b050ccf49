#include "esteem/http.h"

#include <errno.h>
#include <microhttpd.h>
#include <netdb.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "esteem/err.h"

enum { PASSES = 4 /* a step: accept, read, answer, close */, ADDRESS_MAX = 64 };

struct http {
    struct MHD_Daemon *daemon;
    http_answer *answer;
    void *context;
};

/* ---- listening ---- */

static int split(const char *address, char *host, const char **port)
{
    const char *colon = strrchr(address, ':');
    size_t length = colon ? (size_t)(colon - address) : 0;
    bool bracketed = length > 2 && address[0] == '[' && address[length - 1] == ']';
    if (length == 0 || length >= ADDRESS_MAX || (!bracketed && memchr(address, ':', length)))
        return -1;
    length -= bracketed ? 2 : 0;
    memcpy(host, address + bracketed, length);
    host[length] = 0;
    *port = colon + 1;
    length = strlen(*port);
    return length >= 1 && length <= 5 && strspn(*port, "0123456789") == length && atoi(*port) <= UINT16_MAX ? 0 : -1;
}

static struct addrinfo *resolve(const char *address)
{
    char host[ADDRESS_MAX];
    const char *port;
    struct addrinfo *found, hints = {.ai_flags = AI_PASSIVE | AI_NUMERICHOST | AI_NUMERICSERV, .ai_socktype = SOCK_STREAM};
    return split(address, host, &port) == 0 && getaddrinfo(host, port, &hints, &found) == 0 ? found : NULL;
}

bool http_address(const char *address)
{
    struct addrinfo *found = resolve(address);
    if (found)
        freeaddrinfo(found);
    return found != NULL;
}

/* A socket that listens; we open it ourselves, for the library does not say why it cannot. */
static int listen_at(const char *address, int *out)
{
    struct addrinfo *found = resolve(address);
    if (found == NULL)
        return err_set(ERR_CONFIG, "http.listen %s: not an address and a port such as 127.0.0.1:9464 or [::1]:9464", address);
    int one = 1, file = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int result = file < 0 || setsockopt(file, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) != 0 || bind(file, found->ai_addr, found->ai_addrlen) != 0 ||
                         listen(file, HTTP_CLIENTS) != 0
                     ? err_set(ERR_IO, "http.listen %s: %s; name an address of this machine and a free port, or leave it out", address, strerror(errno))
                     : 0;
    freeaddrinfo(found);
    if (result != 0 && file >= 0)
        close(file);
    *out = file;
    return result;
}

/* ---- answering ---- */

static enum MHD_Result reply(struct MHD_Connection *connection, int status, const char *type, char *text, size_t length)
{
    struct MHD_Response *response = MHD_create_response_from_buffer(length, text, MHD_RESPMEM_MUST_FREE);
    if (response == NULL) {
        free(text);
        return MHD_NO;
    }
    (void)MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type);
    enum MHD_Result result = MHD_queue_response(connection, (unsigned)status, response);
    MHD_destroy_response(response);
    return result;
}

static enum MHD_Result handle(void *context, struct MHD_Connection *connection, const char *path, const char *method, const char *version,
                              const char *body, size_t *body_length, void **state)
{
    struct http *http = context;
    static int seen;
    (void)version, (void)body;
    if (*state == NULL) { /* the head alone: answered when the request is whole */
        *state = &seen;
        return MHD_YES;
    }
    if (*body_length) {
        *body_length = 0;
        return MHD_YES;
    }
    char *text = NULL;
    size_t length = 0;
    const char *type = "text/plain; charset=utf-8";
    FILE *out = open_memstream(&text, &length);
    ensure(out != NULL, "the machine has memory left");
    int status = MHD_HTTP_METHOD_NOT_ALLOWED;
    if (strcmp(method, MHD_HTTP_METHOD_GET) == 0 || strcmp(method, MHD_HTTP_METHOD_HEAD) == 0) {
        const char *accepts = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_ACCEPT);
        status = http->answer(http->context, path, accepts ? accepts : "", out, &type);
    } else {
        fputs("GET and HEAD alone\n", out);
    }
    ensure(fclose(out) == 0, "the machine has memory left");
    return reply(connection, status, type, text, length);
}

/* ---- life ---- */

int http_open(const char *address, http_answer *answer, void *context, struct http **out)
{
    int file = -1;
    int result = listen_at(address, &file);
    if (result != 0)
        return result;
    struct http *http = calloc(1, sizeof *http);
    ensure(http != NULL, "the machine has memory left");
    *http = (struct http){.answer = answer, .context = context};
    http->daemon = MHD_start_daemon(MHD_USE_EPOLL, 0, NULL, NULL, handle, http, MHD_OPTION_LISTEN_SOCKET, file, MHD_OPTION_CONNECTION_LIMIT,
                                    (unsigned)HTTP_CLIENTS, MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)HTTP_IDLE_S, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
                                    (size_t)HTTP_REQUEST, MHD_OPTION_END);
    if (http->daemon == NULL) {
        close(file);
        free(http);
        return err_set(ERR_IO, "http.listen %s: libmicrohttpd does not start; leave it out", address);
    }
    *out = http;
    return 0;
}

void http_step(struct http *http)
{
    for (int pass = 0; http && pass < PASSES; pass++)
        (void)MHD_run(http->daemon);
}

void http_close(struct http *http)
{
    if (http == NULL)
        return;
    MHD_stop_daemon(http->daemon);
    free(http);
}
