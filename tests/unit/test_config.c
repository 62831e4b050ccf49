/* config: what a configuration file may say, what is told about what it may not, and which files are the same. */
#include <criterion/criterion.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "esteem/config.h"
#include "esteem/err.h"
#include "esteem/plan.h"

static char faults[65536]; /* of the last parse */

static struct config *parse(const char *text)
{
    struct config *config = NULL;
    FILE *out = fmemopen(faults, sizeof faults, "w");
    memset(faults, 0, sizeof faults);
    config_parse("f", text, strlen(text), out, &config);
    fclose(out);
    return config;
}

/* The config of a text that must be right. */
static struct config *accept(const char *text)
{
    struct config *config = parse(text);
    cr_assert_not_null(config, "%s is refused: %s", text, faults);
    return config;
}

/* Exactly this fault, and no config. */
static void refuse(const char *text, const char *fault)
{
    struct config *config = parse(text);
    size_t length = strlen(faults);
    cr_assert_null(config, "%s is accepted", text);
    cr_assert(length > 0);
    faults[length - 1] = '\0'; /* the last line's end */
    cr_assert_str_eq(faults, fault, "%s\n  says   %s\n  not    %s", text, faults, fault);
}

static void same_id(const char *a, const char *b, bool same)
{
    struct config *x = accept(a), *y = accept(b);
    cr_assert((strcmp(x->id, y->id) == 0) == same, "%s and %s: ids %s, %s", a, b, x->id, y->id);
    config_free(x);
    config_free(y);
}

static char *file_text(const char *path)
{
    static char text[65536];
    FILE *file = fopen(path, "r");
    cr_assert_not_null(file, "%s: run the tests in the project's folder", path);
    text[fread(text, 1, sizeof text - 1, file)] = '\0';
    fclose(file);
    return text;
}

/* --- defaults --- */

Test(config, of_an_empty_file_has_every_option_at_its_default)
{
    struct config *config = accept("");
#define OPTION_DURATION(field, key, fallback, low, high, live, help) cr_assert_eq(config->field, fallback, key);
#define OPTION_SIZE(field, key, fallback, low, high, live, help) cr_assert_eq(config->field, fallback, key);
#define OPTION_INT(field, key, fallback, low, high, live, help) cr_assert_eq(config->field, fallback, key);
#define OPTION_REAL(field, key, fallback, low, high, live, help) cr_assert_float_eq(config->field, fallback, 0, key);
#define OPTION_BOOL(field, key, fallback, live, help) cr_assert_eq(config->field, fallback, key);
#define OPTION_WORD(field, key, fallback, words, live, help) cr_assert_eq(config->field, fallback, key);
#define OPTION_TEXT(field, key, fallback, live, help) cr_assert_str_eq(config->field, fallback, key);
#include "esteem/options.def"
    config_free(config);
}

Test(config, of_an_empty_file_has_the_lists_of_the_semantics)
{
    static const char *const names[] = {"1m", "5m", "15m", "1h", "1d", "7d", "30d"};
    static const uint32_t scopes[] = {0, 1 << DIMENSION_queue, 1 << DIMENSION_channel,
                                      1 << DIMENSION_queue | 1 << DIMENSION_channel, 1 << DIMENSION_team,
                                      1 << DIMENSION_agent};
    struct config *config = accept("");
    cr_assert_eq(config->rolling_count, 7);
    for (int i = 0; i < 7; i++)
        cr_assert_str_eq(config->rolling[i].name, names[i]);
    cr_assert_eq(config->scope_count, 6);
    for (int i = 0; i < 6; i++)
        cr_assert_eq(config->scope[i].dimensions, scopes[i]);
    cr_assert_eq(config->calendar, 1 << CALENDAR_HOUR | 1 << CALENDAR_DAY | 1 << CALENDAR_WEEK | 1 << CALENDAR_MONTH);
    cr_assert_eq(config->band_count, 3);
    cr_assert(config->band_ms[0] == 180000 && config->band_ms[1] == 360000 && config->band_ms[2] == 600000);
    cr_assert_eq(config->own_dimension_count + config->rule_count + config->tenant_count + config->kafka_property_count, 0);
    cr_assert_eq(config->topic_count, 1);
    cr_assert_str_eq(config->topic[0].name, "contacts");
    cr_assert(config->topic[0].mapping == NULL && config->topic[0].keyed);
    config_free(config);
}

/* The first key that a reload leaves as it was. */
static bool needs_restart(const struct config *old, struct config *next, const char **key)
{
    struct plan plan;
    plan_init(&plan, old, next);
    for (int i = plan.count; i-- > 0;)
        if (plan.change[i].when == PLAN_RESTART)
            *key = plan.change[i].key;
    bool any = plan.restarts > 0;
    plan_close(&plan);
    return any;
}

Test(config, takes_sections_whose_keys_are_all_commented_out)
{
    same_id("", "# nothing\n---\nredis:\nmetrics: {csat: }\ntenants: {}\n", true);
}

Test(config, of_the_example_says_what_the_empty_file_says)
{
    const char *text = file_text("deploy/esteem.yaml"), *key = NULL;
    struct config *empty = accept(""), *config = accept(text);
    cr_assert_str_eq(config->id, empty->id);
    cr_assert_not(needs_restart(empty, config, &key), "%s differs", key);
#define OPTION_DURATION(field, key, fallback, low, high, live, help) cr_assert_eq(config->field, fallback, key);
#define OPTION_SIZE(field, key, fallback, low, high, live, help) cr_assert_eq(config->field, fallback, key);
#define OPTION_INT(field, key, fallback, low, high, live, help) cr_assert_eq(config->field, fallback, key);
#define OPTION_REAL(field, key, fallback, low, high, live, help) cr_assert_float_eq(config->field, fallback, 0, key);
#define OPTION_BOOL(field, key, fallback, live, help) cr_assert_eq(config->field, fallback, key);
#define OPTION_WORD(field, key, fallback, words, live, help) cr_assert_eq(config->field, fallback, key);
#define OPTION_TEXT(field, key, fallback, live, help) cr_assert_str_eq(config->field, fallback, key);
#include "esteem/options.def"
    config_free(config);
    config_free(empty);
}

/* The key's last part stands in the example as a key that is not commented out. */
static bool example_has(const char *text, const char *key)
{
    char name[64];
    const char *dot = strrchr(key, '.');
    snprintf(name, sizeof name, "%s:", dot == NULL ? key : dot + 1);
    for (const char *at = text; (at = strstr(at, name)) != NULL; at++) {
        const char *line = at;
        while (line > text && line[-1] == ' ')
            line--;
        if (line == text || line[-1] == '\n')
            return true;
    }
    return false;
}

Test(config, a_goal_is_about_what_a_window_holds)
{
    struct config *config;
    static const char yaml[] = "goals: [{name: g, measure: waiting, direction: down, scope: [], window: hour, target: 5}]\n";
    cr_expect_neq(config_parse("x", yaml, sizeof yaml - 1, NULL, &config), 0);
    cr_expect(strstr(err_text(), "waiting is in no window's row"), "%s", err_text());
}

Test(config, of_the_example_names_every_key)
{
    const char *text = file_text("deploy/esteem.yaml");
    static const char *const lists[] = {"windows.rolling", "windows.calendar", "scopes", "dimensions", "tenants",
                                        "metrics.service_level.rules", "metrics.aht_bands", "kafka.topics",
                                        "kafka.properties", "baseline", "goals", "leaderboards"};
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++)
        cr_assert(example_has(text, lists[i]), "%s", lists[i]);
#define OPTION_DURATION(field, key, fallback, low, high, live, help) cr_assert(example_has(text, key), key);
#define OPTION_SIZE(field, key, fallback, low, high, live, help) cr_assert(example_has(text, key), key);
#define OPTION_INT(field, key, fallback, low, high, live, help) cr_assert(example_has(text, key), key);
#define OPTION_REAL(field, key, fallback, low, high, live, help) cr_assert(example_has(text, key), key);
#define OPTION_BOOL(field, key, fallback, live, help) cr_assert(example_has(text, key), key);
#define OPTION_WORD(field, key, fallback, words, live, help) cr_assert(example_has(text, key), key);
#define OPTION_TEXT(field, key, fallback, live, help) cr_assert(example_has(text, key), key);
#include "esteem/options.def"
}

/* --- values --- */

