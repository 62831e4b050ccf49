/* Decoding and validation of events (SEMANTICS 1). Messages lie in blocks of exactly their size, so that ASan sees any byte read
 * behind them. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "esteem/event.h"

enum { MESSAGE_MAX = 4096 };
static struct decoder *decoder;
static struct event ev;
static char *message;

static void open_decoder(void)
{
    static const char *const own[] = {"vip", "region"};
    decoder = decoder_new(MESSAGE_MAX, own, 2);
}

static void close_decoder(void)
{
    decoder_free(decoder);
    free(message);
}

TestSuite(event, .init = open_decoder, .fini = close_decoder);

static enum refusal decode_bytes(const char *json, size_t length, const struct event_headers *headers)
{
    free(message);
    message = malloc(length ? length : 1);
    memcpy(message, json, length);
    return event_decode(decoder, message, length, headers, &ev);
}

static enum refusal decode(const char *json)
{
    return decode_bytes(json, strlen(json), NULL);
}

/* A whole event with further members in front of its end. */
static enum refusal decode_with(const char *type, const char *members)
{
    char json[MESSAGE_MAX * 2];
    (void)snprintf(json, sizeof json, "{\"id\":\"e\",\"interaction\":\"i\",\"time\":\"2026-11-22T14:00:00Z\",\"type\":\"%s\"%s%s}", type,
             *members ? "," : "", members);
    return decode(json);
}

/* The same with one string of `length` letters as the value of `name`. */
static enum refusal decode_long(const char *name, int length)
{
    char members[1024], letters[600];
    memset(letters, 'x', sizeof letters);
    (void)snprintf(members, sizeof members, "\"%s\":\"%.*s\"", name, length, letters);
    return decode_with("survey.answered", members);
}

static void expect_text(struct text text, const char *expected, size_t length)
{
    cr_expect_eq(text.length, length);
    cr_expect(text.length == length && memcmp(text.at, expected, length) == 0, "not %s", expected);
}

#define BASE "\"id\":\"a\",\"type\":\"program.used\",\"time\":\"2026-01-01T00:00:00Z\""

Test(event, takes_a_whole_event_apart)
{
    cr_assert_eq(decode_with("interaction.ended", "\"queue\":\"billing\",\"agent\":\"a7\",\"resolved\":true,\"cost\":250,\"tenant\":\"acme\","
                             "\"customer\":\"c\",\"dims\":{\"vip\":\"gold\"}"), REFUSED_NOT);
    cr_expect_eq(ev.type, EVENT_ENDED);
    cr_expect_eq(ev.time_ms, INT64_C(1795356000000));
    expect_text(ev.tenant, "acme", 4);
    expect_text(ev.dimension[DIMENSION_queue], "billing", 7);
    expect_text(ev.dimension[DIMENSION_BUILTIN], "gold", 4);
    cr_expect_eq(ev.dimensions, 1u << DIMENSION_queue | 1u << DIMENSION_agent | 1u << DIMENSION_BUILTIN);
    cr_expect(event_has(&ev, FIELD_resolved) && ev.field[FIELD_resolved] == 1);
    cr_expect(event_has(&ev, FIELD_cost) && ev.field[FIELD_cost] == 250);
    cr_expect_not(event_has(&ev, FIELD_scripted));
}

