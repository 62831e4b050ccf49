/* mapping: jq through libjq.
 *
 *   message ──jv_parse──> value ──jq_next──> outputs ──dump──> buffer ──each──> events
 *
 * The outputs of a message gather in a buffer of the mapping, one behind the other, and go out only when the program has ended
 * without an error: an event is refused whole or counted whole. */
#include "esteem/mapping.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jv.h> /* before jq.h, which needs it */

#include <jq.h>

#include "esteem/err.h"
#include "esteem/utf8.h"

enum { PROGRAM_BYTES_MAX = 1 << 20, COMPLAINT_MAX = 512 };

struct mapping {
    jq_state *jq;
    char *name;
    char *buffer; /* the outputs of one message, each with a NUL behind it */
    size_t used, space;
    size_t start[MAPPING_OUTPUT_MAX + 1]; /* where output i begins in buffer */
    char complaint[COMPLAINT_MAX];        /* what jq said while compiling */
};

/* Takes `value`: the text of a jq message, which may quote the event, as one cell of one line. */
static void message_write(jv value, char *out, size_t size)
{
    if (jv_get_kind(value) != JV_KIND_STRING) {
        value = jv_dump_string(value, 0);
    }
    (void)snprintf(out, size, "%s", jv_string_value(value));
    for (char *at = out; *at; at++) {
        if ((unsigned char)*at < ' ' || *at == 0x7f) {
            *at = ' ';
        }
    }
    jv_free(value);
}

/* jq's error callback. The first message says where it is wrong, the following how many there were. */
static void complaint_add(void *context, jv message)
{
    struct mapping *mapping = context;
    if (mapping->complaint[0]) {
        jv_free(message);
        return;
    }
    message_write(message, mapping->complaint, sizeof mapping->complaint);
}

/* The program's text, to be freed; NULL with the error set. */
static char *program_read(const char *path)
{
    FILE *file = fopen(path, "re");
    if (!file) {
        err_set(ERR_MAPPING, "%s: %s", path, strerror(errno));
        return NULL;
    }
    char *text = malloc(PROGRAM_BYTES_MAX + 1);
    if (!text) {
        err_set(ERR_MEMORY, "%s: no memory", path);
        goto done;
    }
    size_t length = fread(text, 1, PROGRAM_BYTES_MAX + 1, file);
    if (ferror(file)) {
        err_set(ERR_IO, "%s: %s", path, strerror(errno));
    } else if (length > PROGRAM_BYTES_MAX) {
        err_set(ERR_MAPPING, "%s: longer than 1 MiB", path);
    } else if (memchr(text, '\0', length)) {
        err_set(ERR_MAPPING, "%s: not a text", path);
    } else {
        text[length] = '\0';
        goto done;
    }
    free(text);
    text = NULL;
done:
    fclose(file);
    return text;
}

/* Lets the program find the files that it includes beside it. */
static void folder_set(jq_state *jq, const char *folder)
{
    char full[PATH_MAX];
    const char *root = realpath(folder, full) ? full : folder;
    jq_set_attr(jq, jv_string("JQ_LIBRARY_PATH"), JV_ARRAY(jv_string(root)));
    jq_set_attr(jq, jv_string("JQ_ORIGIN"), jv_string(root));
    jq_set_attr(jq, jv_string("PROGRAM_ORIGIN"), jv_string(root));
}

struct mapping *mapping_new(const char *folder, const char *name)
{
    if (!*name || *name == '.' || strchr(name, '/')) {
        err_set(ERR_MAPPING, "a mapping's name is a file of %s without its .jq, not '%s'", folder, name);
        return NULL;
    }
    char path[PATH_MAX];
    if (snprintf(path, sizeof path, "%s/%s.jq", folder, name) >= (int)sizeof path) {
        err_set(ERR_MAPPING, "%s: too long a path", name);
        return NULL;
    }
    char *program = program_read(path);
    if (!program) {
        return NULL;
    }
    struct mapping *mapping = calloc(1, sizeof *mapping);
    if (!mapping || !(mapping->name = strdup(name)) || !(mapping->jq = jq_init())) {
        err_set(ERR_MEMORY, "%s: no memory", path);
        goto fail;
    }
    folder_set(mapping->jq, folder);
    jq_set_error_cb(mapping->jq, complaint_add, mapping);
    if (!jq_compile_args(mapping->jq, program, jv_object())) {
        err_set(ERR_MAPPING, "%s: %s", path, mapping->complaint[0] ? mapping->complaint : "jq does not compile it");
        goto fail;
    }
    free(program);
    return mapping;
fail:
    free(program);
    mapping_free(mapping);
    return NULL;
}

