/* config_option: a single value of each kind, with its range, and the texts that must make sense: one `..._fault`
 * predicate each, which returns what is wrong and the fix, or NULL. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "config_parts.h"
#include "esteem/http.h"

#define ZONES "/usr/share/zoneinfo/"

/* --- texts --- */

/* A name like Europe/Berlin or Etc/GMT+5 that stays below the folder; "right/" counts leap seconds, we do not. */
static bool zone_is_sane(const char *zone)
{
    static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_+-/";
    size_t length = strlen(zone);
    return length > 0 && length <= 64 && zone[strspn(zone, allowed)] == '\0' && zone[0] != '/' &&
           strncmp(zone, "right/", 6) != 0 && strncmp(zone, "posix/", 6) != 0;
}

const char *zone_fault(const char *zone)
{
    static const char fault[] = "is no time zone of " ZONES "; take an IANA name such as Europe/Berlin";
    char path[128], magic[4] = "";
    if (!zone_is_sane(zone))
        return fault;
    snprintf(path, sizeof path, ZONES "%s", zone);
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return fault;
    size_t n = fread(magic, 1, sizeof magic, file);
    fclose(file);
    return n == sizeof magic && memcmp(magic, "TZif", sizeof magic) == 0 ? NULL : fault;
}

static bool topic_is_spelled(const char *topic)
{
    static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
    return topic[strspn(topic, allowed)] == '\0' && strlen(topic) <= 249;
}

const char *topic_fault(const char *topic)
{
    if (*topic == '\0' || strcmp(topic, ".") == 0 || strcmp(topic, "..") == 0 || !topic_is_spelled(topic))
        return "is no name of a Kafka topic; use 1 to 249 of A-Z a-z 0-9 . _ -";
    return NULL;
}

static const char *topic_or_none_fault(const char *topic)
{
    return *topic == '\0' ? NULL : topic_fault(topic);
}

/* Kafka allows 249 bytes; the longest family name needs some. */
static const char *prefix_fault(const char *prefix)
{
    if (!topic_is_spelled(prefix) || strlen(prefix) > 200)
        return "cannot begin a Kafka topic; use at most 200 of A-Z a-z 0-9 . _ -";
    return NULL;
}

static const char *something_fault(const char *text)
{
    return *text == '\0' ? "is empty; write a value, or leave the key out" : NULL;
}

/* An IPv6 address has more colons than one. */
static const char *host_fault(const char *host)
{
    const char *colon = strchr(host, ':');
    if (strchr(host, '/'))
        return "is an address of the web's kind; write the host alone, what else it says under redis.port, redis.user, redis.password";
    if (colon && strchr(colon + 1, ':') == NULL)
        return "names a port as well; write the host alone, and redis.port beside it";
    return something_fault(host);
}

static bool port_is_good(const char *at, size_t length)
{
    int port = 0;
    for (size_t i = 0; i < length; i++)
        if (at[i] < '0' || at[i] > '9' || (port = port * 10 + (at[i] - '0')) > 65535)
            return false;
    return port > 0;
}

/* host, host:port, [::1]:port, ssl://host:port; librdkafka takes another port for 0. */
static const char *brokers_fault(const char *brokers)
{
    for (const char *at = brokers, *next; *at; at = next) {
        size_t length = strcspn(at, ",");
        next = at + length + (at[length] == ',');
        const char *scheme = memmem(at, length, "://", 3), *host = scheme ? scheme + 3 : at;
        while (length > 0 && at[length - 1] == ' ')
            length--;
        const char *end = at + length, *bracket = memrchr(host, ']', (size_t)(end - host)), *colon = memrchr(host, ':', (size_t)(end - host));
        bool bare = colon && !bracket && memchr(host, ':', (size_t)(colon - host)); /* an IPv6 address without a port */
        if (colon && !bare && colon > bracket && !port_is_good(colon + 1, (size_t)(end - colon - 1)))
            return "has a port that is no number of 1 to 65535; write host:port, comma separated";
    }
    return something_fault(brokers);
}

static const char *socket_fault(const char *path)
{
    return strlen(path) > 107 ? "is too long for a unix socket; use a path of at most 107 bytes" : NULL;
}

static const char *listen_fault(const char *address)
{
    return *address == '\0' || http_address(address) ? NULL : "is no address and port; write one such as 127.0.0.1:9464 or [::1]:9464";
}

