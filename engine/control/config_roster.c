/* config_roster: roster.file, read with the configuration and refused with it: who is in which team and site, from when, until when. Each
 * line is one stay of an agent:
 *
 *     agent,team,site,eligible,from,until,tenant
 *     ann,north,bonn,true,2026-01-01,2026-03-01,acme
 *     ann,south,,,2026-03-01,,acme
 *
 * Only the column `agent` must be there; a line has a cell for each column, which may be empty. A date is its first instant in the
 * tenant's zone; without `from` the stay has always been, without `until` it lasts, or ends where the agent's next one begins. Bounded
 * by ROSTER_LINES_MAX. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "config_parts.h"
#include "esteem/calendar.h"
#include "esteem/csv.h"
#include "esteem/err.h"
#include "esteem/utf8.h"

enum { ROSTER_BYTES_MAX = 64 << 20, ROSTER_YAML_BYTES_MAX = 4 << 20, ROSTER_LINES_MAX = 1000000, HALF_DAY_MS = 43200000 };

enum column { AGENT, TEAM, SITE, ELIGIBLE, FROM, UNTIL, TENANT, COLUMN_COUNT };
static const char *const column_names[COLUMN_COUNT] = {"agent", "team", "site", "eligible", "from", "until", "tenant"};

struct roster_reader {
    struct reader *reader;
    struct config *config;
    uint32_t room;
    char zone[65]; /* of `calendar` */
    struct calendar *calendar;
};

/* ---- one stay ---- */

/* "" when it is not given. NULL after telling the fault. */
static const char *value_of(struct roster_reader *roster, int line, const char *const *cell, enum column column)
{
    const char *text = cell[column] == NULL ? "" : cell[column];
    if (strlen(text) > VALUE_MAX)
        reader_fault(roster->reader, line, column_names[column], "is longer than %d bytes, so no event has it; mend it", VALUE_MAX);
    else if (!utf8_valid(text, strlen(text)))
        reader_fault(roster->reader, line, column_names[column], "is no UTF-8; save the file as UTF-8");
    else
        return text;
    return NULL;
}

/* The first instant of a date in the tenant's zone: that of the local day which holds its noon. */
static bool date_parse(struct roster_reader *roster, const char *text, const char *tenant, int64_t *time_ms)
{
    char noon[sizeof "2026-01-01T12:00:00Z"];
    if (strlen(text) != 10)
        return false;
    snprintf(noon, sizeof noon, "%sT12:00:00Z", text);
    if (!event_time_rfc3339(noon, strlen(noon), time_ms))
        return false;
    const char *zone = config_timezone(roster->config, tenant);
    if (strcmp(zone, roster->zone) != 0) {
        calendar_free(roster->calendar);
        snprintf(roster->zone, sizeof roster->zone, "%s", zone);
        ensure(calendar_new(zone, &roster->calendar) == 0, "a zone that is configured can be read");
    }
    int64_t end_ms, at_ms = *time_ms - INT64_C(1000) * calendar_offset_s(roster->calendar, *time_ms / 1000);
    calendar_bounds(roster->calendar, CALENDAR_DAY, at_ms, time_ms, &end_ms);
    return true;
}

static bool time_of(struct roster_reader *roster, int line, enum column column, const char *text, const char *tenant, int64_t *time_ms)
{
    if (*text == '\0' || event_time_rfc3339(text, strlen(text), time_ms) || date_parse(roster, text, tenant, time_ms))
        return true;
    reader_fault(roster->reader, line, column_names[column],
                 "\"%.60s\" is no time of 1970 to 2199; write a date, 2026-03-01, or a time with its zone, 2026-03-01T08:00:00Z", text);
    return false;
}

static bool eligible_of(struct roster_reader *roster, int line, const char *text, bool *eligible)
{
    *eligible = strcmp(text, "false") != 0;
    if (*text == '\0' || !*eligible || strcmp(text, "true") == 0)
        return true;
    reader_fault(roster->reader, line, "eligible", "\"%.60s\" is no truth value; write true or false, or nothing for true", text);
    return false;
}