Test(event, refuses_with_every_reason)
{
    static const struct { const char *json; enum refusal reason; } each[] = {
        {"", REFUSED_not_json}, {"{", REFUSED_not_json}, {"{\"id\":NaN}", REFUSED_not_json}, {"{\"id\":01}", REFUSED_not_json},
        {"{\"id\":\"a\",}", REFUSED_not_json}, {"{\"id\":\"a\"} x", REFUSED_not_json}, {"{\"id\":tru}", REFUSED_not_json},
        {"{\"id\":\"a\" \"type\":1}", REFUSED_not_json}, {"{'id':1}", REFUSED_not_json}, {"[1,]", REFUSED_not_json},
        {"{\"id\":\"a\"}{}", REFUSED_not_json}, {"[[1]", REFUSED_not_json}, {"[1}", REFUSED_not_json}, {"{\"x\":{}", REFUSED_not_json},
        {"[]", REFUSED_not_an_object}, {"1", REFUSED_not_an_object}, {"null", REFUSED_not_an_object},
        {"[{\"id\":[1,{\"a\":-0.5e3}]}]", REFUSED_not_an_object},
        {"{}", REFUSED_missing_id}, {"{\"id\":\"\"}", REFUSED_missing_id}, {"{\"id\":null}", REFUSED_missing_id},
        {"{\"id\":5}", REFUSED_missing_type}, {"{\"id\":\"a\",\"type\":5}", REFUSED_unknown_type},
        {"{\"id\":\"a\",\"type\":\"Program.used\"}", REFUSED_unknown_type},
        {"{\"id\":\"a\",\"type\":\"program.used\"}", REFUSED_missing_time},
        {"{\"id\":\"a\",\"type\":\"program.used\",\"time\":\"noon\"}", REFUSED_bad_time},
        {"{\"id\":\"a\",\"type\":\"interaction.offered\",\"time\":\"2026-01-01T00:00:00Z\"}", REFUSED_missing_interaction},
        {"{" BASE ",\"queue\":5}", REFUSED_bad_field}, {"{" BASE ",\"cost\":-1}", REFUSED_out_of_range},
        {"{" BASE ",\"cost\":-1,\"team\":[]}", REFUSED_bad_field}, {"{" BASE "}", REFUSED_NOT},
    };
    for (size_t i = 0; i < sizeof each / sizeof *each; i++)
        cr_expect_eq(decode(each[i].json), each[i].reason, "%s", each[i].json);
}

/* Each line has the faults of the lines below it as well. */
Test(event, tests_reasons_in_their_order_whatever_the_order_of_fields)
{
    static const struct { const char *members; enum refusal reason; } each[] = {
        {"\"cost\":-1,\"team\":5,\"time\":\"x\",\"type\":\"nothing\",\"id\":null", REFUSED_missing_id},
        {"\"cost\":-1,\"team\":5,\"time\":\"x\",\"type\":\"\",\"id\":5", REFUSED_missing_type},
        {"\"cost\":-1,\"team\":5,\"time\":null,\"type\":\"nothing\",\"id\":5", REFUSED_unknown_type},
        {"\"cost\":-1,\"team\":5,\"time\":\"\",\"type\":\"interaction.ended\",\"id\":5", REFUSED_missing_time},
        {"\"cost\":-1,\"team\":5,\"time\":17,\"type\":\"interaction.ended\",\"id\":5", REFUSED_bad_time},
        {"\"cost\":-1,\"team\":5,\"time\":\"2026-01-01T00:00:00Z\",\"type\":\"interaction.ended\",\"id\":5", REFUSED_missing_interaction},
        {"\"cost\":-1,\"team\":5,\"time\":\"2026-01-01T00:00:00Z\",\"type\":\"program.used\",\"id\":\"a\"", REFUSED_bad_field},
    };
    for (size_t i = 0; i < sizeof each / sizeof *each; i++) {
        char json[512];
        (void)snprintf(json, sizeof json, "{%s}", each[i].members);
        cr_expect_eq(decode(json), each[i].reason, "%s", json);
    }
}

Test(event, names_the_field_at_fault)
{
    decode_with("survey.answered", "\"nps\":11");
    cr_expect_str_eq(decoder_field(decoder), "nps");
    decode_with("survey.answered", "\"team\":1");
    cr_expect_str_eq(decoder_field(decoder), "team");
    decode("[");
    cr_expect_str_eq(decoder_field(decoder), "");
}

Test(event, refuses_a_message_longer_than_the_limit)
{
    char json[MESSAGE_MAX + 1];
    memset(json, ' ', sizeof json);
    memcpy(json, "{" BASE "}", strlen("{" BASE "}"));
    cr_expect_eq(decode_bytes(json, MESSAGE_MAX, NULL), REFUSED_NOT);
    cr_expect_eq(decode_bytes(json, MESSAGE_MAX + 1, NULL), REFUSED_too_large);
}

