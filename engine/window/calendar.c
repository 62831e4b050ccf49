/* A zone is a list of spans with one offset each. Transitions come from the TZif file (version 2, RFC 8536); after the last one
 * the file's footer, a POSIX TZ rule, is written out as further transitions up to 2201, so that there is one mechanism. */
#include "esteem/calendar.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "esteem/err.h"

enum { DAY_S = 86400, YEAR_LAST = 2201, ZONE_FILE_MAX = 1 << 20, CACHE = 512 };
#define ZONE_FOLDER "/usr/share/zoneinfo/"

struct span {
    int64_t from_s;
    int32_t offset_s;
};

struct bounds {
    int64_t start_ms, end_ms; /* start = end: empty */
};

struct calendar {
    struct span *span; /* span[0] reaches back for ever */
    int count, room;
    struct bounds cache[CALENDAR_COUNT][CACHE];
};

/* ---- civil days (see decode/time.c for the algorithm's source) ---- */

static int64_t civil_day(int64_t year, int month, int day)
{
    year -= month <= 2;
    int64_t era = (year >= 0 ? year : year - 399) / 400, yoe = year - era * 400;
    int64_t doy = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    return era * 146097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719468;
}

static void civil_date(int64_t day, int64_t *year, int *month)
{
    int64_t z = day + 719468, era = (z >= 0 ? z : z - 146096) / 146097, doe = z - era * 146097;
    int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365, doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    int64_t mp = (5 * doy + 2) / 153;
    *month = (int)(mp < 10 ? mp + 3 : mp - 9);
    *year = yoe + era * 400 + (*month <= 2);
}

static int64_t floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b < 0);
}

/* ---- the footer: a POSIX TZ rule such as CET-1CEST,M3.5.0,M10.5.0/3 ---- */

struct rule_day {
    char kind; /* 'M': month, week, weekday; 'J': 1..365 without 29 February; 'n': 0..365 */
    int month, week, day;
    int32_t time_s;
};

static const char *rule_name(const char *at)
{
    if (*at == '<') {
        at = strchr(at, '>');
        return at ? at + 1 : NULL;
    }
    const char *first = at;
    while (isalpha((unsigned char)*at))
        at++;
    return at > first ? at : NULL;
}

static const char *rule_number(const char *at, int *value)
{
    if (!isdigit((unsigned char)*at))
        return NULL;
    for (*value = 0; isdigit((unsigned char)*at) && *value < 100000; at++)
        *value = *value * 10 + (*at - '0');
    return at;
}

/* [+-]h[h][:mm[:ss]] */
static const char *rule_time(const char *at, int32_t *seconds)
{
    int sign = *at == '-' ? -1 : 1, part, total = 0;
    at += *at == '-' || *at == '+';
    for (int unit = 3600; unit; unit /= 60) {
        if ((at = rule_number(at, &part)) == NULL)
            return NULL;
        total += part * unit;
        if (*at != ':')
            break;
        at++;
    }
    *seconds = sign * total;
    return at;
}

static const char *rule_day(const char *at, struct rule_day *day)
{
    *day = (struct rule_day){.kind = *at == 'M' ? 'M' : *at == 'J' ? 'J' : 'n', .time_s = 7200};
    at += day->kind != 'n';
    if (day->kind == 'M') {
        if ((at = rule_number(at, &day->month)) == NULL || *at++ != '.' || (at = rule_number(at, &day->week)) == NULL ||
            *at++ != '.' || (at = rule_number(at, &day->day)) == NULL)
            return NULL;
    } else if ((at = rule_number(at, &day->day)) == NULL) {
        return NULL;
    }
    return *at == '/' ? rule_time(at + 1, &day->time_s) : at;
}