Test(config, reads_durations_up_to_their_edges)
{
    static const struct {
        const char *text;
        int64_t ms;
    } cases[] = {{"100ms", 100}, {"1s", 1000}, {"5m", 300000}, {"10m", 600000}, {"600000ms", 600000}, {"\"2s\"", 2000}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[64];
        snprintf(text, sizeof text, "redis: {timeout: %s}", cases[i].text);
        struct config *config = accept(text);
        cr_assert_eq(config->redis_timeout_ms, cases[i].ms, "%s", text);
        config_free(config);
    }
}

Test(config, refuses_durations_beyond_their_edges_and_of_no_unit)
{
    refuse("redis: {timeout: 99ms}", "f:1: redis.timeout: 99ms is out of range; take 100ms to 10m");
    refuse("redis: {timeout: 600001ms}", "f:1: redis.timeout: 600001ms is out of range; take 100ms to 10m");
    refuse("redis: {timeout: 99999999999999999999s}",
           "f:1: redis.timeout: 99999999999999999999s is out of range; take 100ms to 10m");
    refuse("redis: {timeout: 9223372036854775d}",
           "f:1: redis.timeout: 9223372036854775d is out of range; take 100ms to 10m");
    refuse("redis: {timeout: 5000}", "f:1: redis.timeout: 5000 has no unit; write 5000ms, 5000s, ...");
    refuse("time: {skew: 0}", "f:1: time.skew: 0 has no unit; write 0ms, 0s, ...");
    static const char *const wrong[] = {"5 m", "-5s", "5M", "1.5s", "s", "5min", "1h30m", "+5s"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        char text[64], fault[128];
        snprintf(text, sizeof text, "redis: {timeout: %s}", wrong[i]);
        snprintf(fault, sizeof fault,
                 "f:1: redis.timeout: \"%s\" is no duration; write one such as 500ms, 10s, 5m, 4h or 7d", wrong[i]);
        refuse(text, fault);
    }
}

Test(config, reads_sizes_in_bytes_and_units)
{
    struct config *config = accept("limits: {message: 64KiB}");
    cr_assert_eq(config->limit_message, 65536);
    config_free(config);
    config = accept("limits: {message: 1024}");
    cr_assert_eq(config->limit_message, 1024);
    config_free(config);
    refuse("limits: {message: 1023}", "f:1: limits.message: 1023 is out of range; take 1KiB to 128MiB");
    refuse("limits: {message: 129MiB}", "f:1: limits.message: 129MiB is out of range; take 1KiB to 128MiB");
    config_free(accept("limits: {memory: 0}"));
    config_free(accept("limits: {memory: 64MiB}"));
    refuse("limits: {memory: 67108863}", "f:1: limits.memory: 67108863 is less than the threads and librdkafka take; write 64MiB or more, or 0 for no such bound");
    refuse("limits: {message: 1MB}", "f:1: limits.message: \"1MB\" is no size; write one such as 65536, 64KiB or 1MiB");
}

Test(config, refuses_wrong_types_and_ranges_of_every_kind)
{
    refuse("redis:\n  port: 0", "f:2: redis.port: 0 is out of range; take 1 to 65535");
    refuse("redis:\n  port: 65536", "f:2: redis.port: 65536 is out of range; take 1 to 65535");
    refuse("redis:\n  port: http", "f:2: redis.port: \"http\" is no whole number; write one of 1 to 65535");
    refuse("redis:\n  port: \"1\"", "f:2: redis.port: is a text; write a number, without quotes");
    refuse("redis:\n  port: [1]", "f:2: redis.port: is a list; write a whole number");
    refuse("redis:\n  port:", "f:2: redis.port: has no value; write a whole number, or leave the key out");
    refuse("redis: 6379", "f:1: redis: is a single value; write its keys below it, each KEY: VALUE");
    refuse("redis: {enabled: yes}", "f:1: redis.enabled: \"yes\" is no truth value; write true or false, without quotes");
    refuse("redis: {host: \"\"}", "f:1: redis.host: \"\" is empty; write a value, or leave the key out");
    refuse("redis: {host: \"127.0.0.1:6379\"}", "f:1: redis.host: \"127.0.0.1:6379\" names a port as well; write the host alone, and redis.port beside it");
    refuse("redis: {host: \"redis://cache:6379\"}", "f:1: redis.host: \"redis://cache:6379\" is an address of the web's kind; write the host alone, "
           "what else it says under redis.port, redis.user, redis.password");
    refuse("kafka: {brokers: \"a:9092,b:kafka\"}",
           "f:1: kafka.brokers: \"a:9092,b:kafka\" has a port that is no number of 1 to 65535; write host:port, comma separated");
    refuse("kafka: {brokers: \"a:65536 ,b\"}", "f:1: kafka.brokers: \"a:65536 ,b\" has a port that is no number of 1 to 65535; write host:port, comma separated");
    refuse("kafka: {brokers: \"[::1]:0\"}", "f:1: kafka.brokers: \"[::1]:0\" has a port that is no number of 1 to 65535; write host:port, comma separated");
    same_id("redis: {host: \"::1\"}\nkafka: {brokers: \"ssl://a:9093, b:65535,c,[::1]:1,::1,[::1]\"}", "", true);
    refuse("metrics: {opportunity: {assumed_rate: nan}}",
           "f:1: metrics.opportunity.assumed_rate: \"nan\" is no number; write one of 0 to 1000");
    refuse("metrics: {opportunity: {assumed_rate: 1000.5}}",
           "f:1: metrics.opportunity.assumed_rate: 1000.5 is out of range; take 0 to 1000");
    refuse("log: {level: loud}", "f:1: log.level: \"loud\" is none of its words; take one of debug, info, warn, error");
    refuse("topics: {prefix: a b}",
           "f:1: topics.prefix: \"a b\" cannot begin a Kafka topic; use at most 200 of A-Z a-z 0-9 . _ -");
}

Test(config, takes_the_password_from_the_environment)
{
    setenv("ESTEEM_TEST_PASSWORD", "se cret", 1);
    unsetenv("ESTEEM_TEST_NOTHING");
    struct config *config = accept("redis: {password: $ESTEEM_TEST_PASSWORD}\n"
                                   "kafka: {properties: {sasl.password: $ESTEEM_TEST_PASSWORD}}");
    cr_assert_str_eq(config->redis_password, "se cret");
    cr_assert_str_eq(config->kafka_property[0].value, "se cret");
    config_free(config);
    config = accept("redis: {password: $$x}");
    cr_assert_str_eq(config->redis_password, "$x");
    config_free(config);
    refuse("redis: {password: $ESTEEM_TEST_NOTHING}",
           "f:1: redis.password: environment variable ESTEEM_TEST_NOTHING is not set; set it before the start");
}

/* --- keys --- */

Test(config, names_the_nearest_key_for_an_unknown_one)
{
    refuse("redis:\n  prot: 1", "f:2: redis.prot: unknown key; did you mean redis.port?");
    refuse("windos: {}", "f:1: windos: unknown key; did you mean windows?");
    refuse("port: 1", "f:1: port: unknown key; did you mean redis.port?");
    refuse("metrics: {service_level: {treshold: 1s}}",
           "f:1: metrics.service_level.treshold: unknown key; did you mean metrics.service_level.threshold?");
    refuse("log: {xylophone: 1}", "f:1: log.xylophone: unknown key; the keys here are level, format");
    refuse("redis.port: 1", "f:1: redis.port: is written with dots; nest it: each part a section of its own");
}

Test(config, refuses_a_key_that_is_given_twice)
{
    refuse("redis:\n  port: 1\n  host: a\n  port: 2", "f:4: redis.port: is given again, first in line 2; keep one of the two");
    refuse("log: {}\nlog: {}", "f:2: log: is given again, first in line 1; keep one of the two");
}

Test(config, tells_every_fault_of_a_file_by_line)
{
    refuse("dimensions: [Bad]\nredis:\n  port: 0\nlog: {level: 1}",
           "f:1: dimensions: \"Bad\" cannot be a name; use at most 32 of a-z 0-9 _, a letter first\n"
           "f:3: redis.port: 0 is out of range; take 1 to 65535\n"
           "f:4: log.level: \"1\" is none of its words; take one of debug, info, warn, error");
    cr_assert_eq(err_code(), ERR_CONFIG);
    cr_assert_str_eq(err_text(), "f:1: dimensions: \"Bad\" cannot be a name; use at most 32 of a-z 0-9 _, a letter first "
                                 "(and 2 more)");
}

