/* config_walk: from a YAML document to values. Sections are the dots of key paths: the walk goes down as long as some row
 * of the tables lies below, so it is as deep as the tables are, whatever the document's aliases say.
 *
 *     document -> section -> option: its kind's reader
 *                         -> list: kept, read after the walk in the order of lists.def
 *                         -> section: again
 *                         -> none: a fault, with the nearest known key */
#include <string.h>

#include "config_parts.h"
#include "esteem/err.h"
#include "esteem/utf8.h"

struct walk {
    struct reader *reader;
    yaml_node_t *list[LIST_COUNT]; /* NULL: not in the file */
    int list_line[LIST_COUNT];
};

static bool is_section(const char *path)
{
    size_t length = strlen(path);
    for (int i = 0; i < key_count(); i++)
        if (strncmp(key_path(i), path, length) == 0 && key_path(i)[length] == '.')
            return true;
    return false;
}

static const char *last_part(const char *path)
{
    const char *dot = strrchr(path, '.');
    return dot == NULL ? path : dot + 1;
}

struct guess {
    int distance;
    char path[CONFIG_KEY_MAX];
};

static void guess_try(struct guess *guess, const char *path, int distance)
{
    if (distance >= guess->distance)
        return;
    guess->distance = distance;
    snprintf(guess->path, sizeof guess->path, "%s", path);
}

/* The nearest known path, sections included; a right name in a wrong section is one step further than in its own. */
static bool path_guess(const char *path, struct guess *guess)
{
    *guess = (struct guess){.distance = 99};
    for (int i = 0; i < key_count(); i++) {
        char known[CONFIG_KEY_MAX];
        snprintf(known, sizeof known, "%s", key_path(i));
        guess_try(guess, known, word_distance(path, known));
        guess_try(guess, known, word_distance(last_part(path), last_part(known)) + 1);
        for (char *dot; (dot = strrchr(known, '.')) != NULL;) {
            *dot = '\0';
            guess_try(guess, known, word_distance(path, known));
        }
    }
    return word_near(last_part(path), guess->distance);
}

/* Whether `name` stands in "a, b, c". */
static bool listed(const char *list, const char *name, size_t length)
{
    for (const char *at = list; *at; at += strcspn(at, ","), at += strspn(at, ", "))
        if (strcspn(at, ",") == length && memcmp(at, name, length) == 0)
            return true;
    return false;
}

/* The names right below a section, each once, as far as they fit. */
static void section_names(const char *section, char *out, size_t room)
{
    size_t length = strlen(section), skip = length == 0 ? 0 : length + 1;
    *out = '\0';
    for (int i = 0; i < key_count(); i++) {
        const char *path = key_path(i);
        if (length > 0 && (strncmp(path, section, length) != 0 || path[length] != '.'))
            continue;
        const char *name = path + skip;
        size_t name_length = strcspn(name, "."), used = strlen(out);
        if (!listed(out, name, name_length) && used + name_length + 3 < room)
            snprintf(out + used, room - used, "%s%.*s", used == 0 ? "" : ", ", (int)name_length, name);
    }
}

static void fault_unknown(struct reader *reader, const struct pair *pair, const char *section, const char *path)
{
    char names[512];
    struct guess guess;
    if (strchr(pair->name, '.') != NULL && (option_find(path) >= 0 || list_find(path) >= 0))
        reader_fault(reader, pair->line, path, "is written with dots; nest it: each part a section of its own");
    else if (path_guess(path, &guess))
        reader_fault(reader, pair->line, path, "unknown key; did you mean %s?", guess.path);
    else {
        section_names(section, names, sizeof names);
        reader_fault(reader, pair->line, path, "unknown key; the keys here are %s", names);
    }
}

static void section_read(struct walk *walk, yaml_node_t *map, const char *section)
{
    struct reader *reader = walk->reader;
    struct pair pair;
    int at = 0;
    while (reader_next_pair(reader, map, section, &at, &pair)) {
        char path[CONFIG_KEY_MAX];
        path_join(path, section, pair.name);
        bool nested = strchr(pair.name, '.') == NULL;
        int option = nested ? option_find(path) : -1, list = nested ? list_find(path) : -1;
        if (option >= 0)
            option_read(reader, &options[option], pair.value, pair.line);
        else if (list >= 0) {
            walk->list[list] = pair.value;
            walk->list_line[list] = pair.line;
        } else if (!nested || !is_section(path))
            fault_unknown(reader, &pair, section, path);
        else if (!node_is_null(pair.value) && /* all its keys may be commented out */
                 reader_wants_map(reader, pair.value, pair.line, path, "its keys below it, each KEY: VALUE"))
            section_read(walk, pair.value, path);
    }
}

enum { NESTING_MAX = 32 };

static void parser_open(yaml_parser_t *parser, const char *text, size_t length)
{
    ensure(yaml_parser_initialize(parser), "no memory for the configuration");
    yaml_parser_set_encoding(parser, YAML_UTF8_ENCODING); /* not to be guessed */
    yaml_parser_set_input_string(parser, (const unsigned char *)text, length);
}

static bool tab_indents(const char *text, size_t length, int line)
{
    const char *at = text, *end = text + length;
    for (int before = 1; at && before < line; before++)
        at = (at = memchr(at, '\n', (size_t)(end - at))) ? at + 1 : NULL;
    while (at && at < end && *at == ' ')
        at++;
    return at && at < end && *at == '\t';
}