/* Local seconds (by the offset before the transition) of the rule's instant in a year. */
static int64_t rule_instant(const struct rule_day *rule, int64_t year)
{
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    int64_t day;
    if (rule->kind == 'M') {
        int64_t first = civil_day(year, rule->month, 1);
        int weekday = (int)(((first + 4) % 7 + 7) % 7); /* 0: Sunday */
        day = first + (rule->day - weekday + 7) % 7 + (rule->week - 1) * 7;
        int64_t next = rule->month == 12 ? civil_day(year + 1, 1, 1) : civil_day(year, rule->month + 1, 1);
        while (day >= next)
            day -= 7;
    } else {
        day = civil_day(year, 1, 1) + rule->day - (rule->kind == 'J');
        if (rule->kind == 'J' && leap && rule->day >= 60)
            day++;
    }
    return day * DAY_S + rule->time_s;
}

/* ---- spans ---- */

static void span_put(struct calendar *calendar, int64_t from_s, int32_t offset_s)
{
    if (calendar->count && calendar->span[calendar->count - 1].offset_s == offset_s)
        return;
    if (calendar->count && from_s <= calendar->span[calendar->count - 1].from_s)
        return;
    if (calendar->count == calendar->room) {
        calendar->room = calendar->room ? calendar->room * 2 : 256;
        calendar->span = realloc(calendar->span, (size_t)calendar->room * sizeof *calendar->span);
        ensure(calendar->span != NULL, "the machine has memory left");
    }
    calendar->span[calendar->count++] = (struct span){from_s, offset_s};
}

static bool footer(struct calendar *calendar, const char *rule)
{
    int32_t west_s, dst_west_s;
    struct rule_day start, end;
    if ((rule = rule_name(rule)) == NULL || (rule = rule_time(rule, &west_s)) == NULL)
        return false;
    int64_t last_s = calendar->span[calendar->count - 1].from_s;
    if (*rule == 0) {
        span_put(calendar, last_s + 1, -west_s);
        return true;
    }
    if ((rule = rule_name(rule)) == NULL)
        return false;
    dst_west_s = west_s - 3600;
    if (*rule != ',' && (rule = rule_time(rule, &dst_west_s)) == NULL)
        return false;
    if (*rule != ',' || (rule = rule_day(rule + 1, &start)) == NULL || *rule != ',' || rule_day(rule + 1, &end) == NULL)
        return false;
    for (int64_t year = 1970; year <= YEAR_LAST; year++) {
        struct span to_dst = {rule_instant(&start, year) + west_s, -dst_west_s};
        struct span to_std = {rule_instant(&end, year) + dst_west_s, -west_s};
        bool north = to_dst.from_s < to_std.from_s;
        struct span first = north ? to_dst : to_std, second = north ? to_std : to_dst;
        if (first.from_s > last_s)
            span_put(calendar, first.from_s, first.offset_s);
        if (second.from_s > last_s)
            span_put(calendar, second.from_s, second.offset_s);
    }
    return true;
}

static int64_t big_endian(const unsigned char *at, int bytes)
{
    uint64_t value = at[0] & 0x80 ? UINT64_MAX : 0;
    for (int i = 0; i < bytes; i++)
        value = value << 8 | at[i];
    return (int64_t)value;
}

struct header {
    int64_t isut, isstd, leaps, times, types, chars;
};

static bool read_header(const unsigned char *at, const unsigned char *end, struct header *header)
{
    if (end - at < 44 || memcmp(at, "TZif", 4) != 0)
        return false;
    int64_t *field[] = {&header->isut, &header->isstd, &header->leaps, &header->times, &header->types, &header->chars};
    for (int i = 0; i < 6; i++) {
        *field[i] = big_endian(at + 20 + 4 * i, 4);
        if (*field[i] < 0 || *field[i] > ZONE_FILE_MAX)
            return false;
    }
    return true;
}

static int64_t body_size(const struct header *h, int time_bytes)
{
    return h->times * (time_bytes + 1) + h->types * 6 + h->chars + h->leaps * (time_bytes + 4) + h->isstd + h->isut;
}