Test(config, tells_the_line_of_a_syntax_error)
{
    static const char end[] = "; look at indentation, quotes and brackets here and in the line before";
    char fault[256];
    snprintf(fault, sizeof fault, "f:2: YAML: while parsing a flow sequence: did not find expected ',' or ']'%s", end);
    refuse("scopes: [[]\nlog: {}", fault);
    refuse("log:\n \tlevel: info", "f:2: YAML: is indented by a tab; indent by blanks alone");
    snprintf(fault, sizeof fault, "f:3: YAML: invalid leading UTF-8 octet%s", end);
    refuse("log: {}\n\nredis: {host: \xff}", fault);
    refuse("log: {}\n---\nlog: {}", "f:2: file: a second document begins; take out the line ---");
    refuse("- 1", "f:1: file: is a list; write sections, each KEY: VALUE");
}

Test(config, passes_over_a_byte_order_mark_and_names_what_is_no_utf_8)
{
    config_free(accept("\xef\xbb\xbfredis: {port: 7000}\r\nlog: {level: warn}\r\n"));
    refuse("\xef\xbb\xbfredis: {port: 7000}\nlog: {level: x}\n", "f:2: log.level: \"x\" is none of its words; take one of debug, info, warn, error");
    refuse("\xff\xfer", "f:1: file: is UTF-16; make it UTF-8: iconv -f UTF-16 -t UTF-8");
}

Test(config, survives_documents_that_refer_to_themselves_or_go_deep)
{
    refuse("redis: &r {port: *r}", "f:1: redis.port: is a map; write a whole number");
    refuse("scopes: [[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[", "f:1: YAML: is nested deeper than 32; no key lies that deep, close "
                                                   "some brackets");
    refuse("scopes: &s [*s]", "f:1: scopes: is a list; write the name of a dimension");
}

Test(config, that_cannot_be_read_says_why)
{
    struct config *config = NULL;
    cr_assert_eq(config_load("/nowhere/esteem.yaml", NULL, &config), ERR_CONFIG);
    cr_assert_null(config);
    cr_assert_str_eq(err_text(), "/nowhere/esteem.yaml:1: file: cannot be read: No such file or directory; name a file "
                                 "that can");
}

/* --- windows --- */

Test(config, takes_a_sixtieth_of_the_length_as_slide_rounded_down_to_a_divisor_of_the_hour)
{
    static const struct {
        const char *length;
        int64_t slide_ms;
    } cases[] = {{"1s", 1000},     {"1m", 1000},    {"90s", 1000},   {"119s", 1000},  {"2m", 2000},    {"5m", 5000},
                 {"7m", 6000},     {"15m", 15000},  {"1h", 60000},   {"100m", 100000}, {"1d", 1200000}, {"59h", 1800000},
                 {"60h", 3600000}, {"7d", 3600000}, {"30d", 3600000}, {"365d", 3600000}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[64];
        snprintf(text, sizeof text, "windows: {rolling: [%s]}", cases[i].length);
        struct config *config = accept(text);
        cr_assert_eq(config->rolling[0].slide_ms, cases[i].slide_ms, "%s: %" PRId64, cases[i].length,
                     config->rolling[0].slide_ms);
        cr_assert_str_eq(config->rolling[0].name, cases[i].length);
        config_free(config);
    }
}

Test(config, sorts_rolling_windows_by_length)
{
    struct config *config = accept("windows: {rolling: [1h, {length: 300s, slide: 1s}, 1m]}");
    cr_assert_eq(config->rolling_count, 3);
    cr_assert_str_eq(config->rolling[0].name, "1m");
    cr_assert_str_eq(config->rolling[1].name, "300s");
    cr_assert_eq(config->rolling[1].length_ms, 300000);
    cr_assert_eq(config->rolling[1].slide_ms, 1000);
    cr_assert_str_eq(config->rolling[2].name, "1h");
    config_free(config);
}

Test(config, refuses_windows_that_cannot_be)
{
    refuse("windows:\n  rolling:\n    - 1m\n    - 60s", "f:4: windows.rolling: 60s is as long as 1m; keep one of the two");
    refuse("windows: {rolling: [999ms]}", "f:1: windows.rolling: 999ms is out of range; take 1s to 365d");
    refuse("windows: {rolling: [366d]}", "f:1: windows.rolling: 366d is out of range; take 1s to 365d");
    refuse("windows: {rolling: [1500ms]}", "f:1: windows.rolling: 1500ms is not of whole seconds; round it");
    refuse("windows: {rolling: [60]}", "f:1: windows.rolling: 60 has no unit; write 60ms, 60s, ...");
    refuse("windows: {rolling: [{slide: 1s}]}", "f:1: windows.rolling: has no length; write {length: 5m, slide: 1s}");
    refuse("windows: {rolling: [{length: 10m, slide: 7s}]}",
           "f:1: windows.rolling.slide: 7s does not divide the hour; take a divisor such as 1s, 5s, 1m or 20m");
    refuse("windows: {rolling: [{length: 10m, slide: 12s}]}",
           "f:1: windows.rolling.slide: is too coarse for 10m; take at most 10s, or leave it out");
    refuse("windows: {rolling: [{length: 10m, slid: 1s}]}", "f:1: windows.rolling.slid: unknown key; did you mean slide?");
    refuse("windows: {rolling: [000000000000001m]}",
           "f:1: windows.rolling: 000000000000001m is a long name for a window; spell it shorter");
    refuse("windows: {calendar: [hour, year]}", "f:1: windows.calendar: \"year\" is no calendar window; take quarter_hour, "
                                                "half_hour, hour, day, week or month");
    refuse("windows: {calendar: [hour, hour]}", "f:1: windows.calendar: hour is there twice; take one out");
    refuse("windows: {rolling: [], calendar: []}",
           "f:1: windows: there are none at all; name a rolling or calendar one");
    refuse("windows: {rolling: 5m}", "f:1: windows.rolling: is a single value; write a list of lengths, [5m, 1h]");
    refuse("windows: {rolling: [1s,2s,3s,4s,5s,6s,7s,8s,9s,10s,11s,12s,13s,14s,15s,16s,17s]}",
           "f:1: windows.rolling: has 17 items; at most 16 are possible");
}

Test(config, knows_the_zones_of_the_machine_and_nothing_above_them)
{
    static const char *const wrong[] = {"Mars/Base", "../zoneinfo/UTC", "Europe/../UTC", "/etc/localtime", "Europe",
                                        "right/UTC", "tzdata.zi", "Europe/Berlin "};
    struct config *config = accept("windows: {timezone: Europe/Berlin}\ntenants: {b: {timezone: Asia/Kolkata}, a: {}}");
    cr_assert_str_eq(config_timezone(config, "a"), "Europe/Berlin");
    cr_assert_str_eq(config_timezone(config, "b"), "Asia/Kolkata");
    cr_assert_str_eq(config_timezone(config, "c"), "Europe/Berlin");
    config_free(config);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        char text[128], fault[256];
        snprintf(text, sizeof text, "tenants:\n  acme:\n    timezone: \"%s\"", wrong[i]);
        snprintf(fault, sizeof fault, "f:3: tenants.acme.timezone: \"%s\" is no time zone of /usr/share/zoneinfo/; take an "
                 "IANA name such as Europe/Berlin", wrong[i]);
        refuse(text, fault);
    }
    refuse("tenants: {acme: {zone: UTC}}", "f:1: tenants.acme.zone: unknown key; the keys here are timezone");
}

/* --- lists --- */

Test(config, knows_own_dimensions_wherever_they_are_named)
{
    struct config *config = accept("scopes: [[product, queue]]\ndimensions: [tier, product]\n");
    cr_assert_eq(config->scope[0].dimensions, 1 << DIMENSION_queue | 1 << (DIMENSION_BUILTIN + 1));
    cr_assert_eq(config_dimension_find(config, "tier"), DIMENSION_BUILTIN);
    cr_assert_eq(config_dimension_find(config, "fridge"), -1);
    cr_assert_str_eq(config_dimension_name(config, DIMENSION_queue), "queue");
    cr_assert_str_eq(config_dimension_name(config, DIMENSION_BUILTIN + 1), "product");
    cr_assert_null(config_dimension_name(config, DIMENSION_BUILTIN + 2));
    cr_assert_null(config_dimension_name(config, -1));
    config_free(config);
}

