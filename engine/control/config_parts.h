/* config_parts: what the files of the configuration share, and nobody else: the rows of options.def and lists.def as
 * tables, small parsers of text, the list of faults and the walk over a YAML document. Everything runs on the thread that
 * loads; a file is at most CONFIG_BYTES_MAX, a map CONFIG_ENTRIES_MAX, the faults FAULT_MAX. */
#ifndef ESTEEM_CONFIG_PARTS_H
#define ESTEEM_CONFIG_PARTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <yaml.h>

#include "esteem/config.h"

enum {
    CONFIG_BYTES_MAX = 262144,  /* a configuration file */
    CONFIG_ENTRIES_MAX = 1100,  /* keys of one map */
    CONFIG_TEXT_MAX = 4096,     /* bytes of one value */
    CONFIG_KEY_MAX = 160,       /* bytes of a key path in messages; a longer one is cut */
    DURATION_TEXT_MAX = 24,
    FAULT_MAX = 1000,           /* faults that are told one by one */
};

/* --- the tables (config.c) --- */

enum change { RESTART, LIVE };
enum effect { ROUTES, NUMBERS };
enum option_kind { KIND_DURATION, KIND_SIZE, KIND_INT, KIND_REAL, KIND_BOOL, KIND_WORD, KIND_TEXT };

struct option {
    const char *key;
    enum option_kind kind;
    size_t offset; /* in struct config */
    int64_t fallback, low, high;
    double real_fallback, real_low, real_high;
    const char *text; /* KIND_TEXT: the default; KIND_WORD: "a|b|c" */
    enum change change;
    const char *help;
};

enum list_name {
#define LIST(name, key, fallback, change, effect, help) LIST_##name,
#include "lists.def"
    LIST_COUNT
};

struct list {
    const char *key, *fallback;
    enum change change;
    enum effect effect;
    const char *help;
};

extern const struct option options[];
extern const int option_count;
extern const struct list lists[LIST_COUNT];

/* All key paths: the options, then the lists. */
int key_count(void);
const char *key_path(int i);
/* The row of a key path; -1 when there is none. */
int option_find(const char *path);
int list_find(const char *path);

static inline void *option_at(const struct config *config, const struct option *option)
{
    return (char *)(uintptr_t)config + option->offset;
}

/* --- text (config_text.c): pure --- */

enum parsed { PARSED, PARSED_WITHOUT_UNIT, PARSED_NOT, PARSED_TOO_LARGE };
enum parsed duration_parse(const char *text, int64_t *ms);
enum parsed size_parse(const char *text, int64_t *bytes);
enum parsed integer_parse(const char *text, int64_t *value);
enum parsed real_parse(const char *text, double *value);
/* 604800000 -> "7d", 1048576 -> "1MiB": the largest unit that divides it. `out` holds DURATION_TEXT_MAX bytes; returned. */
const char *duration_format(int64_t ms, char *out);
const char *size_format(int64_t bytes, char *out);

/* Word i of "a|b|c"; NULL after the last. The length comes in `length`. */
const char *word_at(const char *words, int i, size_t *length);
int word_find(const char *words, const char *word); /* -1: none */

/* How many letters to add, drop, change or swap; capped at 99 for long words. */
int word_distance(const char *a, const char *b);
/* A word that someone may have meant: near enough to be said. */
bool word_near(const char *word, int distance);

char *text_copy(const char *text);

/* --- faults and nodes (config_read.c) --- */

struct fault {
    int line;
    char *text;
};

struct reader {
    const char *file;
    yaml_document_t *document; /* being read: the file, or a default */
    struct config *config;     /* being filled */
    bool without_secrets;      /* an environment variable that is not set is an empty text */
    int deadletter_line;       /* of topics.deadletter, where it is given */
    int fault_count;           /* at most FAULT_MAX */
    struct fault fault[FAULT_MAX];
};

