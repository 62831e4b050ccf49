/* http: a small listener for machines that ask: GET and HEAD of a path, answered with a text. Over libmicrohttpd, without threads of its own: stepped
 * by whoever answers. No TLS, nobody is asked who they are. Runs on: the main thread. Bounded: HTTP_CLIENTS at once, each closed after
 * HTTP_IDLE_S of silence; a request of more than HTTP_REQUEST bytes is refused by the library. */
#ifndef ESTEEM_HTTP_H
#define ESTEEM_HTTP_H

#include <stdbool.h>
#include <stdio.h>

enum { HTTP_CLIENTS = 16, HTTP_IDLE_S = 10, HTTP_REQUEST = 16384, HTTP_OK = 200, HTTP_NOT_FOUND = 404, HTTP_UNAVAILABLE = 503 };

struct http;

/* Writes the answer to `out` and its content type to *type; returns the status. `accepts`: the request's Accept header, or "". */
typedef int http_answer(void *context, const char *path, const char *accepts, FILE *out, const char **type);

/* Whether it is an address and a port: "127.0.0.1:9464" or "[::1]:9464". */
bool http_address(const char *address);
/* ERR_CONFIG when `address` is none, ERR_IO when nobody can listen there. */
int http_open(const char *address, http_answer *answer, void *context, struct http **http);
/* Takes requests and answers them; never waits. NULL: there is no listener. */
void http_step(struct http *http);
void http_close(struct http *http);

#endif