Test(config, refuses_dimensions_that_cannot_be)
{
    refuse("dimensions: [queue]", "f:1: dimensions: queue exists already; take another name, or leave it out");
    refuse("dimensions: [a, a]", "f:1: dimensions: a exists already; take another name, or leave it out");
    refuse("dimensions: [tenant]", "f:1: dimensions: tenant is a field of every event; take another name");
    refuse("dimensions: [2nd]",
           "f:1: dimensions: \"2nd\" cannot be a name; use at most 32 of a-z 0-9 _, a letter first");
    refuse("dimensions: [a, b, c, d, e, f]", "f:1: dimensions: has 6 items; at most 5 are possible");
}

Test(config, refuses_scopes_that_cannot_be)
{
    refuse("scopes:\n  - [queue]\n  - [queu]", "f:3: scopes: there is no dimension queu; did you mean queue?");
    refuse("scopes: [[fridge]]",
           "f:1: scopes: there is no dimension fridge; name it under dimensions:, or take a built-in one");
    refuse("scopes:\n  - [queue, channel]\n  - []\n  - [channel, queue]",
           "f:4: scopes: is the same scope as in line 2; take one out");
    refuse("scopes: [[queue, queue]]", "f:1: scopes: queue is twice in one scope; take one out");
    refuse("scopes: [queue]", "f:1: scopes: is a single value; write a list of dimensions, [queue] or []");
    refuse("scopes: []", "f:1: scopes: names no scope at all; [[]] is the whole tenant");
}

Test(config, reads_service_level_rules_in_order)
{
    struct config *config = accept("metrics:\n  service_level:\n    rules:\n"
                                   "      - {match: {channel: email, queue: vip}, threshold: 1h}\n"
                                   "      - {match: {channel: email}, threshold: 4h}\n");
    cr_assert_eq(config->rule_count, 2);
    cr_assert_str_eq(config->rule[0].value[DIMENSION_queue], "vip");
    cr_assert_str_eq(config->rule[1].value[DIMENSION_channel], "email");
    cr_assert_null(config->rule[1].value[DIMENSION_queue]);
    cr_assert_eq(config->rule[1].threshold_ms, 14400000);
    cr_assert_eq(config->rule[1].line, 5);
    config_free(config);
}

#define RULES "metrics:\n  service_level:\n    rules:\n"

Test(config, refuses_rules_that_cannot_be)
{
    refuse(RULES "      - {match: {chanel: email}, threshold: 4h}",
           "f:4: metrics.service_level.rules.match: there is no dimension chanel; did you mean channel?");
    refuse(RULES "      - {match: {}, threshold: 4h}", "f:4: metrics.service_level.rules.match: names no dimension; write "
                                                       "{match: {channel: email}, threshold: 4h}");
    refuse(RULES "      - {match: {team: a}}",
           "f:4: metrics.service_level.rules: has no threshold; write {match: {channel: email}, threshold: 4h}");
    refuse(RULES "      - {match: {team: a}, threshold: 32d}",
           "f:4: metrics.service_level.rules.threshold: 32d is out of range; take 0s to 31d");
    refuse(RULES "      - {match: {team: a}, threshold: 1s}\n      - {match: {team: a, queue: b}, threshold: 2s}",
           "f:5: metrics.service_level.rules: is never reached, the rule in line 4 matches first; put it before that one");
}

Test(config, reads_bands_ascending_only)
{
    struct config *config = accept("metrics: {aht_bands: []}");
    cr_assert_eq(config->band_count, 0);
    config_free(config);
    refuse("metrics: {aht_bands: [3m, 180s]}",
           "f:1: metrics.aht_bands: 180s is not longer than the bound before it; write them ascending");
}

Test(config, reads_topics_as_names_or_maps)
{
    struct config *config = accept("kafka:\n  topics:\n    - contacts\n    - {name: calls, mapping: acme, keyed: false}\n");
    cr_assert_eq(config->topic_count, 2);
    cr_assert(config->topic[0].keyed && !config->topic[1].keyed);
    cr_assert_str_eq(config->topic[1].name, "calls");
    cr_assert_str_eq(config->topic[1].mapping, "acme");
    cr_assert_eq(config->topic[1].line, 4);
    config_free(config);
    refuse("kafka: {topics: [a, a]}", "f:1: kafka.topics: a is there already, in line 1; keep one of the two");
    refuse("kafka: {topics: []}", "f:1: kafka.topics: names no topic; write one, or leave the key out");
    refuse("kafka: {topics: [{mapping: m}]}",
           "f:1: kafka.topics: has no name; write {name: calls, mapping: acme, keyed: true}");
    refuse("kafka: {topics: [{name: a, mapping: ../m}]}",
           "f:1: kafka.topics.mapping: \"../m\" is no name of a mapping; write acme for acme.jq, of at most 64 of A-Z a-z 0-9 "
           "_ -");
}

Test(config, refuses_sockets_whose_paths_are_too_long)
{
    char yaml[200], path[109];
    memset(path, 'x', 108);
    path[108] = '\0';
    (void)snprintf(yaml, sizeof yaml, "control: {socket: %s}", path);
    char *text = NULL;
    size_t length;
    FILE *told = open_memstream(&text, &length);
    struct config *config;
    cr_expect_neq(config_parse("f", yaml, strlen(yaml), told, &config), 0);
    fclose(told);
    cr_expect(strstr(text, "is too long for a unix socket; use a path of at most 107 bytes"), "%s", text);
    free(text);
}

Test(config, refuses_to_read_what_it_writes)
{
    refuse("topics: {deadletter: calls}\nkafka:\n  topics:\n    - contacts\n    - calls\n",
           "f:5: kafka.topics: calls is topics.deadletter as well: what is refused would be read and refused again, without end; name another there, or \"\"");
    refuse("kafka: {topics: [esteem.deadletter]}",
           "f:1: kafka.topics: esteem.deadletter is topics.deadletter as well: what is refused would be read and refused again, without end; name another there, "
           "or \"\"");
    refuse("kafka: {topics: [a.csat]}\ntopics: {prefix: a.}", "f:1: kafka.topics: rows or alerts are written to a.csat; take it out, or take another topics.prefix");
    refuse("kafka: {topics: [esteem.alerts]}", "f:1: kafka.topics: rows or alerts are written to esteem.alerts; take it out, or take another topics.prefix");
    refuse("topics:\n  deadletter: a.nps\n  prefix: a.", "f:2: topics.deadletter: rows or alerts are written to a.nps, which keeps one message a key; name another, or \"\"");
    refuse("topics: {deadletter: esteem.alerts}", "f:1: topics.deadletter: rows or alerts are written to esteem.alerts, which keeps one message a key; name another, or \"\"");
    config_free(accept("topics: {enabled: false, deadletter: esteem.csat}"));
    config_free(accept("kafka: {topics: [esteem.csat, esteem.deadletter]}\ntopics: {prefix: b., deadletter: b.dead}"));
    config_free(accept("kafka: {topics: [esteem.csat]}\ntopics: {enabled: false}"));
}

Test(config, hands_properties_on_but_keeps_its_own)
{
    struct config *config = accept("kafka: {properties: {security.protocol: ssl, fetch.wait.max.ms: 50}}");
    cr_assert_eq(config->kafka_property_count, 2);
    cr_assert_str_eq(config->kafka_property[0].key, "fetch.wait.max.ms");
    cr_assert_str_eq(config->kafka_property[0].value, "50");
    config_free(config);
    refuse("kafka: {properties: {group.id: x}}",
           "f:1: kafka.properties.group.id: is set by esteem itself; use kafka.group");
    refuse("kafka: {properties: {isolation.level: read_committed}}",
           "f:1: kafka.properties.isolation.level: is set by esteem itself; leave it out");
    refuse("kafka: {properties: {enable.partition.eof: false}}",
           "f:1: kafka.properties.enable.partition.eof: is set by esteem itself; leave it out");
}