Test(event, takes_the_last_of_a_repeated_name)
{
    cr_assert_eq(decode_with("survey.answered", "\"csat\":9,\"csat\":\"x\",\"csat\":4,\"queue\":\"a\",\"queue\":\"b\""), REFUSED_NOT);
    cr_expect_eq(ev.field[FIELD_csat], 4);
    expect_text(ev.dimension[DIMENSION_queue], "b", 1);
    cr_assert_eq(decode_with("survey.answered", "\"csat\":4,\"csat\":null"), REFUSED_NOT);
    cr_expect_not(event_has(&ev, FIELD_csat));
    cr_expect_eq(decode_with("survey.answered", "\"id\":\"\""), REFUSED_missing_id);
}

Test(event, takes_null_and_the_empty_string_as_absent)
{
    cr_assert_eq(decode_with("survey.answered", "\"csat\":null,\"nps\":\"\",\"tenant\":\"\",\"queue\":null,\"comment\":\"\",\"dims\":{\"vip\":\"\"}"),
                 REFUSED_NOT);
    cr_expect_eq(ev.fields, 0);
    cr_expect_eq(ev.dimensions, 0);
    cr_expect_not(ev.comment);
    expect_text(ev.tenant, "default", 7);
}

Test(event, ignores_unknown_fields_and_fields_of_other_types)
{
    cr_expect_eq(decode_with("program.used", "\"csat\":99,\"extra\":{\"id\":5,\"x\":[1,[]]},\"cost\":1"), REFUSED_NOT);
    cr_expect_eq(ev.fields, 1u << FIELD_cost);
}

Test(event, reads_escapes)
{
    cr_assert_eq(decode_with("program.used", "\"queue\":\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\u20ac\\ud83d\\ude00\",\"te\\u0061m\":\"t\""), REFUSED_NOT);
    expect_text(ev.dimension[DIMENSION_queue], "\"\\/\b\f\n\r\t\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", 17);
    expect_text(ev.dimension[DIMENSION_team], "t", 1);
    cr_expect_eq(decode_with("program.used", "\"queue\":\"\\x41\""), REFUSED_not_json);
    cr_expect_eq(decode_with("program.used", "\"queue\":\"\\u12g4\""), REFUSED_not_json);
    cr_expect_eq(decode_with("program.used", "\"queue\":\"\\u12\""), REFUSED_not_json);
}

Test(event, takes_an_escaped_NUL_as_a_character_like_others)
{
    cr_assert_eq(decode_with("program.used", "\"queue\":\"a\\u0000b\""), REFUSED_NOT);
    expect_text(ev.dimension[DIMENSION_queue], "a\0b", 3);
}

Test(event, refuses_unpaired_surrogates_and_bad_UTF_8)
{
    static const char *const each[] = {"\\ud800", "\\udc00", "\\ud800\\ud800", "\\ud800x", "\\udc00\\ud800", "\xff", "\xc0\xaf", "\xed\xa0\x80",
                                       "\xe2\x82", "\xf5\x80\x80\x80", "a\x01z"};
    for (size_t i = 0; i < sizeof each / sizeof *each; i++) {
        char members[64];
        (void)snprintf(members, sizeof members, "\"queue\":\"%s\"", each[i]);
        cr_expect_eq(decode_with("program.used", members), REFUSED_not_json, "%s", each[i]);
    }
}

Test(event, bounds_an_id_at_128_bytes_and_other_strings_at_256)
{
    cr_expect_eq(decode_long("id", 128), REFUSED_NOT);
    cr_expect_eq(decode_long("id", 129), REFUSED_out_of_range);
    static const char *const names[] = {"tenant", "interaction", "customer", "queue", "survey"};
    for (int i = 0; i < 5; i++) {
        cr_expect_eq(decode_long(names[i], 256), REFUSED_NOT, "%s", names[i]);
        cr_expect_eq(decode_long(names[i], 257), REFUSED_out_of_range, "%s", names[i]);
    }
    cr_expect_eq(decode_long("comment", 500), REFUSED_NOT);
    cr_expect_eq(decode_long("unheard_of", 500), REFUSED_NOT);
}