static const struct {
    const char *key;
    const char *(*fault)(const char *text);
} text_rules[] = {
    {"windows.timezone", zone_fault},
    {"kafka.brokers", brokers_fault},
    {"kafka.group", something_fault},
    {"mappings", something_fault},
    {"http.listen", listen_fault},
    {"redis.host", host_fault},
    {"control.socket", socket_fault},
    {"redis.socket", socket_fault},
    {"topics.prefix", prefix_fault},
    {"topics.deadletter", topic_or_none_fault},
};

static const char *text_fault(const char *key, const char *text)
{
    for (size_t i = 0; i < sizeof text_rules / sizeof *text_rules; i++)
        if (strcmp(text_rules[i].key, key) == 0)
            return text_rules[i].fault(text);
    return NULL;
}

static bool variable_is_spelled(const char *name)
{
    static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_";
    return *name != '\0' && (*name < '0' || *name > '9') && name[strspn(name, allowed)] == '\0';
}

/* Never quotes the text itself: it may be a secret. */
char *reader_secret(struct reader *reader, const char *text, int line, const char *key)
{
    if (*text != '$')
        return text_copy(text);
    if (text[1] == '$')
        return text_copy(text + 1);
    if (!variable_is_spelled(text + 1)) {
        reader_fault(reader, line, key, "begins with $ but names no environment variable; write $NAME, or $$ for a dollar");
        return NULL;
    }
    const char *value = getenv(text + 1);
    if (value == NULL && reader->without_secrets)
        value = "";
    if (value == NULL) {
        reader_fault(reader, line, key, "environment variable %s is not set; set it before the start", text + 1);
        return NULL;
    }
    return text_copy(value);
}

/* --- numbers --- */

static bool is_quoted(const yaml_node_t *node)
{
    return node->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
}

enum { SHOWN_MAX = 60 }; /* bytes of a wrong value that a message repeats */

bool reader_duration(struct reader *reader, const yaml_node_t *node, int line, const char *key, int64_t low_ms,
                     int64_t high_ms, int64_t *ms)
{
    char low[DURATION_TEXT_MAX], high[DURATION_TEXT_MAX];
    const char *text = reader_text(reader, node, line, key, "a duration such as 500ms, 10s, 5m, 4h or 7d");
    if (text == NULL)
        return false;
    int64_t value = 0;
    enum parsed parsed = duration_parse(text, &value);
    if (parsed == PARSED_WITHOUT_UNIT)
        reader_fault(reader, line, key, "%.*s has no unit; write %.*sms, %.*ss, ...", SHOWN_MAX, text, SHOWN_MAX, text,
                     SHOWN_MAX, text);
    else if (parsed == PARSED_NOT)
        reader_fault(reader, line, key, "\"%.*s\" is no duration; write one such as 500ms, 10s, 5m, 4h or 7d", SHOWN_MAX,
                     text);
    else if (parsed == PARSED_TOO_LARGE || value < low_ms || value > high_ms)
        reader_fault(reader, line, key, "%.*s is out of range; take %s to %s", SHOWN_MAX, text,
                     duration_format(low_ms, low), duration_format(high_ms, high));
    else {
        *ms = value;
        return true;
    }
    return false;
}

bool reader_bool(struct reader *reader, const yaml_node_t *node, int line, const char *key, bool *value)
{
    const char *text = reader_text(reader, node, line, key, "true or false");
    if (text == NULL)
        return false;
    bool yes = strcmp(text, "true") == 0;
    if (is_quoted(node) || (!yes && strcmp(text, "false") != 0)) {
        reader_fault(reader, line, key, "\"%.*s\" is no truth value; write true or false, without quotes", SHOWN_MAX, text);
        return false;
    }
    *value = yes;
    return true;
}

static void size_read(struct reader *reader, const struct option *option, const char *text, int line, int64_t *bytes)
{
    char low[DURATION_TEXT_MAX], high[DURATION_TEXT_MAX];
    int64_t value = 0;
    enum parsed parsed = size_parse(text, &value);
    if (parsed == PARSED_NOT || parsed == PARSED_WITHOUT_UNIT)
        reader_fault(reader, line, option->key, "\"%.*s\" is no size; write one such as 65536, 64KiB or 1MiB", SHOWN_MAX,
                     text);
    else if (parsed == PARSED_TOO_LARGE || value < option->low || value > option->high)
        reader_fault(reader, line, option->key, "%.*s is out of range; take %s to %s", SHOWN_MAX, text,
                     size_format(option->low, low), size_format(option->high, high));
    else if (strcmp(option->key, "limits.memory") == 0 && value != 0 && value < CONFIG_MEMORY_LEAST)
        reader_fault(reader, line, option->key, "%.*s is less than the threads and librdkafka take; write %s or more, or 0 for no such bound", SHOWN_MAX,
                     text, size_format(CONFIG_MEMORY_LEAST, low));
    else
        *bytes = value;
}