/* As librdkafka has them; whether they go together is seen when a client is opened. */
Test(config, refuses_properties_that_librdkafka_does_not_take)
{
    refuse("kafka: {properties: {linger.mss: 5}}", "f:1: kafka.properties.linger.mss: is no property of librdkafka; its CONFIGURATION.md lists them");
    refuse("kafka: {properties: {security.protocol: tls}}",
           "f:1: kafka.properties.security.protocol: is not what librdkafka takes: Invalid value \"tls\" for configuration property "
           "\"security.protocol\"; its CONFIGURATION.md says what is");
    setenv("ESTEEM_TEST_PROTOCOL", "hunter2", 1);
    refuse("kafka: {properties: {security.protocol: $ESTEEM_TEST_PROTOCOL}}",
           "f:1: kafka.properties.security.protocol: is not what librdkafka takes; its CONFIGURATION.md says what is");
}

Test(config, listens_at_an_address_and_a_port_or_nowhere)
{
    config_free(accept("http: {listen: \"\"}"));
    config_free(accept("http: {listen: \"127.0.0.1:65535\"}"));
    config_free(accept("http: {listen: \"[::1]:9464\"}"));
    const char *const none[] = {"9464", "localhost:9464", "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536", "::1:9464", "127.0.0.1:94a"};
    for (size_t i = 0; i < sizeof none / sizeof *none; i++) {
        char text[64], fault[160];
        snprintf(text, sizeof text, "http: {listen: \"%s\"}", none[i]);
        snprintf(fault, sizeof fault, "f:1: http.listen: \"%s\" is no address and port; write one such as 127.0.0.1:9464 or [::1]:9464", none[i]);
        refuse(text, fault);
    }
}

/* --- identity and reload --- */

Test(config, id_does_not_depend_on_spelling_order_or_places)
{
    same_id("redis: {host: other, port: 1}\nkafka: {brokers: b:1, topics: [x]}\nlog: {level: debug}", "", true);
    same_id("metrics: {min_n: 3, csat: {top_box: 5}}\nprivacy: {min_employees: 7}",
            "privacy:\n  min_employees: 7\nmetrics:\n  csat:\n    top_box: 5\n  min_n: 3\n", true);
    same_id("time: {skew: 300s}", "", true);
    same_id("windows: {rolling: [60m, 60s], calendar: [day, hour]}", "windows: {calendar: [hour, day], rolling: [1m, 1h]}",
            true);
    same_id("scopes: [[queue, channel], []]", "scopes: [[], [channel, queue]]", true);
    same_id("tenants: {a: {timezone: Asia/Tokyo}, b: {}}", "tenants: {b: {timezone: UTC}, a: {timezone: Asia/Tokyo}}", true);
    same_id("limits: {message: 1048576}", "limits: {message: 1MiB}", true);
}

Test(config, id_changes_with_every_setting_that_changes_numbers)
{
    static const char *const texts[] = {
        "windows: {rolling: [1m]}", "windows: {rolling: [{length: 5m, slide: 1s}]}", "windows: {calendar: [hour]}",
        "windows: {timezone: Asia/Tokyo}", "scopes: [[]]", "dimensions: [tier]", "metrics: {csat: {top_box: 5}}",
        "metrics: {service_level: {rules: [{match: {channel: email}, threshold: 4h}]}}", "metrics: {aht_bands: []}",
        "metrics: {opportunity: {assumed_rate: 0.16}}", "privacy: {min_employees: 6}", "time: {lateness: 11m}",
        "time: {mode: replay}", "retention: {ids: 25h}", "limits: {keys: 99999}", "tenants: {a: {timezone: Asia/Tokyo}}"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        same_id(texts[i], "", false);
        for (size_t j = 0; j < i; j++)
            same_id(texts[i], texts[j], false);
    }
}

Test(config, id_depends_on_the_order_of_rules)
{
    same_id("metrics: {service_level: {rules: [{match: {team: a}, threshold: 1s}, {match: {queue: b}, threshold: 2s}]}}",
            "metrics: {service_level: {rules: [{match: {queue: b}, threshold: 2s}, {match: {team: a}, threshold: 1s}]}}",
            false);
}

/* NULL: a reload may change it. */
static void restart_for(const char *text, const char *wanted)
{
    const char *key = NULL;
    struct config *old = accept(""), *next = accept(text);
    cr_assert_eq(needs_restart(old, next, &key), wanted != NULL, "%s", text);
    cr_assert(wanted == NULL ? key == NULL : strcmp(key, wanted) == 0, "%s: %s", text, key);
    config_free(old);
    config_free(next);
}

Test(config, names_the_key_that_a_reload_may_not_change)
{
    restart_for("", NULL);
    restart_for("metrics: {csat: {top_box: 5}, service_level: {threshold: 30s}}", NULL);
    restart_for("scopes: [[]]\nlog: {level: debug}", NULL);
    restart_for("metrics: {service_level: {rules: [{match: {team: a}, threshold: 1s}]}}", NULL);
    restart_for("redis: {port: 6380, password: x}", NULL);
    restart_for("windows: {rolling: [60s, 5m, 15m, 1h, 1d, 7d, 30d], calendar: [hour]}", NULL);
    restart_for("redis: {enabled: false}", "redis.enabled");
    restart_for("topics: {prefix: x.}", "topics.prefix");
    restart_for("metrics: {aht_bands: []}", "metrics.aht_bands");
    restart_for("tenants: {a: {timezone: Asia/Tokyo}}", "tenants");
    restart_for("kafka: {topics: [{name: contacts, keyed: false}]}", "kafka.topics");
    restart_for("kafka: {properties: {client.id: x}}", "kafka.properties");
}

/* --- pages --- */

Test(config, schema_and_manual_name_every_key)
{
    static char schema[65536], manual[65536];
    FILE *out = fmemopen(schema, sizeof schema, "w");
    config_schema(out);
    fclose(out);
    out = fmemopen(manual, sizeof manual, "w");
    config_manual(out);
    fclose(out);
    cr_assert_not_null(strstr(schema, "https://json-schema.org/draft/2020-12/schema"));
#define NAMED(key) cr_assert(strstr(manual, "| `" key "` |") != NULL, key)
#define OPTION_DURATION(field, key, fallback, low, high, live, help) NAMED(key);
#define OPTION_SIZE(field, key, fallback, low, high, live, help) NAMED(key);
#define OPTION_INT(field, key, fallback, low, high, live, help) NAMED(key);
#define OPTION_REAL(field, key, fallback, low, high, live, help) NAMED(key);
#define OPTION_BOOL(field, key, fallback, live, help) NAMED(key);
#define OPTION_WORD(field, key, fallback, words, live, help) NAMED(key);
#define OPTION_TEXT(field, key, fallback, live, help) NAMED(key);
#include "esteem/options.def"
    cr_assert_not_null(strstr(schema, "\"timeout\": {\"description\": \"a reply later than this is a broken connection\", "
                                      "\"x-change\": \"live\", \"type\": \"string\", "
                                      "\"pattern\": \"^[0-9]+(ms|s|m|h|d)$\", \"default\": \"5s\"}"));
}

/* --- roster.file --- */

/* A configuration whose roster is this text, in a file that ends so. */
static struct config *with_roster(const char *end, const char *text)
{
    static char path[64], yaml[256];
    (void)snprintf(path, sizeof path, "/tmp/esteem-roster-%d%s", (int)getpid(), end);
    FILE *file = fopen(path, "w");
    cr_assert_not_null(file);
    fputs(text, file);
    fclose(file);
    (void)snprintf(yaml, sizeof yaml, "windows: {timezone: Europe/Berlin}\nroster: {file: %s}\n", path);
    struct config *config = parse(yaml);
    remove(path);
    return config;
}

/* Each fault, without the path before it. */
static void roster_refused(const char *end, const char *text, const char *fault)
{
    struct config *config = with_roster(end, text);
    cr_assert_null(config, "%s is accepted", text);
    const char *said = strchr(faults, ':');
    cr_assert(said != NULL && strncmp(said + 1, fault, strlen(fault)) == 0 && said[1 + strlen(fault)] == '\n', "%s\n  says   %s\n  not    :%s", text, faults, fault);
}