Test(event, counts_bytes_and_not_escapes_or_characters)
{
    char members[2048] = "\"queue\":\"";
    for (int i = 0; i < 128; i++)
        strcat(members, "\\u00e9");
    cr_expect_eq(decode_with("program.used", strcat(members, "\"")), REFUSED_NOT); /* 128 characters, 256 bytes */
    cr_expect_eq(ev.dimension[DIMENSION_queue].length, 256);
    members[strlen(members) - 1] = 0;
    cr_expect_eq(decode_with("program.used", strcat(members, "x\"")), REFUSED_out_of_range);
}

Test(event, bounds_integers_at_2_to_the_53)
{
    static const struct { const char *members; enum refusal reason; } each[] = {
        {"\"version\":9007199254740992", REFUSED_NOT}, {"\"version\":9007199254740993", REFUSED_out_of_range},
        {"\"version\":-9007199254740992", REFUSED_NOT}, {"\"version\":-9007199254740993", REFUSED_out_of_range},
        {"\"version\":1234567890123456789", REFUSED_out_of_range}, {"\"version\":12345678901234567890123", REFUSED_out_of_range},
        {"\"version\":1.0", REFUSED_bad_field}, {"\"version\":1e2", REFUSED_bad_field}, {"\"version\":-0", REFUSED_NOT},
        {"\"version\":true", REFUSED_bad_field}, {"\"version\":\"1\"", REFUSED_bad_field}, {"\"version\":-", REFUSED_not_json},
    };
    for (size_t i = 0; i < sizeof each / sizeof *each; i++)
        cr_expect_eq(decode_with("survey.answered", each[i].members), each[i].reason, "%s", each[i].members);
}

Test(event, never_clamps_a_score_a_duration_or_an_amount)
{
    static const struct { const char *type, *members; enum refusal reason; } each[] = {
        {"survey.answered", "\"csat\":0", REFUSED_out_of_range}, {"survey.answered", "\"csat\":1", REFUSED_NOT},
        {"survey.answered", "\"csat\":5", REFUSED_NOT}, {"survey.answered", "\"csat\":6", REFUSED_out_of_range},
        {"survey.answered", "\"nps\":-1", REFUSED_out_of_range}, {"survey.answered", "\"nps\":10", REFUSED_NOT},
        {"survey.answered", "\"nps\":11", REFUSED_out_of_range}, {"survey.answered", "\"ces\":7", REFUSED_NOT},
        {"survey.answered", "\"ces\":8", REFUSED_out_of_range}, {"interaction.completed", "\"wait_ms\":2678400000", REFUSED_NOT},
        {"interaction.completed", "\"wait_ms\":2678400001", REFUSED_out_of_range}, {"interaction.completed", "\"talk_ms\":-1", REFUSED_out_of_range},
        {"program.used", "\"cost\":1000000000000", REFUSED_NOT}, {"program.used", "\"cost\":1000000000001", REFUSED_out_of_range},
    };
    for (size_t i = 0; i < sizeof each / sizeof *each; i++)
        cr_expect_eq(decode_with(each[i].type, each[i].members), each[i].reason, "%s", each[i].members);
}

Test(event, needs_kind_state_and_from_of_their_lists)
{
    cr_expect_eq(decode_with("offer.made", ""), REFUSED_bad_field);
    cr_expect_eq(decode_with("offer.made", "\"kind\":\"gift\""), REFUSED_bad_field);
    cr_expect_eq(decode_with("offer.made", "\"kind\":\"cross_sell\""), REFUSED_NOT);
    cr_expect_eq(ev.field[FIELD_kind], OFFER_CROSS_SELL);
    cr_expect_eq(decode_with("agent.state", "\"state\":null"), REFUSED_bad_field);
    cr_expect_eq(decode_with("agent.state", "\"state\":\"away\""), REFUSED_NOT);
    cr_expect_eq(decode_with("message.sent", "\"from\":\"bot\""), REFUSED_bad_field);
    cr_expect_eq(decode_with("message.sent", "\"from\":\"customer\""), REFUSED_NOT);
    cr_expect_eq(decode_with("survey.sent", "\"respondent\":\"robot\""), REFUSED_bad_field);
    cr_expect_eq(decode_with("interaction.offered", "\"direction\":\"sideways\""), REFUSED_bad_field);
    cr_expect_eq(decode_with("interaction.offered", "\"direction\":\"proactive\""), REFUSED_NOT);
}