static bool parse(struct calendar *calendar, const unsigned char *at, const unsigned char *end)
{
    struct header h;
    int time_bytes = 8;
    if (!read_header(at, end, &h))
        return false;
    if (at[4] == 0) {
        time_bytes = 4;
    } else {
        at += 44 + body_size(&h, 4);
        if (at > end || !read_header(at, end, &h))
            return false;
    }
    at += 44;
    if (end - at < body_size(&h, time_bytes) || h.types == 0)
        return false;
    const unsigned char *times = at, *which = times + h.times * time_bytes, *types = which + h.times;
    span_put(calendar, INT64_MIN, (int32_t)big_endian(types, 4));
    for (int64_t i = 0; i < h.times; i++)
        if (which[i] < h.types)
            span_put(calendar, big_endian(times + i * time_bytes, time_bytes), (int32_t)big_endian(types + 6 * which[i], 4));
    const unsigned char *foot = at + body_size(&h, time_bytes);
    if (time_bytes == 4 || foot >= end || *foot != '\n')
        return true;
    char rule[128] = {0};
    for (size_t i = 0; ++foot < end && *foot != '\n' && i < sizeof rule - 1;)
        rule[i++] = (char)*foot;
    return rule[0] == 0 || footer(calendar, rule);
}

int calendar_new(const char *zone, struct calendar **out)
{
    char path[512];
    if (zone[0] == '/' || strstr(zone, "..") || strlen(zone) > 255)
        return err_set(ERR_CONFIG, "time zone %s: not an IANA name such as Europe/Berlin", zone);
    snprintf(path, sizeof path, ZONE_FOLDER "%s", zone);
    FILE *file = fopen(path, "rb");
    unsigned char *bytes = malloc(ZONE_FILE_MAX);
    struct calendar *calendar = calloc(1, sizeof *calendar);
    ensure(bytes && calendar, "the machine has memory left");
    size_t length = file ? fread(bytes, 1, ZONE_FILE_MAX, file) : 0;
    if (file)
        fclose(file);
    bool good = parse(calendar, bytes, bytes + length);
    free(bytes);
    if (!good) {
        calendar_free(calendar);
        return err_set(ERR_CONFIG, "time zone %s: no usable file %s; install tzdata or mend the name", zone, path);
    }
    *out = calendar;
    return 0;
}

void calendar_free(struct calendar *calendar)
{
    if (calendar == NULL)
        return;
    free(calendar->span);
    free(calendar);
}

/* ---- bounds ---- */

static int span_at(const struct calendar *calendar, int64_t at_s)
{
    int low = 0, high = calendar->count - 1;
    while (low < high) {
        int middle = (low + high + 1) / 2;
        if (calendar->span[middle].from_s <= at_s)
            low = middle;
        else
            high = middle - 1;
    }
    return low;
}

int32_t calendar_offset_s(const struct calendar *calendar, int64_t at_s)
{
    return calendar->span[span_at(calendar, at_s)].offset_s;
}

/* A part of an hour: a grid in local time, cut where a transition moves the grid. */
static void grid_bounds(const struct calendar *calendar, int64_t width_s, int64_t at_s, int64_t *start_s, int64_t *end_s)
{
    int i = span_at(calendar, at_s);
    int64_t offset_s = calendar->span[i].offset_s;
    *start_s = floor_div(at_s + offset_s, width_s) * width_s - offset_s;
    *end_s = *start_s + width_s;
    for (int j = i; j > 0 && calendar->span[j].from_s > *start_s; j--)
        if ((calendar->span[j].offset_s - calendar->span[j - 1].offset_s) % width_s) {
            *start_s = calendar->span[j].from_s;
            break;
        }
    for (int j = i + 1; j < calendar->count && calendar->span[j].from_s < *end_s; j++)
        if ((calendar->span[j].offset_s - calendar->span[j - 1].offset_s) % width_s) {
            *end_s = calendar->span[j].from_s;
            break;
        }
}

/* The first instant of a local date; of a date that the zone skipped, the first of the next. */
static int64_t day_start_s(const struct calendar *calendar, int64_t day)
{
    for (;; day++) {
        int64_t local_s = day * DAY_S;
        for (int i = span_at(calendar, local_s - 2 * DAY_S); i < calendar->count; i++) {
            const struct span *span = &calendar->span[i];
            int64_t from_s = span->from_s > local_s - span->offset_s ? span->from_s : local_s - span->offset_s;
            int64_t to_s = local_s + DAY_S - span->offset_s;
            if (i + 1 < calendar->count && calendar->span[i + 1].from_s < to_s)
                to_s = calendar->span[i + 1].from_s;
            if (from_s < to_s)
                return from_s;
            if (span->from_s > local_s + 3 * DAY_S)
                break;
        }
    }
}