Test(config, a_roster_is_read_from_csv_and_from_yaml_alike)
{
    static const char *const csv = "\xef\xbb\xbfteam,agent,from,until,eligible,site,tenant\nnorth,ann,2026-03-29,2026-03-29T12:00:00+02:00,,,\n\"so\"\"uth,\n\",bob,,,false,bonn,acme"; /* a last line may lack its end */
    static const char *const yaml = "- {agent: ann, team: north, from: 2026-03-29, until: \"2026-03-29T10:00:00Z\"}\n- agent: bob\n  team: \"so\\\"uth,\\n\"\n  site: bonn\n  eligible: false\n  tenant: acme\n";
    for (int i = 0; i < 2; i++) {
        struct config *config = with_roster(i ? ".yml" : ".csv", i ? yaml : csv);
        cr_assert_not_null(config, "%s", faults);
        cr_assert_eq(config->roster_count, 2);
        const struct config_roster *bob = &config->roster[0], *ann = &config->roster[1]; /* by tenant: acme, default */
        cr_expect(strcmp(ann->agent, "ann") == 0 && strcmp(ann->tenant, "default") == 0 && strcmp(ann->team, "north") == 0 && *ann->site == '\0' && ann->eligible);
        cr_expect_eq(ann->from_ms, INT64_C(1774738800000)); /* 2026-03-28T23:00:00Z, the night in which clocks go forward */
        cr_expect_eq(ann->until_ms, INT64_C(1774778400000));
        cr_expect(strcmp(bob->team, "so\"uth,\n") == 0 && strcmp(bob->site, "bonn") == 0 && !bob->eligible);
        cr_expect(bob->from_ms == 0 && bob->until_ms == INT64_MAX);
        config_free(config);
    }
}

Test(config, every_fault_of_a_roster_is_told_with_its_line_and_the_fix)
{
    roster_refused(".csv", "", "1: header: is missing, the file is empty; begin with the line agent,team,site, or leave roster.file out");
    roster_refused(".csv", "agent,,team\n", "1: header: has a column without a name; take agent, team, site, eligible, from, until, tenant");
    roster_refused(".csv", "agent,taem\n", "1: header: there is no column \"taem\"; did you mean team?");
    roster_refused(".csv", "agent;team\n", "1: header: its columns are not divided by commas: \"agent;team\"; save it with commas");
    roster_refused(".csv", "agent\tteam\n", "1: header: its columns are not divided by commas: \"agent?team\"; save it with commas");
    roster_refused(".csv", "agent,team,agent\n", "1: header: agent is there twice; take one out");
    roster_refused(".csv", "team,site\n", "1: header: has no column agent; begin with the line agent,team,site");
    roster_refused(".csv", "agent,team\n\nann,north,bonn\n", "3: line: has 3 cells for 2 columns; quote a value that holds a comma");
    roster_refused(".csv", "agent,team,until\nann,north,\nbob,so", "3: line: has 2 of 3 cells: it is cut short, or a comma is missing; write a comma also for what is empty");
    roster_refused(".csv", "agent,team,until\nann\nbob,south,\n", "2: line: has 1 of 3 cells: it is cut short, or a comma is missing; write a comma also for what is empty");
    roster_refused(".csv", "agent,team\nann,\"north\nbob,south\n", "2: line: is no CSV: a quote does not close, or something follows it; mend the quotes of cell 2");
    roster_refused(".csv", "agent,team\nann,\"north\"\"\n", "2: line: is no CSV: a quote does not close, or something follows it; mend the quotes of cell 2");
    roster_refused(".csv", "agent,team\nann,\"north\"s\n", "2: line: is no CSV: a quote does not close, or something follows it; mend the quotes of cell 2");
    roster_refused(".csv", "agent,team\nann,north\rbob,south\n", "2: line: is no CSV: a \\r outside quotes ends no line; end lines by \\n or \\r\\n, or mend the quotes of cell 2");
    roster_refused(".csv", "agent,\"team\n", "1: header: is no CSV: a quote does not close, or something follows it; mend the quotes of cell 2");
    roster_refused(".csv", "agent,team\n\"\"\n", "2: line: has 1 of 2 cells: it is cut short, or a comma is missing; write a comma also for what is empty");
    roster_refused(".csv", "agent,team\n,north\n", "2: agent: is missing; name the agent as events do");
    roster_refused(".csv", "agent,team\nann,\xff\n", "2: team: is no UTF-8; save the file as UTF-8");
    roster_refused(".csv", "agent,from\nann,2026-02-30\n", "2: from: \"2026-02-30\" is no time of 1970 to 2199; write a date, 2026-03-01, or a time with its zone, 2026-03-01T08:00:00Z");
    roster_refused(".csv", "agent,from\nann,2026-02-03T08:00:00\n", "2: from: \"2026-02-03T08:00:00\" is no time of 1970 to 2199; write a date, 2026-03-01, or a time with its zone, 2026-03-01T08:00:00Z");
    roster_refused(".csv", "agent,eligible\nann,yes\n", "2: eligible: \"yes\" is no truth value; write true or false, or nothing for true");
    roster_refused(".csv", "agent,from,until\nann,2026-03-01,2026-03-01\n", "2: until: is not after `from`; it is the first instant at which the agent is gone");
    roster_refused(".csv", "agent,from\nann,2026-03-01\nbob,2026-03-01\nann,2026-03-01\n", "4: from: ann is there from the same instant on as in line 2; keep one of the two");
    roster_refused(".csv", "agent,from,until\nann,2026-03-01,2026-05-01\nann,2026-04-01,\n", "2: until: is after the `from` of ann in line 3; end it there, or leave it empty");
    roster_refused(".csv", "PK\x03\x04", "1: file: is a zip file, as spreadsheets are; export it as CSV, or unpack it");
    roster_refused(".csv", "\xff\xfe" "a", "1: file: is UTF-16; make it UTF-8: iconv -f UTF-16 -t UTF-8");
    roster_refused(".yaml", "- {agent: ann, tema: north}\n", "1: tema: unknown key; did you mean team?");
    roster_refused(".yaml", "agent: ann\n", "1: file: is a map; write a list of {agent: ann, team: north}");
    roster_refused(".yaml", "- {agent: [ann]}\n", "1: agent: is a list; write a text");
    refuse("roster: {file: /nowhere/roster.csv}", "/nowhere/roster.csv:1: file: cannot be read: No such file or directory; mend roster.file, or leave it out");
    cr_expect_null(with_roster(".csv", "agent,from\nann,x\nbob,y\n"));
    cr_expect_not_null(strstr(faults, ":3: from: \"y\"")); /* all of them */
    cr_expect_null(with_roster(".csv", "agent,team\nann,\"n\"x\nbob\n"));
    cr_expect_not_null(strstr(faults, ":3: line: has 1 of 2 cells"));
}

Test(config, a_roster_of_any_bytes_is_read_or_refused)
{
    static const char letters[] = "agent,team\n\r\"ann\xc3\xa4 2026-01-01T";
    uint64_t state = 11;
    int accepted = 0;
    for (int i = 0; i < 2000; i++) {
        char text[96] = "agent,team\n";
        for (size_t at = strlen(text), end = at + (size_t)(i % 60); at < end; at++) {
            state = state * UINT64_C(6364136223846793005) + 1442695040888963407;
            text[at] = letters[(state >> 33) % (sizeof letters - 1)];
        }
        struct config *config = with_roster(".csv", text);
        cr_assert(config != NULL || *faults != '\0');
        accepted += config != NULL;
        config_free(config);
    }
    cr_assert_gt(accepted, 30);
}

/* --- mutations --- */

static uint32_t random_next(uint64_t *state)
{
    *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(*state >> 33);
}

/* Up to 8 changes: a byte of YAML's own, a byte of any kind, a cut, or a piece copied elsewhere. */
static size_t mutate(char *text, size_t length, uint64_t *state)
{
    static const char special[] = "[]{}:,-#&*!|>'\"%@`\n\t ?0~$.";
    for (uint32_t n = random_next(state) % 8 + 1; n > 0 && length > 64; n--) {
        size_t at = random_next(state) % length, from = random_next(state) % length;
        size_t piece = random_next(state) % 32 + 1;
        piece = piece < length - at ? piece : length - at;
        piece = piece < length - from ? piece : length - from;
        switch (random_next(state) % 4) {
        case 0: text[at] = special[random_next(state) % (sizeof special - 1)]; break;
        case 1: text[at] = (char)random_next(state); break;
        case 2:
            memmove(text + at, text + at + piece, length - at - piece);
            length -= piece;
            break;
        default: memmove(text + at, text + from, piece); break;
        }
    }
    return length;
}