/* A syntax error ends the reading: what follows cannot be understood. */
static void fault_syntax(struct reader *reader, const yaml_parser_t *parser, const char *text, size_t length)
{
    int line = (int)parser->problem_mark.line + 1;
    if (parser->error == YAML_READER_ERROR) { /* has an offset only */
        line = 1;
        for (size_t i = 0; i < parser->problem_offset && i < length; i++)
            line += text[i] == '\n';
    }
    if (parser->error == YAML_MEMORY_ERROR)
        err_broken(__FILE__, __LINE__, "yaml_parser_load", "no memory for the configuration");
    if (tab_indents(text, length, line)) {
        reader_fault(reader, line, "YAML", "is indented by a tab; indent by blanks alone");
        return;
    }
    reader_fault(reader, line, "YAML", "%s%s%s; look at indentation, quotes and brackets here and in the line before",
                 parser->context == NULL ? "" : parser->context, parser->context == NULL ? "" : ": ",
                 parser->problem == NULL ? "syntax error" : parser->problem);
}

/* A list that the file leaves out is read from its default's text, by the same reader. */
static void list_default(struct reader *reader, enum list_name name)
{
    yaml_document_t *before = reader->document, document;
    yaml_parser_t parser;
    parser_open(&parser, lists[name].fallback, strlen(lists[name].fallback));
    ensure(yaml_parser_load(&parser, &document), "a default of lists.def is YAML");
    reader->document = &document;
    list_read(reader, name, yaml_document_get_root_node(&document), 0);
    reader->document = before;
    yaml_document_delete(&document);
    yaml_parser_delete(&parser);
}

static bool list_is_empty(const yaml_node_t *node)
{
    return node != NULL && node->type == YAML_SEQUENCE_NODE && reader_item_count(node) == 0;
}

static void root_read(void *context, yaml_node_t *root)
{
    struct reader *reader = context;
    struct walk walk = {.reader = reader};
    if (root != NULL && !node_is_null(root) &&
        reader_wants_map(reader, root, node_line(root), "file", "sections, each KEY: VALUE"))
        section_read(&walk, root, "");
    for (int i = 0; i < LIST_COUNT; i++)
        if (walk.list[i] != NULL)
            list_read(reader, (enum list_name)i, walk.list[i], walk.list_line[i]);
        else
            list_default(reader, (enum list_name)i);
    if (list_is_empty(walk.list[LIST_rolling]) && list_is_empty(walk.list[LIST_calendar]))
        reader_fault(reader, walk.list_line[LIST_rolling], "windows",
                     "there are none at all; name a rolling or calendar one");
    topics_check(reader);
}

/* libyaml takes a time with the square of the nesting (100,000 brackets: 41 s, libyaml 0.2.5), so the depth is measured
 * before the document is built. A syntax error ends it: the building tells it. */
static bool nesting_is_sane(struct reader *reader, const char *text, size_t length)
{
    yaml_parser_t parser;
    yaml_event_t event;
    int depth = 0, line = 0;
    bool more = true;
    parser_open(&parser, text, length);
    while (more && depth <= NESTING_MAX && yaml_parser_parse(&parser, &event)) {
        depth += event.type == YAML_MAPPING_START_EVENT || event.type == YAML_SEQUENCE_START_EVENT;
        depth -= event.type == YAML_MAPPING_END_EVENT || event.type == YAML_SEQUENCE_END_EVENT;
        more = event.type != YAML_STREAM_END_EVENT;
        line = (int)event.start_mark.line + 1;
        yaml_event_delete(&event);
    }
    yaml_parser_delete(&parser);
    if (depth > NESTING_MAX)
        reader_fault(reader, line, "YAML", "is nested deeper than %d; no key lies that deep, close some brackets",
                     NESTING_MAX);
    return depth <= NESTING_MAX;
}

void reader_yaml(struct reader *reader, const char *text, size_t length, yaml_root *root, void *context)
{
    yaml_parser_t parser;
    yaml_document_t document, second;
    const char *other;
    int mark = utf8_begin(text, length, &other);
    if (other)
        reader_fault(reader, 1, "file", "%s", other);
    if (mark > 0) { /* libyaml counts it as a column, and no second key stands under the first */
        text += mark;
        length -= (size_t)mark;
    }
    if (other || !nesting_is_sane(reader, text, length))
        return;
    parser_open(&parser, text, length);
    if (!yaml_parser_load(&parser, &document)) {
        fault_syntax(reader, &parser, text, length);
        goto done;
    }
    reader->document = &document;
    root(context, yaml_document_get_root_node(&document));
    yaml_document_delete(&document);
    if (!yaml_parser_load(&parser, &second)) {
        fault_syntax(reader, &parser, text, length);
        goto done;
    }
    if (yaml_document_get_root_node(&second) != NULL)
        reader_fault(reader, (int)second.start_mark.line + 1, "file", "a second document begins; take out the line ---");
    yaml_document_delete(&second);
done:
    yaml_parser_delete(&parser);
}

void reader_document(struct reader *reader, const char *text, size_t length)
{
    reader_yaml(reader, text, length, root_read, reader);
}
