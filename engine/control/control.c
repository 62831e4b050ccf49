#include "esteem/control.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "esteem/command.h"
#include "esteem/err.h"

enum { SEND_MOST = 4 << 20 /* bytes a client and step */ };

struct control_client {
    int socket; /* -1: free */
    uint32_t length;
    bool asked; /* its command is with `each`, or answered */
    char line[CONTROL_LINE];
    char *answer; /* what is to be sent, and how much of it is */
    size_t answer_length, answer_sent;
    int64_t slow_ms; /* when it was first found to be slow; 0: not yet */
};

struct control {
    int socket;
    char path[sizeof((struct sockaddr_un *)0)->sun_path];
    struct control_client client[CONTROL_CLIENTS];
};

static int address_of(const char *path, struct sockaddr_un *address)
{
    *address = (struct sockaddr_un){.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof address->sun_path)
        return err_set(ERR_IO, "control.socket %s: a path of a socket has at most %zu bytes; name a shorter one", path, sizeof address->sun_path - 1);
    memcpy(address->sun_path, path, strlen(path) + 1);
    return 0;
}

/* A socket that is left over from a process that was killed. A file that is no socket refuses a connection likewise, and is somebody's. */
static bool left_over(const struct sockaddr_un *address)
{
    struct stat facts;
    if (lstat(address->sun_path, &facts) != 0 || !S_ISSOCK(facts.st_mode))
        return false;
    int probe = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    bool refused = connect(probe, (const struct sockaddr *)address, sizeof *address) != 0 && errno == ECONNREFUSED;
    close(probe);
    return refused;
}

static int listen_at(struct control *control, const struct sockaddr_un *address, mode_t mode)
{
    if (bind(control->socket, (const struct sockaddr *)address, sizeof *address) != 0) {
        if (errno != EADDRINUSE || !left_over(address))
            return -1;
        (void)unlink(address->sun_path);
        if (bind(control->socket, (const struct sockaddr *)address, sizeof *address) != 0)
            return -1;
    }
    memcpy(control->path, address->sun_path, sizeof control->path);
    return chmod(control->path, mode) != 0 || listen(control->socket, CONTROL_CLIENTS) != 0 ? -1 : 0;
}

int control_open(const char *path, mode_t mode, struct control **out)
{
    struct sockaddr_un address;
    int result = address_of(path, &address);
    if (result != 0)
        return result;
    struct control *control = calloc(1, sizeof *control);
    ensure(control != NULL, "the machine has memory left");
    for (int i = 0; i < CONTROL_CLIENTS; i++)
        control->client[i].socket = -1;
    control->socket = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    mode_t mask = umask(0177); /* nobody else may connect between bind and chmod */
    result = control->socket < 0 ? -1 : listen_at(control, &address, mode);
    umask(mask);
    if (result != 0) {
        result = err_set(ERR_IO, "control.socket %s: %s; name a path that this user may make, that no other esteem has", path, strerror(errno));
        control_close(control);
        return result;
    }
    *out = control;
    return 0;
}

static void hang_up(struct control_client *client)
{
    close(client->socket);
    free(client->answer);
    *client = (struct control_client){.socket = -1};
}

void control_close(struct control *control)
{
    if (control == NULL)
        return;
    for (int i = 0; i < CONTROL_CLIENTS; i++)
        if (control->client[i].socket >= 0)
            hang_up(&control->client[i]);
    if (control->socket >= 0)
        close(control->socket);
    if (control->path[0])
        (void)unlink(control->path);
    free(control);
}