static void stay_add(struct roster_reader *roster, int line, const char *const *cell)
{
    struct config_roster stay = {.until_ms = INT64_MAX, .line = line};
    const char *value[COLUMN_COUNT];
    bool right = true;
    for (int c = 0; c < COLUMN_COUNT; c++)
        right &= (value[c] = value_of(roster, line, cell, (enum column)c)) != NULL;
    if (!right)
        return;
    const char *tenant = *value[TENANT] == '\0' ? "default" : value[TENANT];
    if (*value[AGENT] == '\0') {
        reader_fault(roster->reader, line, "agent", "is missing; name the agent as events do");
        right = false;
    }
    right &= time_of(roster, line, FROM, value[FROM], tenant, &stay.from_ms);
    right &= time_of(roster, line, UNTIL, value[UNTIL], tenant, &stay.until_ms);
    right &= eligible_of(roster, line, value[ELIGIBLE], &stay.eligible);
    if (right && stay.until_ms <= stay.from_ms) {
        reader_fault(roster->reader, line, "until", "is not after `from`; it is the first instant at which the agent is gone");
        right = false;
    }
    struct config *config = roster->config;
    if (right && config->roster_count == ROSTER_LINES_MAX) {
        reader_fault(roster->reader, line, "file", "has more than %d lines; take out those that have ended", ROSTER_LINES_MAX);
        right = false;
    }
    if (!right || reader_full(roster->reader))
        return;
    if (config->roster_count == roster->room) {
        roster->room = roster->room ? roster->room * 2 : 64;
        config->roster = realloc(config->roster, roster->room * sizeof *config->roster);
        ensure(config->roster != NULL, "no memory for the roster");
    }
    stay.tenant = text_copy(tenant);
    stay.agent = text_copy(value[AGENT]);
    stay.team = text_copy(value[TEAM]);
    stay.site = text_copy(value[SITE]);
    config->roster[config->roster_count++] = stay;
}

/* ---- all of them ---- */

static int stay_compare(const void *left, const void *right)
{
    const struct config_roster *a = left, *b = right;
    int tenant = strcmp(a->tenant, b->tenant), agent = strcmp(a->agent, b->agent);
    if (tenant || agent)
        return tenant ? tenant : agent;
    if (a->from_ms != b->from_ms)
        return a->from_ms < b->from_ms ? -1 : 1;
    return a->line - b->line;
}

/* An agent is in one place at a time: else a line's end would end the stay of another. */
static void check_overlaps(struct roster_reader *roster)
{
    const struct config_roster *stay = roster->config->roster;
    for (uint32_t i = 1; i < roster->config->roster_count; i++) {
        const struct config_roster *a = &stay[i - 1], *b = &stay[i];
        if (strcmp(a->tenant, b->tenant) != 0 || strcmp(a->agent, b->agent) != 0)
            continue;
        if (a->from_ms == b->from_ms)
            reader_fault(roster->reader, b->line, "from", "%.60s is there from the same instant on as in line %d; keep one of the two",
                         b->agent, a->line);
        else if (a->until_ms != INT64_MAX && a->until_ms > b->from_ms)
            reader_fault(roster->reader, a->line, "until", "is after the `from` of %.60s in line %d; end it there, or leave it empty",
                         a->agent, b->line);
    }
}

/* ---- CSV ---- */

static int column_find(struct roster_reader *roster, const char *name)
{
    int nearest = 0, least = 99;
    if (*name == '\0') {
        reader_fault(roster->reader, 1, "header", "has a column without a name; take agent, team, site, eligible, from, until, tenant");
        return -1;
    }
    for (int c = 0; c < COLUMN_COUNT; c++) {
        int distance = word_distance(name, column_names[c]);
        nearest = distance < least ? c : nearest;
        least = distance < least ? distance : least;
        if (distance == 0)
            return c;
    }
    if (strpbrk(name, ";\t"))
        reader_fault(roster->reader, 1, "header", "its columns are not divided by commas: \"%.60s\"; save it with commas", name);
    else if (word_near(name, least))
        reader_fault(roster->reader, 1, "header", "there is no column \"%.60s\"; did you mean %s?", name, column_names[nearest]);
    else
        reader_fault(roster->reader, 1, "header", "there is no column \"%.60s\"; take agent, team, site, eligible, from, until, tenant", name);
    return -1;
}

/* The first line says which column is where. Returns how many there are; 0 after telling a fault. */
static int header_read(struct roster_reader *roster, const struct csv *csv, const char *at, const char *end, char *to, int *column)
{
    int before = roster->reader->fault_count;
    bool seen[COLUMN_COUNT] = {false};
    for (int i = 0; i < csv->cells && i < COLUMN_COUNT; i++) {
        const char *name = to;
        to = csv_cell(&at, end, false, to);
        column[i] = column_find(roster, name);
        if (column[i] >= 0 && seen[column[i]])
            reader_fault(roster->reader, 1, "header", "%s is there twice; take one out", name);
        else if (column[i] >= 0)
            seen[column[i]] = true;
    }
    if (csv->cells > COLUMN_COUNT)
        reader_fault(roster->reader, 1, "header", "has more than %d columns; take agent, team, site, eligible, from, until, tenant", COLUMN_COUNT);
    else if (!seen[AGENT] && roster->reader->fault_count == before)
        reader_fault(roster->reader, 1, "header", "has no column agent; begin with the line agent,team,site");
    return roster->reader->fault_count == before ? csv->cells : 0;
}

