/* config: the whole configuration as one plain value, parsed from YAML. Keys, defaults, ranges and what a reload may
 * change stand in options.def; the lists (scopes, rules, topics, tenants) are here. A config is read-only once loaded;
 * any thread may read it. */
#ifndef ESTEEM_CONFIG_H
#define ESTEEM_CONFIG_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "esteem/event.h" /* DIMENSION_MAX */

enum {
    CONFIG_SCOPE_MAX = 32,       /* scopes */
    CONFIG_ROLLING_MAX = 16,     /* rolling windows */
    CONFIG_BAND_MAX = 8,         /* bounds of AHT bands, so one more band */
    CONFIG_RULE_MAX = 64,        /* service level rules */
    CONFIG_TOPIC_MAX = 64,       /* source topics */
    CONFIG_TENANT_MAX = 1024,    /* tenants with settings of their own */
    CONFIG_PROPERTY_MAX = 64,    /* librdkafka properties handed on */
    CONFIG_BASELINE_MAX = 32,    /* metrics that are held against the baseline */
    CONFIG_GOAL_MAX = 64,
    CONFIG_BOARD_MAX = 32,       /* leaderboards */
    CONFIG_MEMORY_LEAST = 64 << 20, /* limits.memory, where it is not 0 */
};

enum calendar_window { /* in ascending length; bit i of config.calendar */
    CALENDAR_QUARTER_HOUR, CALENDAR_HALF_HOUR, CALENDAR_HOUR, CALENDAR_DAY, CALENDAR_WEEK, CALENDAR_MONTH, CALENDAR_COUNT
};
extern const char *const calendar_names[CALENDAR_COUNT];

enum abandons { ABANDONS_NEGATIVE, ABANDONS_POSITIVE, ABANDONS_IGNORE, ABANDONS_IGNORE_SHORT, ABANDONS_AFTER_THRESHOLD };
enum attribution { ATTRIBUTION_RESPONSE, ATTRIBUTION_INTERACTION };
enum time_mode { TIME_LIVE, TIME_REPLAY };        /* what moves rolling windows: the clock, or the watermark */
enum at_bound { AT_BOUND_PAUSE, AT_BOUND_RETIRE }; /* limits.at_interactions */
enum state_start { STATE_RESTORE, STATE_RESTORE_OR_CLEAN, STATE_CLEAN };
enum control_mode { CONTROL_OWNER, CONTROL_GROUP, CONTROL_ALL };
enum kafka_start { KAFKA_START_BEGINNING, KAFKA_START_END };

struct config_scope {
    uint32_t dimensions; /* bit i: dimension i (own dimensions after the built-in ones) */
};

struct config_rolling {
    int64_t length_ms, slide_ms;
    char name[16]; /* as the file spells it: "5m" */
};

struct config_rule { /* service level: first match on the entry (or leg) dimensions sets the threshold */
    char *value[DIMENSION_MAX]; /* NULL: any */
    int64_t threshold_ms;
    int line;
};

struct config_topic {
    char *name;
    char *mapping; /* NULL: native events */
    bool keyed;    /* true: keyed by interaction, all its events in one partition */
    int line;
};

struct config_tenant {
    char *name;
    char *timezone; /* NULL: windows.timezone */
};

/* A line of roster.file: from then until then (INT64_MAX: no end) the agent is there; "" for what is not named. */
struct config_roster {
    char *tenant, *agent, *team, *site;
    int64_t from_ms, until_ms;
    bool eligible;
    int line;
};

struct config_property {
    char *key, *value;
};

struct config_instant {
    bool local; /* `at` is a date of the tenant's zone, in days since 1970; else ms */
    int64_t at;
};

struct config_baseline { /* [from, to) */
    bool given;
    struct config_instant from, to;
    int count;
    int metric[CONFIG_BASELINE_MAX];     /* enum metric */
    char name[CONFIG_BASELINE_MAX][48];  /* "csat_change" */
};

struct config_place { /* rows of a scope and a window */
    uint32_t scope;
    bool rolling;
    int window; /* index into rolling, or enum calendar_window */
};

struct config_goal {
    char field[48];             /* "goal.NAME" */
    const char *name;           /* in it */
    int metric, measure;        /* enum metric or enum measure; the other is -1 */
    bool per_day;               /* of a measure: divided by the window's days */
    bool down;                  /* at most the target, else at least */
    struct config_place place;
    char *value[DIMENSION_MAX]; /* of the scope's dimensions; NULL: any */
    double target;
    bool alert;
    int64_t for_ms;             /* an alert waits so long */
    double clear;               /* and is over when the target is met by so much */
    int line;
};

