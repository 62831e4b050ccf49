/* Event time: RFC 3339 with zone, or integer epoch milliseconds, and back to text. Pure functions.
 * Days of the civil calendar after H. Hinnant's days_from_civil (public domain algorithm): era of 400 years = 146,097 days. */
#include "esteem/event.h"


enum { DAY_S = 86400 };
static const int64_t time_integer_least = INT64_C(100000000000); /* below 10^11 it is seconds by mistake */

static int64_t days_from_civil(int64_t year, int month, int day)
{
    year -= month <= 2;
    int64_t era = (year >= 0 ? year : year - 399) / 400;
    int64_t of_era = year - era * 400;
    int64_t of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

static bool digits(const char *at, int count, int *out)
{
    int value = 0;
    for (int i = 0; i < count; i++) {
        if (at[i] < '0' || at[i] > '9')
            return false;
        value = value * 10 + (at[i] - '0');
    }
    *out = value;
    return true;
}

static bool day_exists(int year, int month, int day)
{
    static const int length[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    if (month < 1 || month > 12 || day < 1)
        return false;
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return day <= length[month - 1] + (month == 2 && leap);
}

/* "Z" or "+05:30" at the end; seconds east of Greenwich. */
static bool zone(const char *at, const char *end, int *east_s)
{
    if (end - at == 1 && (*at == 'Z' || *at == 'z')) {
        *east_s = 0;
        return true;
    }
    int hours, minutes;
    if (end - at != 6 || (*at != '+' && *at != '-') || at[3] != ':' || !digits(at + 1, 2, &hours) ||
        !digits(at + 4, 2, &minutes) || hours > 23 || minutes > 59)
        return false;
    *east_s = (hours * 60 + minutes) * 60 * (*at == '-' ? -1 : 1);
    return true;
}

bool event_time_rfc3339(const char *at, size_t length, int64_t *time_ms)
{
    int year, month, day, hour, minute, second, east_s, ms = 0;
    const char *end = at + length;
    if (length < 20 || !digits(at, 4, &year) || at[4] != '-' || !digits(at + 5, 2, &month) || at[7] != '-' ||
        !digits(at + 8, 2, &day) || (at[10] != 'T' && at[10] != 't') || !digits(at + 11, 2, &hour) || at[13] != ':' ||
        !digits(at + 14, 2, &minute) || at[16] != ':' || !digits(at + 17, 2, &second))
        return false;
    if (!day_exists(year, month, day) || hour > 23 || minute > 59 || second > 59)
        return false;
    at += 19;
    if (*at == '.') {
        const char *first = ++at;
        for (int unit = 100; at < end && *at >= '0' && *at <= '9'; at++, unit /= 10)
            ms += (*at - '0') * unit; /* beyond the third digit the unit is 0: cut, not rounded */
        if (at == first)
            return false;
    }
    if (!zone(at, end, &east_s))
        return false;
    int64_t seconds = days_from_civil(year, month, day) * DAY_S + hour * 3600 + minute * 60 + second - east_s;
    int64_t value = seconds * 1000 + ms;
    if (value < 0 || value >= TIME_END_MS)
        return false;
    *time_ms = value;
    return true;
}

bool event_time_integer(int64_t value, int64_t *time_ms)
{
    if (value < time_integer_least || value >= TIME_END_MS)
        return false;
    *time_ms = value;
    return true;
}

bool event_time_parse(const char *text, size_t length, int64_t *time_ms)
{
    int64_t value = 0;
    size_t i = 0;
    for (; i < length && i < 15 && text[i] >= '0' && text[i] <= '9'; i++)
        value = value * 10 + (text[i] - '0');
    if (i > 0 && i == length)
        return event_time_integer(value, time_ms);
    return event_time_rfc3339(text, length, time_ms);
}

/* `count` digits, and what follows them. */
static char *put_digits(char *out, unsigned value, int count, char then)
{
    for (int i = count - 1; i >= 0; i--, value /= 10)
        out[i] = (char)('0' + value % 10);
    out[count] = then;
    return out + count + 1;
}

size_t event_time_format(int64_t time_ms, char *out)
{
    int64_t seconds = time_ms / 1000, ms = time_ms % 1000;
    if (ms < 0) {
        ms += 1000;
        seconds--;
    }
    int64_t days = seconds / DAY_S, left = seconds % DAY_S;
    if (left < 0) {
        left += DAY_S;
        days--;
    }
    int64_t z = days + 719468, era = (z >= 0 ? z : z - 146096) / 146097, doe = z - era * 146097;
    int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365, doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    int64_t mp = (5 * doy + 2) / 153, day = doy - (153 * mp + 2) / 5 + 1, month = mp < 10 ? mp + 3 : mp - 9;
    int64_t year = yoe + era * 400 + (month <= 2);
    char *at = put_digits(out, (unsigned)(year % 10000), 4, '-');
    at = put_digits(at, (unsigned)month, 2, '-');
    at = put_digits(at, (unsigned)day, 2, 'T');
    at = put_digits(at, (unsigned)(left / 3600), 2, ':');
    at = put_digits(at, (unsigned)(left / 60 % 60), 2, ':');
    at = put_digits(at, (unsigned)(left % 60), 2, ms ? '.' : 'Z');
    if (ms)
        at = put_digits(at, (unsigned)ms, 3, 'Z');
    *at = '\0';
    return (size_t)(at - out);
}