static void integer_read(struct reader *reader, const struct option *option, const char *text, int line, int64_t *field)
{
    int64_t value = 0;
    enum parsed parsed = integer_parse(text, &value);
    if (parsed == PARSED_NOT)
        reader_fault(reader, line, option->key, "\"%.*s\" is no whole number; write one of %" PRId64 " to %" PRId64,
                     SHOWN_MAX, text, option->low, option->high);
    else if (parsed == PARSED_TOO_LARGE || value < option->low || value > option->high)
        reader_fault(reader, line, option->key, "%.*s is out of range; take %" PRId64 " to %" PRId64, SHOWN_MAX, text,
                     option->low, option->high);
    else
        *field = value;
}

static void real_read(struct reader *reader, const struct option *option, const char *text, int line, double *field)
{
    double value = 0;
    enum parsed parsed = real_parse(text, &value);
    if (parsed == PARSED_NOT)
        reader_fault(reader, line, option->key, "\"%.*s\" is no number; write one of %g to %g", SHOWN_MAX, text,
                     option->real_low, option->real_high);
    else if (parsed == PARSED_TOO_LARGE || value < option->real_low || value > option->real_high)
        reader_fault(reader, line, option->key, "%.*s is out of range; take %g to %g", SHOWN_MAX, text, option->real_low,
                     option->real_high);
    else
        *field = value;
}

/* --- words and texts --- */

static void word_read(struct reader *reader, const struct option *option, const char *text, int line, int *field)
{
    char all[256] = "";
    int found = word_find(option->text, text);
    if (found >= 0) {
        *field = found;
        return;
    }
    size_t length;
    const char *word;
    for (int i = 0; (word = word_at(option->text, i, &length)) != NULL; i++) {
        size_t used = strlen(all);
        snprintf(all + used, sizeof all - used, "%s%.*s", i == 0 ? "" : ", ", (int)length, word);
    }
    reader_fault(reader, line, option->key, "\"%.*s\" is none of its words; take one of %s", SHOWN_MAX, text, all);
}

/* Options that may be spelled $NAME, to be taken from the environment. */
static bool is_secret(const char *key)
{
    return strcmp(key, "redis.password") == 0 || strcmp(key, "secrets.customer_key") == 0;
}

static void text_read(struct reader *reader, const struct option *option, const char *text, int line, char **field)
{
    const char *fault = text_fault(option->key, text);
    if (fault != NULL) {
        reader_fault(reader, line, option->key, "\"%.*s\" %s", SHOWN_MAX, text, fault);
        return;
    }
    char *copy = is_secret(option->key) ? reader_secret(reader, text, line, option->key)
                                                            : text_copy(text);
    if (copy == NULL)
        return;
    if (strcmp(option->key, "topics.deadletter") == 0)
        reader->deadletter_line = line;
    free(*field);
    *field = copy;
}

static const char *const kind_wanted[] = {
    [KIND_SIZE] = "a size such as 65536, 64KiB or 1MiB",
    [KIND_INT] = "a whole number",
    [KIND_REAL] = "a number",
    [KIND_WORD] = "one of its words",
    [KIND_TEXT] = "a text (\"\" for an empty one)",
};

static bool is_number(enum option_kind kind)
{
    return kind == KIND_INT || kind == KIND_REAL;
}

void option_read(struct reader *reader, const struct option *option, const yaml_node_t *node, int line)
{
    void *field = option_at(reader->config, option);
    if (option->kind == KIND_DURATION) {
        reader_duration(reader, node, line, option->key, option->low, option->high, field);
        return;
    }
    if (option->kind == KIND_BOOL) {
        reader_bool(reader, node, line, option->key, field);
        return;
    }
    const char *text = reader_text(reader, node, line, option->key, kind_wanted[option->kind]);
    if (text == NULL)
        return;
    if (is_number(option->kind) && is_quoted(node)) {
        reader_fault(reader, line, option->key, "is a text; write a number, without quotes");
        return;
    }
    switch (option->kind) {
    case KIND_SIZE: size_read(reader, option, text, line, field); break;
    case KIND_INT: integer_read(reader, option, text, line, field); break;
    case KIND_REAL: real_read(reader, option, text, line, field); break;
    case KIND_WORD: word_read(reader, option, text, line, field); break;
    case KIND_TEXT: text_read(reader, option, text, line, field); break;
    default: break; /* done above */
    }
}