Test(event, keeps_names_of_the_table_out_of_dims)
{
    cr_expect_eq(decode_with("program.used", "\"dims\":{\"queue\":\"q\"}"), REFUSED_bad_field);
    cr_expect_eq(decode_with("program.used", "\"dims\":{\"id\":\"q\"}"), REFUSED_bad_field);
    cr_expect_eq(decode_with("program.used", "\"dims\":{\"other\":\"q\"}"), REFUSED_NOT);
    cr_expect_eq(decode_with("program.used", "\"dims\":{\"other\":7}"), REFUSED_bad_field);
    cr_expect_eq(decode_with("program.used", "\"dims\":[]"), REFUSED_bad_field);
    cr_expect_eq(decode_with("program.used", "\"dims\":{\"vip\":1}"), REFUSED_bad_field);
    cr_expect_eq(decode_with("program.used", "\"dims\":{\"vip\":\"a\",\"vip\":\"b\"}"), REFUSED_NOT);
    expect_text(ev.dimension[DIMENSION_BUILTIN], "b", 1);
    cr_expect_eq(decode_with("program.used", "\"dims\":{\"vip\":}"), REFUSED_not_json);
}

Test(event, of_a_repeated_name_in_dims_the_last_stands_also_of_one_that_is_unknown)
{
    static const struct {
        const char *dims;
        enum refusal reason;
    } each[] = {{"{\"other\":7,\"other\":\"a\"}", REFUSED_NOT},
                {"{\"other\":\"a\",\"other\":7}", REFUSED_bad_field},
                {"{\"other\":7,\"x\":\"a\"}", REFUSED_bad_field},
                {"{\"queue\":\"a\",\"queue\":null}", REFUSED_NOT},
                {"{\"queue\":null,\"queue\":\"a\"}", REFUSED_bad_field},
                {"{\"vip\":7,\"vip\":\"a\"}", REFUSED_NOT},
                {"7,\"dims\":{}", REFUSED_NOT}};
    for (size_t i = 0; i < sizeof each / sizeof *each; i++) {
        char members[128];
        snprintf(members, sizeof members, "\"dims\":%s", each[i].dims);
        cr_expect_eq(decode_with("program.used", members), each[i].reason, "%s", members);
    }
}

Test(event, checks_the_inside_of_nested_values_of_known_names)
{
    static const char *const each[] = {"\"cost\":{\"a\":},\"cost\":5", "\"cost\":[1,]", "\"queue\":{\"a\" 1}", "\"dims\":{\"other\":[1,]}",
                                       "\"dims\":{\"vip\":{1}}", "\"dims\":{\"a\":[},\"dims\":{}", "\"dims\":[01]", "\"tenant\":[\"\\x\"]"};
    for (size_t i = 0; i < sizeof each / sizeof *each; i++)
        cr_expect_eq(decode_with("program.used", each[i]), REFUSED_not_json, "%s", each[i]);
    cr_expect_eq(decode_with("program.used", "\"cost\":[1,{\"b\":[]}],\"cost\":4"), REFUSED_NOT);
    cr_expect_eq(decode_with("program.used", "\"dims\":{\"vip\":[1,{}]}"), REFUSED_bad_field);
    cr_expect_eq(decode_with("program.used", "\"unknown\":{\"a\":}"), REFUSED_NOT); /* SEMANTICS 1: it may pass */
}