struct config_board {
    int metric;
    struct config_place place;
    char name[256]; /* "top:usage_rate:team:day" */
};

struct config {
    char *path;   /* the file it came from */
    char *redis_head; /* what each key in Redis begins with: "esteem:v1:"; of a shadow's (shadow.c) "esteem:v1:shadow.NAME:"; never NULL */
    char id[9];   /* 8 hexadecimal digits: XXH3 of what changes numbers, so equal settings have equal ids */

    /* one field an option, of options.def */
#define OPTION_DURATION(field, key, fallback, low, high, live, help) int64_t field;
#define OPTION_SIZE(field, key, fallback, low, high, live, help) int64_t field;
#define OPTION_INT(field, key, fallback, low, high, live, help) int64_t field;
#define OPTION_REAL(field, key, fallback, low, high, live, help) double field;
#define OPTION_BOOL(field, key, fallback, live, help) bool field;
#define OPTION_WORD(field, key, fallback, words, live, help) int field;
#define OPTION_TEXT(field, key, fallback, live, help) char *field;
#include "esteem/options.def"

    /* Lists without repetition: rolling windows, bands, tenants and properties sorted, the others in the file's order. */
    int rolling_count;
    struct config_rolling rolling[CONFIG_ROLLING_MAX]; /* by ascending length */
    uint32_t calendar;                                 /* bits of enum calendar_window */
    int scope_count;
    struct config_scope scope[CONFIG_SCOPE_MAX];
    int own_dimension_count;
    char *own_dimension[DIMENSION_OWN_MAX];
    uint32_t own_dimensions_gone; /* bit i: a reload took it out; it keeps its number, and events' values of it are not read */
    int rule_count;
    struct config_rule rule[CONFIG_RULE_MAX];
    int band_count; /* bounds; bands are one more; 0 bounds: no bands at all */
    int64_t band_ms[CONFIG_BAND_MAX];
    int tenant_count;
    struct config_tenant *tenant;
    uint32_t roster_count;
    struct config_roster *roster; /* by tenant, agent and time */
    int topic_count;
    struct config_topic topic[CONFIG_TOPIC_MAX];
    int kafka_property_count; /* kafka.properties: librdkafka's own keys, handed on as they are */
    struct config_property kafka_property[CONFIG_PROPERTY_MAX];
    struct config_baseline baseline;
    int goal_count;
    struct config_goal *goal;
    int board_count;
    struct config_board board[CONFIG_BOARD_MAX];
    uint64_t serial; /* a configuration that was loaded later has a higher one; not part of the id */
    _Atomic uint64_t uses; /* rows that point to it (row.h): it is not freed before they are. All else is read-only */
};

/* Reads `path`. On any fault returns ERR_CONFIG after writing every fault to `faults` (may be NULL), one a line:
 * "FILE:LINE: KEY: what is wrong; the fix". Returns a new config in `*config`, to be freed with config_free. */
int config_load(const char *path, FILE *faults, struct config **config);
/* The same for who needs none of the secrets: a $NAME that is not set in the environment is an empty text. */
int config_load_without_secrets(const char *path, FILE *faults, struct config **config);
/* config_load from text in memory; `name` stands for the file in messages. */
int config_parse(const char *name, const char *text, size_t length, FILE *faults, struct config **config);
void config_free(struct config *config);

/* The name of dimension i, own ones included; -1 when there is no such name. */
const char *config_dimension_name(const struct config *config, int dimension);
int config_dimension_find(const struct config *config, const char *name);
/* Whether a scope of just these dimensions (bits) is configured. */
bool config_has_scope(const struct config *config, uint32_t dimensions);

/* The path of the control socket: control.socket, else control.sock in state.folder. False: there is none. */
bool config_control_socket(const struct config *config, char *path, size_t room);

/* The tenant's IANA zone. */
const char *config_timezone(const struct config *config, const char *tenant);

/* Writes the JSON Schema of a configuration file, made from options.def. */
void config_schema(FILE *out);
/* Writes schemas/options.md: every key, default, range, live or restart, meaning. */
void config_manual(FILE *out);

#endif
