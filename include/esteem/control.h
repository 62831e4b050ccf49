/* control: the socket by which `esteem ctl` talks to a running engine: a unix socket, one command a connection (words apart by tabs, ended by a
 * newline), an answer of lines, the first of which is "ok" or "error". Who may use it is who may open the file (control.mode).
 * Never blocks: a client that is slow is waited for while others are served. Runs on: the main thread. Bounded: CONTROL_CLIENTS
 * at once, lines of CONTROL_LINE bytes, answers of CONTROL_ANSWER bytes, CONTROL_SLOW_MS until an answer has to be taken; beyond that a
 * connection is closed. */
#ifndef ESTEEM_CONTROL_H
#define ESTEEM_CONTROL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { CONTROL_CLIENTS = 8, CONTROL_LINE = 4096, CONTROL_WORDS = 8, CONTROL_ANSWER = 64 << 20, CONTROL_SLOW_MS = 30000 };

struct control;
struct control_client;

/* ERR_IO with the path when the socket cannot be made. One that nobody listens at any more is replaced. */
int control_open(const char *path, mode_t mode, struct control **control);
void control_close(struct control *control);

/* Takes what clients have sent, and sends on what they have not taken yet. A command that is whole goes to `each`, which answers now or later. */
typedef void control_each(void *context, struct control_client *client, int words, char **word);
void control_step(struct control *control, int64_t now_ms, control_each *each, void *context);

/* The answer, after which the connection is closed. What is beyond CONTROL_ANSWER is cut off, and the last line says so. */
void control_answer_text(struct control_client *client, bool ok, const char *text, size_t length);
void control_answer(struct control_client *client, bool ok, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* The other side: sends a command, writes the answer's lines to standard output or, of an error, to standard error. Waits
 * `within_ms` at most. Returns an exit code. */
int control_ask(const char *path, int words, char **word, int64_t within_ms);

#endif