Test(config, stands_thousands_of_mutations_of_the_example)
{
    const char *example = file_text("deploy/esteem.yaml");
    uint64_t state = 7;
    int accepted = 0, refused = 0;
    for (int i = 0; i < 3000; i++) {
        size_t length = strlen(example);
        char *text = malloc(length); /* its own block, so that reading past its end is seen */
        memcpy(text, example, length);
        length = mutate(text, length, &state);
        struct config *config = NULL;
        int result = config_parse("f", text, length, NULL, &config);
        cr_assert_eq(result == 0, config != NULL);
        cr_assert_eq(result == 0 ? 8 : 0, config == NULL ? 0 : strlen(config->id));
        accepted += result == 0;
        refused += result != 0;
        config_free(config);
        free(text);
    }
    cr_assert(accepted > 100 && refused > 100, "%d accepted, %d refused", accepted, refused);
}

/* --- what figures are held against --- */

Test(config, reads_a_baseline_of_dates_or_of_times)
{
    struct config *config = accept("baseline: {from: 2026-09-01, to: 2026-10-01, metrics: [csat, aht_ms]}");
    cr_assert(config->baseline.given && config->baseline.from.local && config->baseline.count == 2);
    cr_assert_eq(config->baseline.from.at, 20697);
    cr_assert_eq(config->baseline.to.at, 20697 + 30);
    cr_assert_str_eq(config->baseline.name[1], "aht_ms_change");
    config_free(config);
    config = accept("baseline: {from: \"2026-09-01T00:00:00+02:00\", to: 2026-10-01T00:00:00Z, metrics: [csat]}");
    cr_assert_eq(config->baseline.from.at, INT64_C(1788213600000));
    config_free(config);
    config = accept("baseline: {}");
    cr_assert_not(config->baseline.given);
    config_free(config);
}

Test(config, refuses_what_is_no_baseline)
{
    refuse("baseline: {from: 2026-09-01, metrics: [csat]}", "f:1: baseline: needs all three; write {from: 2026-09-01, to: 2026-10-01, metrics: [csat]}");
    refuse("baseline: {from: 2020-01-01, to: 2120-01-03, metrics: [csat]}", "f:1: baseline.to: is more than a hundred years after `from`; name a shorter period");
    refuse("baseline: {from: 2020-01-01T00:00:00Z, to: 2120-01-03T00:00:00Z, metrics: [csat]}", "f:1: baseline.to: is more than a hundred years after `from`; name a shorter period");
    refuse("baseline: {from: 2026-09-01, to: 2026-09-01, metrics: [csat]}", "f:1: baseline.to: is not after `from`; it is the first day that no longer counts");
    refuse("baseline: {from: 2026-09-01, to: 2026-10-01T00:00:00Z, metrics: [csat]}",
           "f:1: baseline.to: is a time and `from` is a date; write both as dates, or both as times");
    refuse("baseline: {from: 2026-9-1, to: 2026-10-01, metrics: [csat]}",
           "f:1: baseline.from: \"2026-9-1\" is neither a date nor a time; write 2026-09-01 or 2026-09-01T00:00:00+02:00");
    refuse("baseline: {from: 2026-09-01, to: 2026-10-01, metrics: [csta]}", "f:1: baseline.metrics: \"csta\" is not the name of a metric; did you mean csat?");
    refuse("baseline: {from: 2026-09-01, to: 2026-10-01, metrics: []}", "f:1: baseline.metrics: names no metric; write [csat, aht_ms], or leave baseline out");
    refuse("baseline: {from: 2026-09-01, to: 2026-10-01, metrics: [csat_gap]}",
           "f:1: baseline.metrics: csat_gap compares rows already; take a metric of one row");
    refuse("baseline: {from: 2026-09-01, to: 2026-10-01, metrics: [esat]}",
           "f:1: baseline.metrics: esat is an employees' figure, which only leaves in rows of a day or longer; take it out");
}

#define GOAL(more) "goals: [{name: g, window: day, target: 80" more "}]"

Test(config, reads_goals_with_their_direction)
{
    struct config *config = accept("goals: [{name: a, metric: csat, scope: [queue], match: {queue: billing}, window: 1h, target: 80, for: 10m, clear: 2},\n"
                                   "{name: b, metric: aht_ms, window: day, target: 200000, alert: false},\n"
                                   "{name: c, measure: use_cost, scope: [agent], window: month, target: 5000, direction: down}]");
    const struct config_goal *goal = config->goal;
    cr_assert_eq(config->goal_count, 3);
    cr_assert_str_eq(goal[0].field, "goal.a");
    cr_assert(!goal[0].down && goal[1].down && goal[2].down && goal[0].alert && !goal[1].alert);
    cr_assert(goal[0].for_ms == 600000 && goal[1].for_ms == 300000 && goal[0].clear == 2);
    cr_assert(goal[0].place.rolling && strcmp(config->rolling[goal[0].place.window].name, "1h") == 0);
    cr_assert(!goal[1].place.rolling && goal[1].place.window == CALENDAR_DAY && goal[1].place.scope == 0);
    cr_assert_str_eq(goal[0].value[DIMENSION_queue], "billing");
    config_free(config);
}

Test(config, refuses_goals_that_cannot_be)
{
    refuse(GOAL(""), "f:1: goals: needs a metric or a measure, one of the two; write {name: north_csat, metric: csat, scope: [team], window: month, target: 80}");
    refuse(GOAL(", metric: csat, measure: uses"),
           "f:1: goals: needs a metric or a measure, one of the two; write {name: north_csat, metric: csat, scope: [team], window: month, target: 80}");
    refuse(GOAL(", metric: talk_avg_ms"),
           "f:1: goals.direction: is missing, and talk_avg_ms itself has none; write up (at least the target) or down (at most)");
    refuse(GOAL(", metric: aht_ms, direction: up"), "f:1: goals.direction: aht_ms is better when it goes down; leave direction out");
    refuse(GOAL(", measure: uses"), "f:1: goals.direction: is missing, and uses itself has none; write up (at least the target) or down (at most)");
    refuse(GOAL(", measure: use, direction: up"), "f:1: goals.measure: \"use\" is not the name of a measure; did you mean uses?");
    refuse(GOAL(", metric: csat, per: day"), "f:1: goals.per: is `day`, with a measure; leave it out for a metric");
    refuse(GOAL(", metric: csat, scope: [brand]"), "f:1: goals.scope: [brand] of goal g is none of the configured scopes; add it to scopes:, or take another");
    refuse(GOAL(", metric: csat, match: {queue: q}"),
           "f:1: goals.match: queue is no dimension of the goal's scope; name it in scope, or take it out");
    refuse(GOAL(", metric: csat, clear: -1"), "f:1: goals.clear: \"-1\" is not a number of 0 or more, in the unit of the target");
    refuse("goals: [{name: g, metric: csat, window: 2h, target: 80}]",
           "f:1: goals.window: \"2h\" is none of the configured windows; add it to windows:, or take another");
    refuse("goals: [{name: g, metric: csat, window: day, target: 0}]", "f:1: goals.target: \"0\" is not a number above 0: attainment is value / target");
    refuse("goals: [{name: g, metric: csat, window: day}]",
           "f:1: goals.target: is missing; write {name: north_csat, metric: csat, scope: [team], window: month, target: 80}");
    refuse("goals: [{name: G, metric: csat, window: day, target: 1}]", "f:1: goals.name: \"G\" cannot be a name; use at most 40 of a-z 0-9 _, a letter first");
    refuse("goals:\n- {name: g, metric: csat, window: day, target: 1}\n- {name: g, metric: nps, window: day, target: 1}",
           "f:3: goals.name: g is the goal of line 2 already; take another name");
}

static void goal_to(const char *metric, const char *target, const char *fault)
{
    char yaml[256];
    snprintf(yaml, sizeof yaml, "goals: [{name: g, metric: %s, window: day, target: %s}]", metric, target);
    if (fault)
        refuse(yaml, fault);
    else
        config_free(accept(yaml));
}

Test(config, refuses_targets_beyond_what_a_metric_can_be)
{
    goal_to("csat", "100", NULL);
    goal_to("csat", "100.5", "f:1: goals.target: 100.5 is above 100, the most that csat can be; take a number up to that");
    goal_to("csat", "-5", "f:1: goals.target: \"-5\" is not a number above 0: attainment is value / target");
    goal_to("abandon_rate", "500", "f:1: goals.target: 500 is above 100, the most that abandon_rate can be; take a number up to that");
    goal_to("adoption, scope: [team]", "101", "f:1: goals.target: 101 is above 100, the most that adoption can be; take a number up to that");
    goal_to("nps", "101", "f:1: goals.target: 101 is above 100, the most that nps can be; take a number up to that");
    goal_to("nps", "-101", "f:1: goals.target: \"-101\" is not a number above 0: attainment is value / target");
    goal_to("nps_lift", "200", NULL);
    goal_to("csat_mean", "80", "f:1: goals.target: 80 is above 5, the most that csat_mean can be; take a number up to that");
    goal_to("ces_mean", "7", NULL);
    goal_to("aht_ms", "200000", NULL);
    goal_to("usage_vs_expected", "120", NULL);
    goal_to("volume_change, direction: up", "150", NULL);
}