Test(event, reads_structured_CloudEvents)
{
    cr_assert_eq(decode("{\"specversion\":\"1.0\",\"id\":\"e\",\"type\":\"program.used\",\"time\":\"2026-01-01T00:00:00Z\",\"source\":\"/x\",\"queue\":\"no\","
                        "\"data\":{\"id\":\"other\",\"type\":\"x\",\"time\":5,\"interaction\":\"i\",\"queue\":\"yes\",\"cost\":3}}"), REFUSED_NOT);
    expect_text(ev.id, "e", 1);
    expect_text(ev.interaction, "i", 1);
    expect_text(ev.dimension[DIMENSION_queue], "yes", 3);
    cr_expect_eq(ev.field[FIELD_cost], 3);
    cr_expect_eq(decode("{\"specversion\":\"1.0\"," BASE ",\"data\":[]}"), REFUSED_bad_field);
    cr_expect_str_eq(decoder_field(decoder), "data");
    cr_expect_eq(decode("{\"specversion\":\"1.0\"," BASE "}"), REFUSED_NOT);
    cr_expect_eq(decode("{\"specversion\":\"1.0\"," BASE ",\"data_base64\":\"e30=\"}"), REFUSED_bad_field, "its data would be lost");
    cr_expect_str_eq(decoder_field(decoder), "data_base64");
    cr_expect_eq(decode("{" BASE ",\"data_base64\":\"e30=\"}"), REFUSED_NOT, "no CloudEvent");
    cr_expect_eq(decode("{\"specversion\":\"1.0\",\"id\":\"a\",\"type\":\"interaction.ended\",\"time\":\"2026-01-01T00:00:00Z\",\"interaction\":\"top\","
                        "\"data\":{}}"), REFUSED_missing_interaction);
    cr_expect_eq(decode("{\"specversion\":\"1.0\"," BASE ",\"data\":{\"cost\":}}"), REFUSED_not_json);
}

#define HEADER(text) {text, sizeof text - 1}

Test(event, reads_binary_CloudEvents)
{
    struct event_headers headers = {.id = HEADER("h"), .type = HEADER("program.used"), .time = HEADER("2026-01-01T00:00:00Z"), .given = true};
    const char *json = "{\"id\":\"body\",\"type\":\"x\",\"time\":7,\"queue\":\"q\",\"cost\":2}";
    cr_assert_eq(decode_bytes(json, strlen(json), &headers), REFUSED_NOT);
    expect_text(ev.id, "h", 1);
    cr_expect_eq(ev.type, EVENT_PROGRAM_USED);
    cr_expect_eq(ev.field[FIELD_cost], 2);
    headers.time.length = 0;
    cr_expect_eq(decode_bytes(json, strlen(json), &headers), REFUSED_missing_time);
    headers.id.length = 0;
    cr_expect_eq(decode_bytes(json, strlen(json), &headers), REFUSED_missing_id);
}

Test(event, survives_deep_nesting)
{
    decoder_free(decoder);
    decoder = decoder_new(1 << 20, NULL, 0);
    enum { DEEP = 100000 };
    char *json = malloc(2 * DEEP + 64);
    memset(json, '[', DEEP);
    memset(json + DEEP, ']', DEEP);
    cr_expect_eq(decode_bytes(json, DEEP, NULL), REFUSED_not_json);
    cr_expect_eq(decode_bytes(json, 2 * DEEP, NULL), REFUSED_not_an_object);
    cr_expect_eq(decode_bytes(json, 2 * DEEP - 1, NULL), REFUSED_not_json);
    int at = sprintf(json, "{" BASE ",\"x\":");
    memset(json + at, '[', DEEP / 2);
    memset(json + at + DEEP / 2, ']', DEEP / 2);
    json[at + DEEP] = '}';
    cr_expect_eq(decode_bytes(json, (size_t)at + DEEP + 1, NULL), REFUSED_NOT);
    free(json);
}

Test(event, gives_every_prefix_of_a_message_a_reason)
{
    const char *json = "{" BASE ",\"interaction\":\"i\\u00e9\",\"dims\":{\"vip\":\"g\"},\"cost\":12,\"x\":[1,{\"a\":true}]}";
    for (size_t length = 0; length < strlen(json); length++)
        cr_expect_eq(decode_bytes(json, length, NULL), REFUSED_not_json, "%.*s", (int)length, json);
    cr_expect_eq(decode(json), REFUSED_NOT);
}