/* The date whose day holds the instant: not always the local date, where a clock goes back over midnight. */
static int64_t day_of(const struct calendar *calendar, int64_t at_s)
{
    int64_t day = floor_div(at_s + calendar_offset_s(calendar, at_s), DAY_S);
    while (at_s < day_start_s(calendar, day))
        day--;
    while (at_s >= day_start_s(calendar, day + 1))
        day++;
    return day;
}

static void compute(const struct calendar *calendar, enum calendar_window window, int64_t at_s, int64_t *start_s, int64_t *end_s)
{
    static const int64_t width_s[] = {[CALENDAR_QUARTER_HOUR] = 900, [CALENDAR_HALF_HOUR] = 1800, [CALENDAR_HOUR] = 3600};
    if (window <= CALENDAR_HOUR) {
        grid_bounds(calendar, width_s[window], at_s, start_s, end_s);
        return;
    }
    int64_t first = day_of(calendar, at_s), next = first + 1;
    if (window == CALENDAR_WEEK) {
        first -= ((first + 3) % 7 + 7) % 7; /* 1970-01-01 was a Thursday; Monday is 0 */
        next = first + 7;
    } else if (window == CALENDAR_MONTH) {
        int64_t year;
        int month;
        civil_date(first, &year, &month);
        first = civil_day(year, month, 1);
        next = month == 12 ? civil_day(year + 1, 1, 1) : civil_day(year, month + 1, 1);
    }
    *start_s = day_start_s(calendar, first);
    *end_s = day_start_s(calendar, next);
}

void calendar_bounds(struct calendar *calendar, enum calendar_window window, int64_t at_ms, int64_t *start_ms, int64_t *end_ms)
{
    struct bounds *known = &calendar->cache[window][(uint64_t)floor_div(at_ms, 900000) % CACHE];
    if (at_ms < known->start_ms || at_ms >= known->end_ms) {
        int64_t start_s, end_s;
        compute(calendar, window, floor_div(at_ms, 1000), &start_s, &end_s);
        *known = (struct bounds){start_s * 1000, end_s * 1000};
    }
    *start_ms = known->start_ms;
    *end_ms = known->end_ms;
}

/* An hour that the clock showed twice then is the first of the two. */
static bool hour_of_local(const struct calendar *calendar, int64_t local_s, int64_t *start_s)
{
    for (int i = span_at(calendar, local_s - 2 * DAY_S); i < calendar->count; i++) {
        const struct span *span = &calendar->span[i];
        int64_t at_s = local_s - span->offset_s, end_s;
        if (span->from_s > local_s + 2 * DAY_S)
            break;
        if (at_s < span->from_s || (i + 1 < calendar->count && at_s >= calendar->span[i + 1].from_s))
            continue;
        grid_bounds(calendar, 3600, at_s, start_s, &end_s);
        return true;
    }
    return false;
}

bool calendar_week_earlier(const struct calendar *calendar, enum calendar_window window, int64_t start_ms, int64_t *earlier_ms)
{
    int64_t at_s = floor_div(start_ms, 1000), start_s;
    if (window == CALENDAR_HOUR) {
        if (!hour_of_local(calendar, at_s + calendar_offset_s(calendar, at_s) - 7 * DAY_S, &start_s))
            return false;
    } else {
        ensure(window == CALENDAR_DAY || window == CALENDAR_WEEK, "weeks are compared by the hour, the day and the week");
        start_s = day_start_s(calendar, day_of(calendar, at_s) - 7);
    }
    *earlier_ms = start_s * 1000;
    return true;
}

int64_t calendar_date_ms(const struct calendar *calendar, int64_t day)
{
    return day_start_s(calendar, day) * 1000;
}