Test(config, refuses_a_clear_beyond_what_a_metric_can_be)
{
    goal_to("csat", "80, clear: 20", NULL);
    goal_to("csat", "80, clear: 20.5", "f:1: goals.clear: 80 and 20.5 are above 100, the most that csat can be; take a number up to 20");
    goal_to("csat", "80,\n clear: 30", "f:2: goals.clear: 80 and 30 are above 100, the most that csat can be; take a number up to 20");
    goal_to("aht_ms", "200, clear: 200", NULL);
    goal_to("aht_ms", "200, clear: 201", "f:1: goals.clear: 200 less 201 is below 0, the least that aht_ms can be; take a number up to 200");
    goal_to("nps", "50, clear: 51", "f:1: goals.clear: 50 and 51 are above 100, the most that nps can be; take a number up to 50");
    goal_to("volume_change, direction: down", "5, clear: 105", NULL);
    goal_to("volume_change, direction: down", "5, clear: 106",
            "f:1: goals.clear: 5 less 106 is below -100, the least that volume_change can be; take a number up to 105");
    goal_to("volume_change, direction: up", "5, clear: 1000", NULL);
    refuse("goals: [{name: g, measure: use_cost, window: day, target: 80, clear: 81, direction: down}]",
           "f:1: goals.clear: 80 less 81 is below 0, the least that use_cost can be; take a number up to 80");
    refuse("goals: [{name: g, metric: csat, window: 2h, target: 80, clear: 30}]",
           "f:1: goals.window: \"2h\" is none of the configured windows; add it to windows:, or take another\n"
           "f:1: goals.clear: 80 and 30 are above 100, the most that csat can be; take a number up to 20");
}

Test(config, reads_leaderboards_and_refuses_what_is_none)
{
    struct config *config = accept("leaderboards: [{metric: usage_rate, scope: [queue, channel], window: day}, {metric: csat, scope: [], window: 1h}]");
    cr_assert_eq(config->board_count, 2);
    cr_assert_str_eq(config->board[0].name, "top:usage_rate:channel,queue:day");
    cr_assert_str_eq(config->board[1].name, "top:csat:all:1h");
    config_free(config);
    refuse("leaderboards: [{metric: csat, scope: [queue], window: day}, {metric: csat, scope: [queue], window: day}]",
           "f:1: leaderboards: is there twice; take one out");
    refuse("leaderboards: [{metric: csat, scope: [channel, brand], window: day}]",
           "f:1: leaderboards.scope: [channel, brand] is none of the configured scopes; add it to scopes:, or take another");
    refuse("leaderboards: [{metric: esat, scope: [queue], window: 1h}]", "f:1: leaderboards.window: esat is an employees' figure, which only leaves in rows of a day, a week or a month; take one of these");
    refuse("goals: [{name: g, metric: esat, scope: [queue], window: hour, target: 80}]", "f:1: goals.window: esat is an employees' figure, which only leaves in rows of a day, a week or a month; take one of these");
    config_free(accept("goals: [{name: g, metric: esat, scope: [queue], window: day, target: 80}]"));
    refuse("leaderboards: [{metric: csat, scope: [queue]}]", "f:1: leaderboards: needs all three; write {metric: usage_rate, scope: [team], window: day}");
}

Test(config, compares_volumes_in_hours_days_and_weeks)
{
    static const char *const none[] = {"7d", "1h", "month", "half_hour"}, *const some[] = {"hour", "day", "week"};
    char yaml[256];
    for (int i = 0; i < 4; i++) {
        snprintf(yaml, sizeof yaml, "windows: {calendar: [half_hour, month]}\ngoals: [{name: g, metric: volume_change, window: %s, target: 5, direction: up}]", none[i]);
        refuse(yaml, "f:2: goals.window: volume_change compares an hour, a day or a week with that of the week before; take one of these");
    }
    for (int i = 0; i < 3; i++) {
        snprintf(yaml, sizeof yaml, "goals: [{name: g, metric: volume_change, window: %s, target: 5, direction: up}]", some[i]);
        config_free(accept(yaml));
    }
    refuse("leaderboards: [{metric: volume_change, scope: [queue], window: month}]",
           "f:1: leaderboards.window: volume_change compares an hour, a day or a week with that of the week before; take one of these");
}

Test(config, counts_eligible_agents_by_site_team_and_agent)
{
    refuse(GOAL(", metric: adoption, scope: [queue]"),
           "f:1: goals.scope: adoption rests on eligible agents, who are counted by site, team and agent alone; take a scope of these, or []");
    refuse(GOAL(", measure: eligible_agents, direction: up, scope: [queue]"),
           "f:1: goals.scope: eligible_agents rests on eligible agents, who are counted by site, team and agent alone; take a scope of these, or []");
    refuse("scopes: [[team, queue]]\nleaderboards: [{metric: turnover, scope: [team, queue], window: day}]",
           "f:2: leaderboards.scope: turnover rests on eligible agents, who are counted by site, team and agent alone; take a scope of these, or []");
    config_free(accept(GOAL(", metric: adoption")));
    config_free(accept("scopes: [[site, team]]\n" GOAL(", metric: adoption, scope: [site, team]")));
}

Test(config, compares_channels_where_their_rows_are)
{
    refuse("scopes: [[], [queue]]\n" GOAL(", metric: csat_gap, scope: [queue]"),
           "f:2: goals.scope: csat_gap compares the channels of a row, and [channel, queue] is none of the configured scopes; add it to scopes:, or take another");
    refuse("scopes: [[]]\ngoals:\n- {name: g, metric: aht_gap_ms, window: day, target: 80}",
           "f:3: goals.scope: aht_gap_ms compares the channels of a row, and [channel] is none of the configured scopes; add it to scopes:, or take another");
    refuse(GOAL(", metric: sl_gap, scope: [queue, channel]"),
           "f:1: goals.scope: sl_gap compares channels, and a row of [channel, queue] is of one alone; take a scope without channel");
    refuse("leaderboards: [{metric: nps_gap, scope: [team], window: day}]",
           "f:1: leaderboards.scope: nps_gap compares the channels of a row, and [channel, team] is none of the configured scopes; add it to scopes:, or take another");
    config_free(accept(GOAL(", metric: csat_gap")));
    config_free(accept(GOAL(", metric: nps_gap, scope: [queue]")));
    config_free(accept("leaderboards: [{metric: csat_gap, scope: [queue], window: day}]"));
}

Test(config, compares_a_channel_with_others_in_its_own_scope)
{
    refuse(GOAL(", metric: conversion_lift, direction: up"), "f:1: goals.scope: conversion_lift compares a channel with its tenant's others; take [channel]");
    refuse(GOAL(", metric: conversion_lift, direction: up, scope: [channel, queue]"),
           "f:1: goals.scope: conversion_lift compares a channel with its tenant's others; take [channel]");
    refuse("leaderboards: [{metric: conversion_lift, scope: [queue], window: day}]",
           "f:1: leaderboards.scope: conversion_lift compares a channel with its tenant's others; take [channel]");
    config_free(accept(GOAL(", metric: conversion_lift, direction: up, scope: [channel]")));
}

Test(config, changes_goals_and_leaderboards_live_and_a_baseline_not)
{
    struct config *old = accept(""), *next = accept("goals: [{name: g, metric: csat, window: day, target: 80}]\nleaderboards: [{metric: csat, scope: [], window: day}]");
    const char *key = NULL;
    cr_assert_not(needs_restart(old, next, &key));
    cr_assert_str_neq(old->id, next->id);
    cr_assert_lt(old->serial, next->serial);
    config_free(next);
    next = accept("baseline: {from: 2026-09-01, to: 2026-10-01, metrics: [csat]}");
    cr_assert(needs_restart(old, next, &key));
    cr_assert_str_eq(key, "baseline");
    config_free(old);
    config_free(next);
}
