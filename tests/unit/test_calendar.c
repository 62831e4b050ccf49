/* Calendar windows in IANA zones. Instants are written as text and worked out by hand from the zones' rules. */
#include <criterion/criterion.h>
#include <string.h>

#include "esteem/calendar.h"
#include "esteem/err.h"

static struct calendar *calendar;

static void close_calendar(void)
{
    calendar_free(calendar);
}

TestSuite(calendar, .fini = close_calendar);

static void in_zone(const char *zone)
{
    calendar_free(calendar);
    calendar = NULL;
    cr_assert_eq(calendar_new(zone, &calendar), 0, "%s", err_text());
}

static int64_t ms(const char *text)
{
    int64_t time_ms = 0;
    cr_assert(event_time_rfc3339(text, strlen(text), &time_ms), "%s", text);
    return time_ms;
}

/* The window that holds `at` is [start, end); asked at its first and last instants as well. */
static void expect(enum calendar_window window, const char *at, const char *start, const char *end)
{
    char from[TIME_TEXT_MAX], to[TIME_TEXT_MAX];
    int64_t each[] = {ms(at), ms(start), ms(end) - 1, ms(at)};
    for (int i = 0; i < 4; i++) {
        int64_t start_ms, end_ms;
        calendar_bounds(calendar, window, each[i], &start_ms, &end_ms);
        event_time_format(start_ms, from);
        event_time_format(end_ms, to);
        cr_expect(start_ms == ms(start) && end_ms == ms(end), "%s of %s: %s to %s, not %s to %s", calendar_names[window], at, from, to, start, end);
    }
}

Test(calendar, in_UTC_is_plain)
{
    in_zone("UTC");
    expect(CALENDAR_QUARTER_HOUR, "2026-11-22T14:44:59.999Z", "2026-11-22T14:30:00Z", "2026-11-22T14:45:00Z");
    expect(CALENDAR_HALF_HOUR, "2026-11-22T14:44:59Z", "2026-11-22T14:30:00Z", "2026-11-22T15:00:00Z");
    expect(CALENDAR_HOUR, "2026-11-22T14:00:00Z", "2026-11-22T14:00:00Z", "2026-11-22T15:00:00Z");
    expect(CALENDAR_DAY, "2026-11-22T23:59:59.999Z", "2026-11-22T00:00:00Z", "2026-11-23T00:00:00Z");
    expect(CALENDAR_MONTH, "2026-12-31T12:00:00Z", "2026-12-01T00:00:00Z", "2027-01-01T00:00:00Z");
}

Test(calendar, weeks_are_ISO_weeks_across_the_year)
{
    in_zone("UTC");
    expect(CALENDAR_WEEK, "2026-11-22T12:00:00Z", "2026-11-16T00:00:00Z", "2026-11-23T00:00:00Z"); /* a Sunday */
    expect(CALENDAR_WEEK, "2026-11-23T00:00:00Z", "2026-11-23T00:00:00Z", "2026-11-30T00:00:00Z");
    expect(CALENDAR_WEEK, "2027-01-01T00:00:00Z", "2026-12-28T00:00:00Z", "2027-01-04T00:00:00Z"); /* 2026-W53 */
}

Test(calendar, knows_February_of_leap_years_and_of_2100)
{
    in_zone("UTC");
    expect(CALENDAR_MONTH, "2024-02-29T12:00:00Z", "2024-02-01T00:00:00Z", "2024-03-01T00:00:00Z");
    expect(CALENDAR_DAY, "2100-02-28T12:00:00Z", "2100-02-28T00:00:00Z", "2100-03-01T00:00:00Z");
}

Test(calendar, Berlin_has_days_of_23_and_25_hours)
{
    in_zone("Europe/Berlin");
    expect(CALENDAR_DAY, "2026-03-29T01:00:00Z", "2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z"); /* 23 h */
    expect(CALENDAR_DAY, "2026-10-25T01:00:00Z", "2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z"); /* 25 h */
    expect(CALENDAR_HOUR, "2026-10-25T00:30:00Z", "2026-10-25T00:00:00Z", "2026-10-25T01:00:00Z"); /* 2 o'clock, the first */
    expect(CALENDAR_HOUR, "2026-10-25T01:30:00Z", "2026-10-25T01:00:00Z", "2026-10-25T02:00:00Z"); /* and the second */
    expect(CALENDAR_WEEK, "2026-10-25T12:00:00Z", "2026-10-18T22:00:00Z", "2026-10-25T23:00:00Z");
    expect(CALENDAR_MONTH, "2026-10-05T00:00:00Z", "2026-09-30T22:00:00Z", "2026-10-31T23:00:00Z");
}

