/* config_read: the nodes of a YAML document and what is wrong with them. Nothing stops at a fault: it is noted with its
 * line, and the reading goes on. */
#include <stdarg.h>
#include <string.h>

#include "config_parts.h"
#include "esteem/err.h"

/* --- faults --- */

/* One fault is one line, whatever a file's keys and values hold. */
static void one_line(char *text)
{
    for (; *text != '\0'; text++)
        if ((unsigned char)*text < 0x20 || *text == 0x7f)
            *text = '?';
}

void reader_fault(struct reader *reader, int line, const char *key, const char *format, ...)
{
    if (reader_full(reader))
        return;
    char what[768], whole[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(what, sizeof what, format, arguments);
    va_end(arguments);
    snprintf(whole, sizeof whole, "%.*s: %s", CONFIG_KEY_MAX, key, what);
    one_line(whole);
    reader->fault[reader->fault_count++] = (struct fault){.line = line, .text = text_copy(whole)};
}

/* --- nodes --- */

static bool scalar_is(const yaml_node_t *node, const char *text)
{
    return strcmp((const char *)node->data.scalar.value, text) == 0;
}

bool node_is_null(const yaml_node_t *node)
{
    if (node->type != YAML_SCALAR_NODE || node->data.scalar.style != YAML_PLAIN_SCALAR_STYLE)
        return false;
    return scalar_is(node, "") || scalar_is(node, "~") || scalar_is(node, "null") || scalar_is(node, "Null") ||
           scalar_is(node, "NULL");
}

static const char *node_noun(const yaml_node_t *node)
{
    if (node_is_null(node))
        return "has no value";
    switch (node->type) {
    case YAML_SEQUENCE_NODE: return "is a list";
    case YAML_MAPPING_NODE: return "is a map";
    default: return "is a single value";
    }
}

static void fault_kind(struct reader *reader, const yaml_node_t *node, int line, const char *key, const char *wanted)
{
    reader_fault(reader, line, key, "%s; write %s%s", node_noun(node), wanted,
                 node_is_null(node) ? ", or leave the key out" : "");
}

bool reader_wants_map(struct reader *reader, const yaml_node_t *node, int line, const char *key, const char *wanted)
{
    if (node->type != YAML_MAPPING_NODE)
        fault_kind(reader, node, line, key, wanted);
    return node->type == YAML_MAPPING_NODE;
}

bool reader_wants_list(struct reader *reader, const yaml_node_t *node, int line, const char *key, const char *wanted)
{
    if (node->type != YAML_SEQUENCE_NODE)
        fault_kind(reader, node, line, key, wanted);
    return node->type == YAML_SEQUENCE_NODE;
}

const char *reader_text(struct reader *reader, const yaml_node_t *node, int line, const char *key, const char *wanted)
{
    if (node->type != YAML_SCALAR_NODE || node_is_null(node)) {
        fault_kind(reader, node, line, key, wanted);
        return NULL;
    }
    const char *text = (const char *)node->data.scalar.value;
    if (strlen(text) != node->data.scalar.length) {
        reader_fault(reader, line, key, "holds a zero byte; take it out");
        return NULL;
    }
    if (node->data.scalar.length > CONFIG_TEXT_MAX) {
        reader_fault(reader, line, key, "is longer than %d bytes; shorten it", CONFIG_TEXT_MAX);
        return NULL;
    }
    return text;
}

int reader_item_count(const yaml_node_t *list)
{
    return (int)(list->data.sequence.items.top - list->data.sequence.items.start);
}

yaml_node_t *reader_item(struct reader *reader, const yaml_node_t *list, int i)
{
    return yaml_document_get_node(reader->document, list->data.sequence.items.start[i]);
}

/* --- maps --- */

static yaml_node_t *pair_key(struct reader *reader, const yaml_node_t *map, int i)
{
    return yaml_document_get_node(reader->document, map->data.mapping.pairs.start[i].key);
}

static bool key_is_text(const yaml_node_t *key)
{
    return key->type == YAML_SCALAR_NODE && key->data.scalar.length > 0 &&
           strlen((const char *)key->data.scalar.value) == key->data.scalar.length;
}

/* The line of an earlier entry with the same key; 0 when there is none. */
static int pair_earlier(struct reader *reader, const yaml_node_t *map, int i)
{
    const char *name = (const char *)pair_key(reader, map, i)->data.scalar.value;
    for (int j = 0; j < i; j++) {
        const yaml_node_t *other = pair_key(reader, map, j);
        if (key_is_text(other) && scalar_is(other, name))
            return node_line(other);
    }
    return 0;
}

void path_join(char *out, const char *section, const char *name)
{
    snprintf(out, CONFIG_KEY_MAX, "%s%s%s", section, *section == '\0' ? "" : ".", name);
}

bool reader_next_pair(struct reader *reader, yaml_node_t *map, const char *key, int *at, struct pair *pair)
{
    int count = (int)(map->data.mapping.pairs.top - map->data.mapping.pairs.start);
    const char *place = *key == '\0' ? "file" : key;
    while (*at < count && !reader_full(reader)) {
        int i = (*at)++;
        yaml_node_t *name = pair_key(reader, map, i);
        if (i == CONFIG_ENTRIES_MAX) {
            reader_fault(reader, node_line(name), place, "has %d keys; at most %d are read", count, CONFIG_ENTRIES_MAX);
            *at = count;
            return false;
        }
        if (!key_is_text(name)) {
            reader_fault(reader, node_line(name), place, "holds a key that is no text; write KEY: VALUE");
            continue;
        }
        *pair = (struct pair){.name = (const char *)name->data.scalar.value, .line = node_line(name)};
        pair->value = yaml_document_get_node(reader->document, map->data.mapping.pairs.start[i].value);
        int earlier = pair_earlier(reader, map, i);
        if (earlier == 0)
            return true;
        char path[CONFIG_KEY_MAX];
        path_join(path, key, pair->name);
        reader_fault(reader, pair->line, path, "is given again, first in line %d; keep one of the two", earlier);
    }
    return false;
}

/* Tells an unknown name of a small map. */
static void fault_member(struct reader *reader, const struct pair *pair, const char *key, const struct member *member,
                         int count)
{
    char path[CONFIG_KEY_MAX], all[128] = "";
    int nearest = 0, least = 99;
    for (int i = 0; i < count; i++) {
        int distance = word_distance(pair->name, member[i].name);
        nearest = distance < least ? i : nearest;
        least = distance < least ? distance : least;
        size_t used = strlen(all);
        snprintf(all + used, sizeof all - used, "%s%s", i == 0 ? "" : ", ", member[i].name);
    }
    path_join(path, key, pair->name);
    if (word_near(pair->name, least))
        reader_fault(reader, pair->line, path, "unknown key; did you mean %s?", member[nearest].name);
    else
        reader_fault(reader, pair->line, path, "unknown key; the keys here are %s", all);
}

bool reader_members(struct reader *reader, yaml_node_t *map, const char *key, struct member *member, int count)
{
    int before = reader->fault_count, at = 0;
    struct pair pair;
    while (reader_next_pair(reader, map, key, &at, &pair)) {
        int i = 0;
        while (i < count && strcmp(member[i].name, pair.name) != 0)
            i++;
        if (i == count)
            fault_member(reader, &pair, key, member, count);
        else
            member[i].value = pair.value;
    }
    return reader->fault_count == before;
}