static void accept_one(struct control *control)
{
    int socket = accept4(control->socket, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (socket < 0)
        return;
    for (int i = 0; i < CONTROL_CLIENTS; i++)
        if (control->client[i].socket < 0) {
            control->client[i] = (struct control_client){.socket = socket};
            return;
        }
    close(socket);
}

static void take_line(struct control_client *client, control_each *each, void *context)
{
    char *word[CONTROL_WORDS], *rest = NULL;
    int words = 0;
    client->asked = true;
    for (char *at = strtok_r(client->line, "\t", &rest); at && words < CONTROL_WORDS; at = strtok_r(NULL, "\t", &rest))
        word[words++] = at;
    if (words == 0)
        control_answer(client, false, "an empty command; esteem ctl --help lists them");
    else
        each(context, client, words, word);
}

static void read_client(struct control_client *client, control_each *each, void *context)
{
    ssize_t got = read(client->socket, client->line + client->length, sizeof client->line - client->length);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (got <= 0) {
        hang_up(client);
        return;
    }
    client->length += (uint32_t)got;
    char *end = memchr(client->line, '\n', client->length);
    if (end) {
        *end = 0;
        take_line(client, each, context);
    } else if (client->length == sizeof client->line) {
        control_answer(client, false, "a command of more than %d bytes", CONTROL_LINE);
    }
}

/* Goes on sending, some MiB a step; a client that takes nothing for long is given up. */
static void send_answer(struct control_client *client, int64_t now_ms)
{
    for (size_t until = client->answer_sent + SEND_MOST; client->answer_sent < client->answer_length;) {
        size_t left = (client->answer_length < until ? client->answer_length : until) - client->answer_sent;
        if (left == 0)
            return;
        ssize_t sent = send(client->socket, client->answer + client->answer_sent, left, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0 && errno == EAGAIN) {
            client->slow_ms = client->slow_ms ? client->slow_ms : now_ms;
            if (now_ms - client->slow_ms > CONTROL_SLOW_MS)
                hang_up(client);
            return;
        }
        if (sent < 0)
            break;
        client->answer_sent += (size_t)sent;
        client->slow_ms = 0;
    }
    hang_up(client);
}

void control_step(struct control *control, int64_t now_ms, control_each *each, void *context)
{
    accept_one(control);
    for (int i = 0; i < CONTROL_CLIENTS; i++) {
        struct control_client *client = &control->client[i];
        if (client->socket >= 0 && !client->asked)
            read_client(client, each, context);
        if (client->answer)
            send_answer(client, now_ms);
    }
}

void control_answer_text(struct control_client *client, bool ok, const char *text, size_t length)
{
    static const char cut[] = "... cut: the answer is longer than 64 MiB\n";
    _Static_assert((int)CONTROL_ANSWER == 64 << 20, "the text says so");
    const char *head = ok ? "ok\n" : "error\n";
    size_t at = strlen(head), most = CONTROL_ANSWER - sizeof cut;
    bool whole = length <= most;
    most = whole ? length : most;
    client->asked = true; /* nothing more is read of it */
    client->answer = malloc(at + most + sizeof cut + 1);
    ensure(client->answer != NULL, "the machine has memory left");
    memcpy(client->answer, head, at);
    memcpy(client->answer + at, text, most);
    at += most;
    if (at && client->answer[at - 1] != '\n')
        client->answer[at++] = '\n';
    if (!whole) {
        memcpy(client->answer + at, cut, sizeof cut - 1);
        at += sizeof cut - 1;
    }
    client->answer_length = at;
}

void control_answer(struct control_client *client, bool ok, const char *format, ...)
{
    char text[CONTROL_LINE];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    control_answer_text(client, ok, text, length < (int)sizeof text ? (size_t)length : sizeof text - 1);
}

/* ---- the other side ---- */

static int refused(const char *path, const char *why)
{
    fprintf(stderr, "esteem ctl: %s: %s\n", path, why);
    return EXIT_FAILED;
}

/* Nobody listens: a relative path may be meant from elsewhere. */
static int not_there(const char *path)
{
    char folder[PATH_MAX], why[PATH_MAX + 160];
    if (*path == '/' || getcwd(folder, sizeof folder) == NULL)
        return refused(path, "no esteem listens there; start it, or name its control.socket");
    snprintf(why, sizeof why, "no esteem listens there, as seen from the working directory %s; start it, ask from its working directory, or name its control.socket", folder);
    return refused(path, why);
}

static int read_answer(int socket, const char *path, int64_t within_ms)
{
    size_t length = 0, room = CONTROL_ANSWER + CONTROL_LINE;
    char *text = malloc(room + 1);
    ensure(text != NULL, "the machine has memory left");
    int code = -1;
    while (code < 0 && length < room) {
        struct pollfd wait = {.fd = socket, .events = POLLIN};
        if (poll(&wait, 1, (int)within_ms) <= 0) {
            code = refused(path, "no answer in time; it may still be at work, look at its log");
            break;
        }
        ssize_t got = read(socket, text + length, room - length);
        if (got <= 0)
            break;
        length += (size_t)got;
    }
    text[length] = 0;
    char *rest = strchr(text, '\n');
    if (code < 0 && rest == NULL)
        code = refused(path, "it hung up without an answer; ask again");
    if (code < 0) {
        bool ok = strncmp(text, "ok\n", 3) == 0;
        fputs(rest + 1, ok ? stdout : stderr);
        code = ok ? EXIT_DONE : EXIT_FAILED;
    }
    free(text);
    return code;
}

static int send_command(int socket, int words, char **word)
{
    char text[CONTROL_LINE];
    size_t length = 0;
    for (int w = 0; w < words; w++) {
        size_t size = strlen(word[w]);
        if (strpbrk(word[w], "\t\n") || length + size + 1 > sizeof text)
            return -1;
        memcpy(text + length, word[w], size);
        length += size;
        text[length++] = w + 1 == words ? '\n' : '\t';
    }
    return send(socket, text, length, MSG_NOSIGNAL) == (ssize_t)length ? 0 : -1;
}

int control_ask(const char *path, int words, char **word, int64_t within_ms)
{
    struct sockaddr_un address;
    if (address_of(path, &address) != 0)
        return refused(path, err_text());
    int client = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (client < 0 || connect(client, (const struct sockaddr *)&address, sizeof address) != 0) {
        int code = errno == ENOENT || errno == ECONNREFUSED ? not_there(path) : refused(path, strerror(errno));
        if (client >= 0)
            close(client);
        return code;
    }
    int code = send_command(client, words, word) == 0 ? read_answer(client, path, within_ms)
                                                     : refused(path, "the command cannot be sent: words have no tab and no line's end, and fit 4 KiB");
    close(client);
    return code;
}
