/* Event time as text and as integers (SEMANTICS 1). */
#include <criterion/criterion.h>
#include <string.h>

#include "esteem/event.h"

static int64_t parse(const char *text)
{
    int64_t time_ms = -7;
    return event_time_rfc3339(text, strlen(text), &time_ms) ? time_ms : -1;
}

static void expect_same(int64_t time_ms, const char *text)
{
    char out[TIME_TEXT_MAX];
    cr_expect_eq(parse(text), time_ms, "%s", text);
    cr_expect_eq(event_time_format(time_ms, out), strlen(text));
    cr_expect_str_eq(out, text);
}

Test(time, goes_from_1970_to_2199_and_back_to_text)
{
    expect_same(0, "1970-01-01T00:00:00Z");
    expect_same(1, "1970-01-01T00:00:00.001Z");
    expect_same(INT64_C(951782400000), "2000-02-29T00:00:00Z");
    expect_same(INT64_C(1795356000000), "2026-11-22T14:00:00Z");
    expect_same(INT64_C(4107542399999), "2100-02-28T23:59:59.999Z");
    expect_same(TIME_END_MS - 1, "2199-12-31T23:59:59.999Z");
}

Test(time, refuses_what_is_outside)
{
    cr_expect_eq(parse("1969-12-31T23:59:59.999Z"), -1);
    cr_expect_eq(parse("2200-01-01T00:00:00Z"), -1);
    cr_expect_eq(parse("9999-12-31T23:59:59Z"), -1);
    cr_expect_eq(parse("1970-01-01T00:00:00+00:01"), -1);
    cr_expect_eq(parse("1969-12-31T23:59:00-00:01"), 0);
    cr_expect_eq(parse("2200-01-01T00:00:00+00:01"), TIME_END_MS - 60000);
}

Test(time, knows_leap_days)
{
    cr_expect_neq(parse("2024-02-29T00:00:00Z"), -1);
    cr_expect_neq(parse("2000-02-29T00:00:00Z"), -1);
    cr_expect_eq(parse("2100-02-29T00:00:00Z"), -1);
    cr_expect_eq(parse("2026-02-29T00:00:00Z"), -1);
    cr_expect_eq(parse("2026-04-31T00:00:00Z"), -1);
    cr_expect_eq(parse("2026-13-01T00:00:00Z"), -1);
    cr_expect_eq(parse("2026-00-01T00:00:00Z"), -1);
    cr_expect_eq(parse("2026-01-00T00:00:00Z"), -1);
}

Test(time, reads_offsets)
{
    int64_t utc = parse("2026-11-22T14:00:00Z");
    cr_expect_eq(parse("2026-11-22T19:30:00+05:30"), utc);
    cr_expect_eq(parse("2026-11-22T09:00:00-05:00"), utc);
    cr_expect_eq(parse("2026-11-22t14:00:00z"), utc);
    cr_expect_eq(parse("2026-11-22T14:00:00-00:00"), utc);
    cr_expect_eq(parse("2026-11-23T13:59:00+23:59"), utc);
    cr_expect_eq(parse("2026-11-22T14:00:00+24:00"), -1);
    cr_expect_eq(parse("2026-11-22T14:00:00+0100"), -1);
    cr_expect_eq(parse("2026-11-22T14:00:00"), -1);
}

Test(time, refuses_second_60_and_hour_24)
{
    cr_expect_neq(parse("2026-12-31T23:59:59Z"), -1);
    cr_expect_eq(parse("2016-12-31T23:59:60Z"), -1);
    cr_expect_eq(parse("2026-12-31T24:00:00Z"), -1);
    cr_expect_eq(parse("2026-12-31T23:60:00Z"), -1);
}

Test(time, cuts_fractions_to_milliseconds)
{
    int64_t whole = parse("2026-11-22T14:00:00Z");
    cr_expect_eq(parse("2026-11-22T14:00:00.9999Z"), whole + 999);
    cr_expect_eq(parse("2026-11-22T14:00:00.5Z"), whole + 500);
    cr_expect_eq(parse("2026-11-22T14:00:00.0019999999999999999999Z"), whole + 1);
    cr_expect_eq(parse("2026-11-22T14:00:00.Z"), -1);
    cr_expect_eq(parse("2026-11-22T14:00:00,5Z"), -1);
}

Test(time, takes_integers_of_milliseconds_and_refuses_seconds)
{
    int64_t time_ms;
    cr_expect(event_time_integer(INT64_C(100000000000), &time_ms) && time_ms == INT64_C(100000000000));
    cr_expect_not(event_time_integer(INT64_C(99999999999), &time_ms));
    cr_expect_not(event_time_integer(-1, &time_ms));
    cr_expect(event_time_integer(TIME_END_MS - 1, &time_ms));
    cr_expect_not(event_time_integer(TIME_END_MS, &time_ms));
}

Test(time, of_the_command_line_is_either)
{
    int64_t time_ms;
    cr_expect(event_time_parse("1795356000123", 13, &time_ms) && time_ms == INT64_C(1795356000123));
    cr_expect(event_time_parse("2026-11-22T14:00:00Z", 20, &time_ms) && time_ms == INT64_C(1795356000000));
    cr_expect_not(event_time_parse("", 0, &time_ms));
    cr_expect_not(event_time_parse("1795356000", 10, &time_ms));
    cr_expect_not(event_time_parse("99999999999999999999", 20, &time_ms));
}
