/* log: one line an occurrence, and a storm of one message is one line a second.
 *
 *     log_line -> text -> seen within the second? -- yes --> its count + 1
 *                              | no
 *                              v
 *              print, and keep it in the table of RECENT_MAX messages
 *
 * A count is told by a line of its own ("repeated=41") as soon as anything is logged after its second is over, and
 * at exit. When the table is full, the message that was printed longest ago makes room; its count is told first. */
#include "esteem/log.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "esteem/clock.h"
#include "esteem/utf8.h"

enum {
    RECENT_MAX = 32,        /* messages of the last second that are told apart */
    REPEAT_MS = 1000,       /* within this a repetition is counted only */
    EVENT_MAX = 48,         /* bytes */
    TEXT_MAX = 1024,        /* bytes; the rest of a longer sentence is cut */
    LINE_MAX_BYTES = 8192,  /* a text of nothing but control bytes, escaped, still fits */
};

struct recent {
    bool used;
    enum log_level level;
    uint64_t repeated;  /* since it was printed */
    int64_t printed_ms; /* monotonic */
    char event[EVENT_MAX];
    char text[TEXT_MAX];
};

static const char *const level_names[] = {"debug", "info", "warn", "error"};

/* Relaxed: a setting on its own, nothing is ordered by it. */
static _Atomic int level_least = LOG_INFO;
static _Atomic bool json;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* guards `recent`, `exit_asked` and standard error */
static struct recent recent[RECENT_MAX];
static bool exit_asked;

void log_level_set(enum log_level level)
{
    atomic_store_explicit(&level_least, (int)level, memory_order_relaxed);
}

bool log_level_parse(const char *word, enum log_level *level)
{
    for (int i = LOG_DEBUG; i <= LOG_ERROR; i++)
        if (strcmp(word, level_names[i]) == 0) {
            *level = (enum log_level)i;
            return true;
        }
    return false;
}

void log_json_set(bool on)
{
    atomic_store_explicit(&json, on, memory_order_relaxed);
}

struct line {
    size_t length;
    char bytes[LINE_MAX_BYTES];
};

static void line_add(struct line *line, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void line_add(struct line *line, const char *format, ...)
{
    size_t room = sizeof line->bytes - line->length;
    va_list arguments;
    va_start(arguments, format);
    int n = vsnprintf(line->bytes + line->length, room, format, arguments);
    va_end(arguments);
    if (n > 0)
        line->length += (size_t)n < room ? (size_t)n : room - 1;
}

/* Bytes of the character that begins here, above U+007F; 0: it is none. */
static size_t character(const char *text)
{
    size_t rest = strnlen(text, 4);
    for (size_t n = 2; n <= rest; n++)
        if (utf8_valid(text, n))
            return n;
    return 0;
}

/* JSON's escapes serve both forms; a line stays one line, and UTF-8, whatever it quotes and wherever that was cut. */
static void line_add_quoted(struct line *line, const char *text)
{
    line_add(line, "\"");
    for (; *text != '\0'; text++) {
        unsigned char byte = (unsigned char)*text;
        size_t bytes = byte >= 0x80 ? character(text) : 1;
        if (bytes == 0) {
            line_add(line, "\\ufffd");
        } else if (bytes > 1) {
            line_add(line, "%.*s", (int)bytes, text);
            text += bytes - 1;
        } else if (byte == '"' || byte == '\\') {
            line_add(line, "\\%c", byte);
        } else if (byte == '\n') {
            line_add(line, "\\n");
        } else if (byte < 0x20 || byte == 0x7f) {
            line_add(line, "\\u%04x", byte);
        } else {
            line_add(line, "%c", byte);
        }
    }
    line_add(line, "\"");
}

static void line_add_time(struct line *line, int64_t wall_ms)
{
    time_t seconds = (time_t)(wall_ms / 1000);
    struct tm tm;
    char text[32];
    gmtime_r(&seconds, &tm);
    strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &tm);
    line_add(line, "%s.%03dZ", text, (int)(wall_ms % 1000));
}