static void csv_read(struct roster_reader *roster, char *text, size_t length)
{
    struct csv csv = {0};
    const char *other, *next, *end = text + length;
    int column[COLUMN_COUNT], count = 0, mark = utf8_begin(text, length, &other);
    const char *at = text + (mark > 0 ? mark : 0);
    if (at == end)
        reader_fault(roster->reader, 1, "header", "is missing, the file is empty; begin with the line agent,team,site, or leave roster.file out");
    for (; at < end && !reader_full(roster->reader); at = next + 1) {
        const char *cell[COLUMN_COUNT] = {NULL};
        int line = (int)csv.line + 1;
        next = at;
        csv_record(&csv, &next, end, true);
        if (count > 0 && !csv.fault && (*at == '\n' || *at == '\r')) /* an empty line */
            continue;
        if (csv.fault)
            reader_fault(roster->reader, line, count ? "line" : "header", "is no CSV: %s of cell %d", csv.fault, csv.fault_cell);
        else if (count == 0)
            count = header_read(roster, &csv, at, next, text, column);
        else if (csv.cells != count)
            reader_fault(roster->reader, line, "line", csv.cells > count ? "has %d cells for %d columns; quote a value that holds a comma"
                         : "has %d of %d cells: it is cut short, or a comma is missing; write a comma also for what is empty", csv.cells, count);
        else {
            char *to = text; /* what is there has been read */
            for (int i = 0; i < count; i++) {
                cell[column[i]] = to;
                to = csv_cell(&at, next, false, to);
            }
            stay_add(roster, line, cell);
        }
        if (count == 0)
            return;
    }
}

/* ---- YAML ---- */

static void root_read(void *context, yaml_node_t *root)
{
    struct roster_reader *roster = context;
    struct reader *reader = roster->reader;
    static const char wanted[] = "a list of {agent: ann, team: north}";
    int count = root == NULL || node_is_null(root) ? 0 : reader_items(reader, root, node_line(root), "file", wanted, ROSTER_LINES_MAX);
    for (int i = 0; i < count && !reader_full(reader); i++) {
        yaml_node_t *item = reader_item(reader, root, i);
        struct member member[COLUMN_COUNT];
        const char *cell[COLUMN_COUNT] = {NULL};
        for (int c = 0; c < COLUMN_COUNT; c++)
            member[c] = (struct member){column_names[c], NULL};
        bool right = reader_wants_map(reader, item, node_line(item), "file", "{agent: ann, team: north}") &&
                     reader_members(reader, item, "", member, COLUMN_COUNT);
        for (int c = 0; c < COLUMN_COUNT && right; c++)
            if (member[c].value && !node_is_null(member[c].value))
                right = (cell[c] = reader_text(reader, member[c].value, node_line(member[c].value), column_names[c], "a text")) != NULL;
        if (right)
            stay_add(roster, node_line(item), cell);
    }
}

/* ---- the file ---- */

static bool ends_in(const char *path, const char *end)
{
    size_t length = strlen(path), tail = strlen(end);
    return length > tail && strcasecmp(path + length - tail, end) == 0;
}

/* The whole file, ended by a zero byte; NULL after telling the fault. */
static char *file_read(struct reader *reader, const char *path, size_t most, size_t *length)
{
    FILE *file = fopen(path, "re");
    char *text = file ? malloc(most + 2) : NULL;
    errno = file ? 0 : errno;
    *length = text ? fread(text, 1, most + 1, file) : 0;
    int code = !file || ferror(file) ? errno : 0;
    const char *other = NULL;
    if (text)
        utf8_begin(text, *length, &other);
    if (file)
        fclose(file);
    ensure(!file || text, "no memory for the roster");
    if (code)
        reader_fault(reader, 1, "file", "cannot be read: %s; mend roster.file, or leave it out", strerror(code));
    else if (*length > most)
        reader_fault(reader, 1, "file", "is longer than %zu MiB; take out what has ended, or write it as CSV", most >> 20);
    else if (other)
        reader_fault(reader, 1, "file", "%s", other);
    else if (memchr(text, 0, *length))
        reader_fault(reader, 1, "file", "holds a zero byte; save it as a text of UTF-8");
    else {
        text[*length] = '\0';
        return text;
    }
    free(text);
    return NULL;
}

void reader_roster(struct reader *reader, struct config *config)
{
    struct roster_reader roster = {.reader = reader, .config = config};
    bool yaml = ends_in(reader->file, ".yaml") || ends_in(reader->file, ".yml");
    size_t length;
    char *text = file_read(reader, reader->file, yaml ? ROSTER_YAML_BYTES_MAX : ROSTER_BYTES_MAX, &length);
    if (text && yaml)
        reader_yaml(reader, text, length, root_read, &roster);
    else if (text)
        csv_read(&roster, text, length);
    if (config->roster_count)
        qsort(config->roster, config->roster_count, sizeof *config->roster, stay_compare);
    check_overlaps(&roster);
    calendar_free(roster.calendar);
    free(text);
}
