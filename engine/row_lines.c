#include "row_lines.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "esteem/config.h"
#include "esteem/err.h"
#include "esteem/event.h"
#include "esteem/row.h"
#include "esteem/utf8.h"

/* ---- lines ---- */

int row_lines_open(struct row_lines *lines, const char *path)
{
    *lines = (struct row_lines){.path = path, .file = strcmp(path, "-") == 0 ? stdin : fopen(path, "r")};
    if (lines->file == NULL)
        return err_set(ERR_IO, "%s: %s", path, strerror(errno));
    return 0;
}

void row_lines_close(struct row_lines *lines)
{
    if (lines->file && lines->file != stdin)
        fclose(lines->file);
    free(lines->text);
    *lines = (struct row_lines){0};
}

/* One more piece of the line; false at the end of the file. */
static bool read_piece(struct row_lines *lines)
{
    enum { PIECE = 1 << 16 };
    if (lines->room - lines->length < PIECE) {
        lines->room = (lines->room + PIECE) * 2;
        lines->text = realloc(lines->text, lines->room);
        ensure(lines->text != NULL, "the machine has memory left");
    }
    if (fgets(lines->text + lines->length, PIECE, lines->file) == NULL)
        return false;
    lines->length += strlen(lines->text + lines->length);
    return true;
}

/* 1: a line, 0: the end. A NUL byte joins the line with its next, which then is no JSON. */
static int read_line(struct row_lines *lines)
{
    lines->length = 0;
    lines->line++;
    lines->offset = lines->next;
    while (read_piece(lines)) {
        if (lines->length && lines->text[lines->length - 1] == '\n')
            break;
        if (lines->length > ROW_LINE_MAX)
            return err_set(ERR_DATA, "%s:%" PRId64 ": a line of more than %d bytes is no row", lines->path, lines->line, ROW_LINE_MAX);
    }
    if (ferror(lines->file))
        return err_set(ERR_IO, "%s: %s", lines->path, strerror(errno));
    const char *other = NULL;
    if (lines->offset == 0)
        utf8_begin(lines->text, lines->length, &other);
    if (other)
        return err_set(ERR_DATA, "%s: %s", lines->path, other);
    lines->next += (int64_t)lines->length;
    return lines->length > 0;
}

int row_lines_next(struct row_lines *lines)
{
    for (;;) {
        int result = read_line(lines);
        if (result <= 0)
            return result;
        while (lines->length && strchr(" \t\r\n", lines->text[lines->length - 1]))
            lines->text[--lines->length] = '\0';
        if (lines->length)
            return 1;
    }
}

int row_lines_at(struct row_lines *lines, int64_t offset, int64_t line)
{
    if (fseeko(lines->file, offset, SEEK_SET) != 0)
        return err_set(ERR_IO, "%s: %s", lines->path, strerror(errno));
    lines->next = offset;
    lines->line = line - 1;
    int result = row_lines_next(lines);
    return result == 0 ? err_set(ERR_DATA, "%s:%" PRId64 ": the file has become shorter", lines->path, line) : result;
}

/* ---- rows ---- */

/* Takes `row`. */
static int checked(const struct row_lines *lines, jv row, jv *out)
{
    if (jv_get_kind(row) == JV_KIND_OBJECT) {
        *out = row;
        return 0;
    }
    jv message = jv_is_valid(row) ? jv_string("not an object") : jv_invalid_get_msg(jv_copy(row));
    jv_free(row);
    err_set(ERR_DATA, "%s:%" PRId64 ": no row: %s", lines->path, lines->line,
            jv_get_kind(message) == JV_KIND_STRING ? jv_string_value(message) : "no JSON");
    jv_free(message);
    return ERR_DATA;
}

int row_lines_parse(const struct row_lines *lines, jv *row)
{
    return checked(lines, jv_parse_sized(lines->text, (int)lines->length), row);
}

/* Within a string the marker would have its quotes escaped, so it is found where the measures begin. */
int row_lines_head(const struct row_lines *lines, jv *head, const char **tail)
{
    static const char marker[] = ",\"measures\":{";
    const char *found = strstr(lines->text, marker);
    size_t length = found ? (size_t)(found - lines->text) : 0;
    *tail = found ? found : "";
    if (found == NULL || length > 1 << 16)
        return row_lines_parse(lines, head);
    char *text = malloc(length + 2);
    ensure(text != NULL, "the machine has memory left");
    memcpy(text, lines->text, length);
    memcpy(text + length, "}", 2);
    int result = checked(lines, jv_parse(text), head);
    free(text);
    return result;
}

/* ---- keys ---- */