Test(calendar, New_York_changes_on_other_days)
{
    in_zone("America/New_York");
    expect(CALENDAR_DAY, "2026-03-08T12:00:00Z", "2026-03-08T05:00:00Z", "2026-03-09T04:00:00Z");
    expect(CALENDAR_DAY, "2026-11-01T12:00:00Z", "2026-11-01T04:00:00Z", "2026-11-02T05:00:00Z");
}

Test(calendar, Kolkata_is_half_an_hour_off)
{
    in_zone("Asia/Kolkata");
    expect(CALENDAR_HOUR, "2026-11-22T14:00:00Z", "2026-11-22T13:30:00Z", "2026-11-22T14:30:00Z");
    expect(CALENDAR_DAY, "2026-11-22T18:29:59Z", "2026-11-21T18:30:00Z", "2026-11-22T18:30:00Z");
    expect(CALENDAR_MONTH, "2026-11-30T18:30:00Z", "2026-11-30T18:30:00Z", "2026-12-31T18:30:00Z");
}

/* Lord Howe moves by half an hour: +10:30 to +11 at 2 o'clock on 2026-10-04, back at 2 on 2026-04-05. */
Test(calendar, Lord_Howe_cuts_an_hour_at_its_half_hour_transition)
{
    in_zone("Australia/Lord_Howe");
    expect(CALENDAR_HOUR, "2026-10-03T15:00:00Z", "2026-10-03T14:30:00Z", "2026-10-03T15:30:00Z"); /* 01:00-02:00 */
    expect(CALENDAR_HOUR, "2026-10-03T15:45:00Z", "2026-10-03T15:30:00Z", "2026-10-03T16:00:00Z"); /* 02:30-03:00 */
    expect(CALENDAR_HOUR, "2026-04-04T14:30:00Z", "2026-04-04T14:00:00Z", "2026-04-04T15:00:00Z"); /* 01:00-02:00 */
    expect(CALENDAR_HOUR, "2026-04-04T15:10:00Z", "2026-04-04T15:00:00Z", "2026-04-04T15:30:00Z"); /* 01:30-02:00 again */
    expect(CALENDAR_HOUR, "2026-04-04T15:30:00Z", "2026-04-04T15:30:00Z", "2026-04-04T16:30:00Z");
    expect(CALENDAR_HALF_HOUR, "2026-04-04T15:10:00Z", "2026-04-04T15:00:00Z", "2026-04-04T15:30:00Z");
    expect(CALENDAR_DAY, "2026-10-03T20:00:00Z", "2026-10-03T13:30:00Z", "2026-10-04T13:00:00Z"); /* 23.5 h */
}

/* Samoa went over the date line: after 2011-12-29 (UTC-10) came 2011-12-31 (UTC+14). */
Test(calendar, Samoa_has_no_30_December_2011)
{
    in_zone("Pacific/Apia");
    expect(CALENDAR_DAY, "2011-12-30T09:00:00Z", "2011-12-29T10:00:00Z", "2011-12-30T10:00:00Z");
    expect(CALENDAR_DAY, "2011-12-30T10:00:00Z", "2011-12-30T10:00:00Z", "2011-12-31T10:00:00Z");
    expect(CALENDAR_WEEK, "2011-12-30T09:00:00Z", "2011-12-26T10:00:00Z", "2012-01-01T10:00:00Z");
    expect(CALENDAR_MONTH, "2011-12-30T12:00:00Z", "2011-12-01T10:00:00Z", "2011-12-31T10:00:00Z");
}

/* Cuba's clocks go from 1 to 0 o'clock: the day begins at the first of its two midnights; and in spring at 1 o'clock. */
Test(calendar, Havana_changes_at_midnight)
{
    in_zone("America/Havana");
    expect(CALENDAR_DAY, "2026-11-01T04:30:00Z", "2026-11-01T04:00:00Z", "2026-11-02T05:00:00Z");
    expect(CALENDAR_DAY, "2026-03-08T12:00:00Z", "2026-03-08T05:00:00Z", "2026-03-09T04:00:00Z");
}

static void expect_week_earlier(enum calendar_window window, const char *start, const char *earlier)
{
    char text[TIME_TEXT_MAX] = "none";
    int64_t earlier_ms;
    if (calendar_week_earlier(calendar, window, ms(start), &earlier_ms))
        event_time_format(earlier_ms, text);
    cr_expect_str_eq(text, earlier, "%s %s: %s", calendar_names[window], start, text);
}