/* One JSON value from the whole text; invalid when it is none. The message, if any, does not quote the text. */
static jv value_parse(const char *json, size_t length)
{
    if (length > INT_MAX) {
        return jv_invalid_with_msg(jv_string("too long"));
    }
    if (!utf8_valid(json, length)) { /* jq would put U+FFFD instead */
        return jv_invalid_with_msg(jv_string("not UTF-8"));
    }
    struct jv_parser *parser = jv_parser_new(0);
    jv_parser_set_buf(parser, json, (int)length, 0);
    jv value = jv_parser_next(parser);
    if (jv_is_valid(value)) {
        jv next = jv_parser_next(parser);
        if (jv_is_valid(next)) {
            jv_free(value);
            value = jv_invalid_with_msg(jv_string("more than one JSON value"));
            jv_free(next);
        } else if (jv_invalid_has_msg(jv_copy(next))) {
            jv_free(value);
            value = next;
        } else {
            jv_free(next);
        }
    } else if (!jv_invalid_has_msg(jv_copy(value))) {
        jv_free(value);
        value = jv_invalid_with_msg(jv_string("no JSON value"));
    }
    jv_parser_free(parser);
    return value;
}

/* Puts one output behind the others. Takes `value`; false when MAPPING_BYTES_MAX or the memory is at its end. */
static bool output_add(struct mapping *mapping, int index, jv value)
{
    jv text = jv_dump_string(value, 0);
    size_t length = (size_t)jv_string_length_bytes(jv_copy(text));
    size_t need = mapping->used + length + 1;
    bool fits = need <= MAPPING_BYTES_MAX;
    if (fits && need > mapping->space) {
        size_t space = need * 2 < 4096 ? 4096 : need * 2;
        char *grown = realloc(mapping->buffer, space);
        if (grown) {
            mapping->buffer = grown;
            mapping->space = space;
        }
        fits = grown != NULL;
    }
    if (fits) {
        memcpy(mapping->buffer + mapping->used, jv_string_value(text), length + 1);
        mapping->used = need;
        mapping->start[index + 1] = need;
    }
    jv_free(text);
    return fits;
}

/* Takes `failure`, an invalid value: sets the error of a failed run. */
static int run_failed(const struct mapping *mapping, jv failure)
{
    char text[COMPLAINT_MAX];
    message_write(jv_invalid_get_msg(failure), text, sizeof text);
    return err_set(ERR_MAPPING, "%s: %s", mapping->name, text);
}

/* Lets the program run to its end; returns how many outputs lie in the buffer, or ERR_MAPPING. Takes `value`. */
static int outputs_gather(struct mapping *mapping, jv value)
{
    int count = 0;
    mapping->used = 0;
    jq_start(mapping->jq, value, 0);
    for (;;) {
        jv output = jq_next(mapping->jq);
        if (!jv_is_valid(output)) {
            if (jv_invalid_has_msg(jv_copy(output))) {
                return run_failed(mapping, output);
            }
            jv_free(output);
            return jq_halted(mapping->jq) ? err_set(ERR_MAPPING, "%s: the program called halt", mapping->name) : count;
        }
        if (count == MAPPING_OUTPUT_MAX) {
            jv_free(output);
            return err_set(ERR_MAPPING, "%s: more than %d events from one message", mapping->name, MAPPING_OUTPUT_MAX);
        }
        if (!output_add(mapping, count, output)) {
            return err_set(ERR_MAPPING, "%s: more than %d MiB of events from one message", mapping->name, MAPPING_BYTES_MAX >> 20);
        }
        count++;
    }
}

int mapping_run(struct mapping *mapping, const char *json, size_t length, mapping_each *each, void *context)
{
    jv value = value_parse(json, length);
    if (!jv_is_valid(value)) {
        return run_failed(mapping, value);
    }
    int count = outputs_gather(mapping, value);
    for (int i = 0; i < count; i++) {
        each(context, mapping->buffer + mapping->start[i], mapping->start[i + 1] - mapping->start[i] - 1);
    }
    return count;
}

void mapping_free(struct mapping *mapping)
{
    if (!mapping) {
        return;
    }
    if (mapping->jq) {
        jq_teardown(&mapping->jq);
    }
    free(mapping->buffer);
    free(mapping->name);
    free(mapping);
}

void mapping_free_list(struct mapping **list, int count)
{
    for (int i = 0; list && i < count; i++)
        if (list[i])
            mapping_free(list[i]);
    free(list);
}