void reader_fault(struct reader *reader, int line, const char *key, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
static inline bool reader_full(const struct reader *reader)
{
    return reader->fault_count == FAULT_MAX;
}

static inline int node_line(const yaml_node_t *node)
{
    return (int)node->start_mark.line + 1;
}
bool node_is_null(const yaml_node_t *node); /* nothing, ~ or null, not in quotes */

/* An entry of a map. */
struct pair {
    const char *name;
    int line;
    yaml_node_t *value;
};
/* Steps through a map (`*at` begins at 0), telling repeated keys and keys that are no text, which are left out. */
bool reader_next_pair(struct reader *reader, yaml_node_t *map, const char *key, int *at, struct pair *pair);
int reader_item_count(const yaml_node_t *list);
yaml_node_t *reader_item(struct reader *reader, const yaml_node_t *list, int i);

/* "redis" and "port" to "redis.port", cut at CONFIG_KEY_MAX, which `out` holds. */
void path_join(char *out, const char *section, const char *name);

/* A small map with fixed names, as the items of lists are: fills `member[i].value`, NULL where it is not given. */
struct member {
    const char *name;
    yaml_node_t *value;
};
bool reader_members(struct reader *reader, yaml_node_t *map, const char *key, struct member *member, int count);

/* The node is of that kind, or a fault is told: `wanted` says what belongs there. */
bool reader_wants_map(struct reader *reader, const yaml_node_t *node, int line, const char *key, const char *wanted);
bool reader_wants_list(struct reader *reader, const yaml_node_t *node, int line, const char *key, const char *wanted);
/* The text of a scalar, or NULL after telling the fault. Borrowed from the document. */
const char *reader_text(struct reader *reader, const yaml_node_t *node, int line, const char *key, const char *wanted);
/* --- the document (config_walk.c) --- */

/* Reads the whole document into reader->config, lists with their defaults where the file has none. */
void reader_document(struct reader *reader, const char *text, size_t length);

/* A YAML document of one's own: `root` is handed its first node, NULL when it has none. */
typedef void yaml_root(void *context, yaml_node_t *root);
void reader_yaml(struct reader *reader, const char *text, size_t length, yaml_root *root, void *context);

/* --- roster.file (config_roster.c) --- */

/* Reads reader->file, which it names, into config->roster. */
void reader_roster(struct reader *reader, struct config *config);

/* --- single values (config_option.c) --- */

void option_read(struct reader *reader, const struct option *option, const yaml_node_t *node, int line);
bool reader_duration(struct reader *reader, const yaml_node_t *node, int line, const char *key, int64_t low_ms,
                     int64_t high_ms, int64_t *ms);
bool reader_bool(struct reader *reader, const yaml_node_t *node, int line, const char *key, bool *value);
/* "$NAME" is taken from the environment, "$$x" is "$x". A copy; NULL after telling the fault. */
char *reader_secret(struct reader *reader, const char *text, int line, const char *key);

/* What is wrong with it and the fix ("is no ...; take ..."), or NULL. */
const char *zone_fault(const char *zone);
const char *topic_fault(const char *topic);

/* --- lists (config_lists.c, config_goals.c, config_feeds.c) --- */

enum { VALUE_MAX = 256 }; /* bytes of a tenant's name or a dimension's value in events */

/* How many items to read: none if it is no list, at most `max`; what is beyond is a fault. */
int reader_items(struct reader *reader, const yaml_node_t *node, int line, const char *key, const char *wanted, int max);
/* A text that an event can hold as a dimension; NULL after telling the fault. */
const char *reader_value(struct reader *reader, const yaml_node_t *node, int line, const char *key);
/* Whether a reload took the i-th of the deployment's own dimensions out. */
static inline bool own_dimension_gone(const struct config *config, int i)
{
    return config->own_dimensions_gone >> i & 1;
}
/* Gives the dimensions of `next` the numbers that they have in `old`, which is in force. False: it cannot be, and nothing was changed. */
bool config_take_places(struct config *next, const struct config *old);
/* A list of dimensions as a mask. False after telling the fault. */
bool scope_read(struct reader *reader, const yaml_node_t *item, const char *key, uint32_t *dimensions);

#define LIST(name, key_, fallback, change, effect, help) \
    void read_##name(struct reader *reader, yaml_node_t *node, int line, const char *key);
#include "lists.def"

void list_read(struct reader *reader, enum list_name name, yaml_node_t *node, int line);
void topics_check(struct reader *reader); /* once all is read: what is written is not read */

/* --- identity (config_id.c) --- */

void config_identify(struct config *config); /* fills config->id */
bool option_same(const struct config *a, const struct config *b, const struct option *option);
bool list_same(const struct config *a, const struct config *b, enum list_name name);

/* --- one list of many (config_keep.c) --- */

void config_lists_free(struct config *config);
/* `to` gets the value that `from` has, instead of its own. */
void config_keep_list(struct config *to, const struct config *from, enum list_name name);
void config_keep_option(struct config *to, const struct config *from, const struct option *option);

#endif