static void line_build(struct line *line, const struct recent *message, int64_t wall_ms)
{
    bool as_json = atomic_load_explicit(&json, memory_order_relaxed);
    line_add(line, as_json ? "{\"time\":\"" : "time=");
    line_add_time(line, wall_ms);
    line_add(line, as_json ? "\",\"level\":\"%s\",\"event\":" : " level=%s event=", level_names[message->level]);
    if (as_json)
        line_add_quoted(line, message->event);
    else
        line_add(line, "%s", message->event);
    line_add(line, as_json ? ",\"text\":" : " text=");
    line_add_quoted(line, message->text);
    if (message->repeated > 0)
        line_add(line, as_json ? ",\"repeated\":%llu" : " repeated=%llu", (unsigned long long)message->repeated);
    line_add(line, as_json ? "}\n" : "\n");
}

/* Needs `lock`. A line that cannot be written is lost: there is nowhere left to say so. */
static void message_print(const struct recent *message, int64_t wall_ms)
{
    struct line line = {.length = 0};
    line_build(&line, message, wall_ms);
    for (size_t done = 0; done < line.length;) {
        ssize_t n = write(STDERR_FILENO, line.bytes + done, line.length - done);
        if (n < 0 && errno != EINTR)
            return;
        done += n > 0 ? (size_t)n : 0;
    }
}

/* Needs `lock`. Tells the count of a message, if it has one, and forgets it. */
static void recent_settle(struct recent *message, int64_t wall_ms)
{
    if (message->used && message->repeated > 0)
        message_print(message, wall_ms);
    message->used = false;
    message->repeated = 0;
}

static void settle_at_exit(void)
{
    struct clock clock = clock_real();
    pthread_mutex_lock(&lock);
    for (int i = 0; i < RECENT_MAX; i++)
        recent_settle(&recent[i], clock_wall_ms(&clock));
    pthread_mutex_unlock(&lock);
}

static bool message_same(const struct recent *a, const struct recent *b)
{
    return a->level == b->level && strcmp(a->event, b->event) == 0 && strcmp(a->text, b->text) == 0;
}

/* Needs `lock`. The slot to keep a new message in: an empty one, else the one printed longest ago. */
static struct recent *recent_place(void)
{
    struct recent *place = &recent[0];
    for (int i = 0; i < RECENT_MAX; i++) {
        if (!recent[i].used)
            return &recent[i];
        if (recent[i].printed_ms < place->printed_ms)
            place = &recent[i];
    }
    return place;
}

/* Needs `lock`. */
static void message_take(const struct recent *message, int64_t wall_ms)
{
    for (int i = 0; i < RECENT_MAX; i++) {
        if (recent[i].used && message->printed_ms - recent[i].printed_ms >= REPEAT_MS)
            recent_settle(&recent[i], wall_ms);
        if (recent[i].used && message_same(&recent[i], message)) {
            recent[i].repeated++;
            return;
        }
    }
    struct recent *place = recent_place();
    recent_settle(place, wall_ms);
    *place = *message;
    message_print(place, wall_ms);
}

void log_line(enum log_level level, const char *event, const char *format, ...)
{
    if ((int)level < atomic_load_explicit(&level_least, memory_order_relaxed))
        return;
    int before = errno; /* a log line in an error path must not change what it tells of */
    struct clock clock = clock_real();
    struct recent message = {.used = true, .level = level};
    snprintf(message.event, sizeof message.event, "%s", event);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message.text, sizeof message.text, format, arguments);
    va_end(arguments);

    pthread_mutex_lock(&lock);
    if (!exit_asked)
        exit_asked = atexit(settle_at_exit) == 0;
    message.printed_ms = clock_monotonic_ms(&clock);
    message_take(&message, clock_wall_ms(&clock));
    pthread_mutex_unlock(&lock);
    errno = before;
}