Test(calendar, a_week_earlier_is_the_same_local_time)
{
    in_zone("Europe/Berlin"); /* winter time from 2026-10-25 on */
    expect_week_earlier(CALENDAR_HOUR, "2026-10-21T10:00:00Z", "2026-10-14T10:00:00Z");
    expect_week_earlier(CALENDAR_HOUR, "2026-10-27T11:00:00Z", "2026-10-20T10:00:00Z");
    expect_week_earlier(CALENDAR_DAY, "2026-10-26T23:00:00Z", "2026-10-19T22:00:00Z");
    expect_week_earlier(CALENDAR_WEEK, "2026-10-25T23:00:00Z", "2026-10-18T22:00:00Z");
    expect_week_earlier(CALENDAR_HOUR, "2026-10-25T00:00:00Z", "2026-10-18T00:00:00Z"); /* both 2 o'clocks, one before */
    expect_week_earlier(CALENDAR_HOUR, "2026-10-25T01:00:00Z", "2026-10-18T00:00:00Z");
    expect_week_earlier(CALENDAR_HOUR, "2026-11-01T01:00:00Z", "2026-10-25T00:00:00Z"); /* of two, the first */
    expect_week_earlier(CALENDAR_HOUR, "2026-04-05T00:00:00Z", "none");                 /* 2 o'clock on 2026-03-29 there was not */
    in_zone("Pacific/Apia"); /* no 2011-12-30 */
    expect_week_earlier(CALENDAR_HOUR, "2012-01-05T10:00:00Z", "none");
    expect_week_earlier(CALENDAR_DAY, "2012-01-05T10:00:00Z", "2011-12-30T10:00:00Z"); /* the first instant of the next date */
}

Test(calendar, years_beyond_the_table_follow_the_footers_rule)
{
    in_zone("Europe/Berlin");
    cr_expect_eq(calendar_offset_s(calendar, ms("2100-07-01T00:00:00Z") / 1000), 7200);
    cr_expect_eq(calendar_offset_s(calendar, ms("2100-12-01T00:00:00Z") / 1000), 3600);
    expect(CALENDAR_DAY, "2100-03-28T12:00:00Z", "2100-03-27T23:00:00Z", "2100-03-28T22:00:00Z");
    expect(CALENDAR_DAY, "2199-10-27T12:00:00Z", "2199-10-26T22:00:00Z", "2199-10-27T23:00:00Z");
    in_zone("Australia/Sydney"); /* summer across the year's end */
    cr_expect_eq(calendar_offset_s(calendar, ms("2150-01-01T00:00:00Z") / 1000), 39600);
    cr_expect_eq(calendar_offset_s(calendar, ms("2150-07-01T00:00:00Z") / 1000), 36000);
}

Test(calendar, begins_in_1970)
{
    in_zone("UTC");
    expect(CALENDAR_DAY, "1970-01-01T00:00:00Z", "1970-01-01T00:00:00Z", "1970-01-02T00:00:00Z");
    in_zone("America/New_York"); /* 1970 begins within the last hours of local 1969 */
    int64_t start_ms, end_ms;
    calendar_bounds(calendar, CALENDAR_MONTH, 0, &start_ms, &end_ms);
    cr_expect_eq(start_ms, INT64_C(-31) * 86400000 + 5 * 3600000);
    cr_expect_eq(end_ms, INT64_C(5) * 3600000);
    calendar_bounds(calendar, CALENDAR_WEEK, 0, &start_ms, &end_ms);
    cr_expect_eq(start_ms, INT64_C(-3) * 86400000 + 5 * 3600000); /* Monday 1969-12-29 */
}

Test(calendar, windows_tile_time_in_every_zone)
{
    static const char *const zones[] = {"Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Pacific/Apia", "America/Havana", "Africa/Casablanca",
                                        "Asia/Kathmandu", "America/St_Johns", "Europe/Dublin", "Antarctica/Troll", "Asia/Tehran"};
    for (size_t z = 0; z < sizeof zones / sizeof *zones; z++)
        for (int window = 0; window < CALENDAR_COUNT; window++) {
            in_zone(zones[z]);
            int64_t start_ms, end_ms, last_ms = 0, until_ms = ms("2012-02-01T00:00:00Z"), step = 0;
            calendar_bounds(calendar, (enum calendar_window)window, ms("2010-01-01T00:00:00Z"), &start_ms, &last_ms);
            for (; last_ms < until_ms && step < 80000; step++, last_ms = end_ms) {
                calendar_bounds(calendar, (enum calendar_window)window, last_ms, &start_ms, &end_ms);
                cr_assert_eq(start_ms, last_ms, "%s %s at %lld", zones[z], calendar_names[window], (long long)last_ms);
                cr_assert_gt(end_ms, start_ms);
            }
        }
}

Test(calendar, refuses_what_is_no_zone)
{
    static const char *const bad[] = {"Europe/Atlantis", "", "/etc/passwd", "../../../etc/passwd", "Europe"};
    for (int i = 0; i < 5; i++)
        cr_expect_eq(calendar_new(bad[i], &calendar), ERR_CONFIG, "%s", bad[i]);
}