/* A NUL is carried as C0 80, as in row.c. Takes `value`. */
static char *text_of(jv value)
{
    if (jv_get_kind(value) != JV_KIND_STRING) {
        jv_free(value);
        return NULL;
    }
    size_t length = (size_t)jv_string_length_bytes(jv_copy(value));
    const char *from = jv_string_value(value);
    char *text = malloc(2 * length + 1), *at = text;
    ensure(text != NULL, "the machine has memory left");
    for (size_t i = 0; i < length; i++)
        if (from[i]) {
            *at++ = from[i];
        } else {
            *at++ = (char)0xc0;
            *at++ = (char)0x80;
        }
    *at = '\0';
    jv_free(value);
    return text;
}

jv row_member(jv object, const char *name)
{
    if (jv_get_kind(object) != JV_KIND_OBJECT)
        return jv_null();
    jv value = jv_object_get(jv_copy(object), jv_string(name));
    if (jv_is_valid(value))
        return value;
    jv_free(value);
    return jv_null();
}

char *row_text(jv row, const char *name)
{
    char *text = text_of(jv_object_get(jv_copy(row), jv_string(name)));
    return text ? text : strdup("");
}

/* "queue=billing,channel=chat" in the row's order; NULL when a value is no string. Takes `scope`. */
static char *scope_text(jv scope)
{
    char *out = malloc(ROW_SCOPE_MAX);
    size_t length = 0;
    bool good = out && jv_get_kind(scope) == JV_KIND_OBJECT;
    if (good)
        for (int i = jv_object_iter(scope); jv_object_iter_valid(scope, i) && good; i = jv_object_iter_next(scope, i)) {
            char *name = text_of(jv_object_iter_key(scope, i)), *value = text_of(jv_object_iter_value(scope, i));
            good = value != NULL && length + strlen(name) + 3 < ROW_SCOPE_MAX;
            if (good) {
                length += (size_t)snprintf(out + length, ROW_SCOPE_MAX - length, "%s%s=", length ? "," : "", name);
                length += row_encode(value, out + length, ROW_SCOPE_MAX - length);
            }
            free(name);
            free(value);
        }
    if (good && length == 0)
        strcpy(out, "all");
    jv_free(scope);
    if (good)
        return out;
    free(out);
    return NULL;
}

/* Rolling windows are named by their length: 5m, 1h, 7d, 90s. */
static int64_t window_rank(const char *window)
{
    static const struct { const char *name; int64_t ms; } units[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"d", 86400000}};
    for (int i = 0; i < CALENDAR_COUNT; i++)
        if (strcmp(window, calendar_names[i]) == 0)
            return i;
    char *unit;
    int64_t length = strtoll(window, &unit, 10);
    for (size_t i = 0; i < sizeof units / sizeof *units; i++)
        if (strcmp(unit, units[i].name) == 0 && length < INT64_MAX / 86400000 / 2)
            return CALENDAR_COUNT + length * units[i].ms;
    return INT64_MAX;
}

int row_key_of(jv row, struct row_key *key)
{
    char *tenant = text_of(jv_object_get(jv_copy(row), jv_string("tenant")));
    char *scope = scope_text(jv_object_get(jv_copy(row), jv_string("scope")));
    char *window = text_of(jv_object_get(jv_copy(row), jv_string("window")));
    char *start = text_of(jv_object_get(jv_copy(row), jv_string("start")));
    const char *missing = !tenant ? "tenant" : !scope ? "scope" : !window ? "window" : !start ? "start" : NULL;
    *key = (struct row_key){0};
    if (!missing && !event_time_parse(start, strlen(start), &key->start_ms))
        missing = "start";
    if (!missing) {
        size_t t = strlen(tenant) + 1, s = strlen(scope) + 1, w = strlen(window) + 1;
        key->text = malloc(t + s + w + 3 * t);
        ensure(key->text != NULL, "the machine has memory left");
        key->tenant = memcpy(key->text, tenant, t);
        key->scope = memcpy(key->text + t, scope, s);
        key->window = memcpy(key->text + t + s, window, w);
        row_encode(tenant, key->text + t + s + w, 3 * t);
        key->tenant_key = key->text + t + s + w;
        key->rank = window_rank(window);
    }
    free(tenant);
    free(scope);
    free(window);
    free(start);
    return missing ? err_set(ERR_DATA, "no row: \"%s\" is missing or is not what a row has there", missing) : 0;
}

void row_key_close(struct row_key *key)
{
    free(key->text);
    *key = (struct row_key){0};
}

int row_key_compare(const struct row_key *a, const struct row_key *b)
{
    if (a->rank != b->rank)
        return a->rank < b->rank ? -1 : 1;
    if (a->start_ms != b->start_ms)
        return a->start_ms < b->start_ms ? -1 : 1;
    int order = strcmp(a->tenant, b->tenant);
    if (order == 0)
        order = strcmp(a->scope, b->scope);
    return order ? order : strcmp(a->window, b->window);
}
