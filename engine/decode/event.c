/* Decoding and validation of a native event (SEMANTICS 1). Two passes, so that the reasons of refusal are tested in their
 * order whatever the order of the fields:
 *
 *   message ──json_text──> values ──walk──> slots (one a known name, the last of a repeated name)
 *           ──judge──> struct event, or the first reason that applies
 *
 * The walk checks the grammar of everything but the inside of nested values of unknown fields, which it skips by their brackets;
 * a known field is hardly ever nested, and where one is, it is checked apart (nested_is_json). Names are found by a perfect
 * hash over their length and first eight bytes; the hash is sought when the decoder is made. */
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "esteem/err.h"
#include "esteem/event.h"
#include "json_text.h"

const char *const event_type_names[EVENT_COUNT] = {
#define EVENT(NAME, type, fields, meaning) type,
#include "esteem/events.def"
};
const char *const field_names[FIELD_COUNT] = {
#define FIELD(name, KIND, low, high, meaning) #name,
#include "esteem/events.def"
};
const char *const refusal_names[REFUSAL_COUNT] = {
    "none",
#define REFUSAL(name, meaning) #name,
#include "esteem/events.def"
};
const char *const dimension_names[DIMENSION_BUILTIN] = {
#define DIMENSION(name, meaning) #name,
#include "esteem/dimensions.def"
#undef DIMENSION
};
#define F(name) (UINT32_C(1) << FIELD_##name)
const uint32_t event_own_fields[EVENT_COUNT] = {
#define EVENT(NAME, type, fields, meaning) fields,
#include "esteem/events.def"
};

enum field_kind { KIND_TIME, KIND_DURATION, KIND_COUNT, KIND_MONEY, KIND_SCORE, KIND_VERSION, KIND_BOOL, KIND_TEXT, KIND_WORD };
static const struct field_rule {
    enum field_kind kind;
    int64_t low, high;
    const char *words; /* a|b|c for KIND_WORD */
} field_rules[FIELD_COUNT] = {
#define FIELD(name, KIND, low, high, meaning) {KIND_##KIND, low, high, meaning},
#include "esteem/events.def"
};

/* ---- names ---- */

enum name { /* the names of SEMANTICS' first table, then those of the envelope, then own fields */
    NAME_id, NAME_type, NAME_time, NAME_tenant, NAME_interaction, NAME_customer, NAME_dims,
    NAME_DIMENSION_FIRST,
    NAME_TABLE_END = NAME_DIMENSION_FIRST + DIMENSION_BUILTIN,
    NAME_specversion = NAME_TABLE_END, NAME_data, NAME_data_base64,
    NAME_FIELD_FIRST,
    NAME_COUNT = NAME_FIELD_FIRST + FIELD_COUNT,
    NAME_UNKNOWN = 255
};
_Static_assert(NAME_COUNT <= 64, "slots are marked in one 64-bit word");

static const char *name_text(int name)
{
    static const char *const first[] = {"id", "type", "time", "tenant", "interaction", "customer", "dims"};
    static const char *const envelope[] = {"specversion", "data", "data_base64"};
    if (name < NAME_DIMENSION_FIRST)
        return first[name];
    if (name < NAME_TABLE_END)
        return dimension_names[name - NAME_DIMENSION_FIRST];
    if (name < NAME_FIELD_FIRST)
        return envelope[name - NAME_specversion];
    return field_names[name - NAME_FIELD_FIRST];
}

struct slots {
    uint64_t given; /* bit: slot is filled */
    struct json_value slot[NAME_COUNT];
};

struct decoder {
    struct json_text text; /* the message */
    const char *const *own;
    int own_count;
    uint32_t gone; /* bits of own */
    const char *field; /* at fault */
    bool malformed;    /* a nested value of a known field is no JSON */
    uint64_t multiplier;
    uint8_t by_hash[256];
    uint8_t name_length[NAME_COUNT];
    struct slots top, data;
};

static uint64_t head(const char *at, uint32_t length)
{
    uint64_t word = 0;
    memcpy(&word, at, length < 8 ? length : 8);
    return word ^ ((uint64_t)length << 56);
}

/* As `head`, where eight bytes may be read. */
static uint64_t head_wide(const char *at, uint32_t length)
{
    uint64_t word;
    memcpy(&word, at, 8);
    if (length < 8)
        word &= (UINT64_C(1) << length * 8) - 1;
    return word ^ ((uint64_t)length << 56);
}

static bool names_fit(struct decoder *d)
{
    memset(d->by_hash, NAME_UNKNOWN, sizeof d->by_hash);
    for (int name = 0; name < NAME_COUNT; name++) {
        const char *text = name_text(name);
        d->name_length[name] = (uint8_t)strlen(text);
        uint8_t *place = &d->by_hash[head(text, d->name_length[name]) * d->multiplier >> 56];
        if (*place != NAME_UNKNOWN)
            return false;
        *place = (uint8_t)name;
    }
    return true;
}

static int name_find(const struct decoder *d, const char *at, uint32_t length)
{
    uint64_t word = at + 8 <= d->text.bytes + d->text.length ? head_wide(at, length) : head(at, length);
    uint8_t name = d->by_hash[word * d->multiplier >> 56];
    if (name == NAME_UNKNOWN || d->name_length[name] != length || memcmp(name_text(name), at, length) != 0)
        return NAME_UNKNOWN;
    return name;
}

struct decoder *decoder_new(size_t message_max, const char *const *own, int own_count)
{
    struct decoder *d = calloc(1, sizeof *d);
    if (d == NULL || !json_text_init(&d->text, message_max)) {
        free(d);
        err_set(ERR_MEMORY, "no memory for a decoder");
        return NULL;
    }
    d->own = own;
    d->own_count = own_count;
    d->field = "";
    d->multiplier = UINT64_C(0x9e3779b97f4a7c15);
    for (int tries = 0; !names_fit(d); tries++) {
        ensure(tries < 1000000, "the names of events.def have a perfect hash");
        d->multiplier = d->multiplier * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        d->multiplier |= 1;
    }
    return d;
}

void decoder_own(struct decoder *d, const char *const *own, int own_count, uint32_t gone)
{
    d->own = own;
    d->gone = gone;
    d->own_count = own_count;
}

void decoder_free(struct decoder *d)
{
    if (d == NULL)
        return;
    json_text_close(&d->text);
    free(d);
}

const char *decoder_field(const struct decoder *d)
{
    return d->field;
}

/* ---- the walk ---- */

static bool is_absent(const struct json_value *value)
{
    return value->token == TOKEN_NULL || (value->token == TOKEN_STRING && value->length == 0);
}

typedef void member(struct decoder *d, void *context, const char *name, uint32_t length, const struct json_value *value);

/* Walks the object that opens at token i, calling `each` a member; returns the token after it, or 0 when it is no JSON. */
static inline __attribute__((always_inline)) uint32_t walk(struct decoder *d, uint32_t i, member *each, void *context)
{
    const uint32_t *at = d->text.index.at, count = d->text.index.count;
    const char *message = d->text.bytes;
    if (++i < count && message[at[i]] == '}')
        return i + 1;
    while (i + 2 < count) {
        const char *name;
        uint32_t length;
        struct json_value value;
        if (message[at[i]] != '"' || !json_string(&d->text, i, &name, &length) || message[at[i + 1]] != ':')
            return 0;
        i = json_value_at(&d->text, i + 2, &value);
        if (i == 0 || i >= count)
            return 0;
        each(d, context, name, length, &value);
        if (message[at[i]] == '}')
            return i + 1;
        if (message[at[i]] != ',')
            return 0;
        i++;
    }
    return 0;
}

static void nested_is_json(struct decoder *d, const struct json_value *value)
{
    d->malformed |= !json_is_whole(&d->text, value->index, json_skip(&d->text, value->index));
}

static void fill_slot(struct decoder *d, void *context, const char *name, uint32_t length, const struct json_value *value)
{
    struct slots *slots = context;
    int which = name_find(d, name, length);
    if (which == NAME_UNKNOWN)
        return;
    struct json_value *slot = &slots->slot[which];
    bool walked = which == NAME_dims || which == NAME_data, nested = value->token == TOKEN_OBJECT || value->token == TOKEN_ARRAY;
    if (nested && !(walked && value->token == TOKEN_OBJECT))
        nested_is_json(d, value);
    if (walked && slots->given >> which & 1 && slot->token == TOKEN_OBJECT) /* it will not be, as it does not stand */
        nested_is_json(d, slot);
    if (is_absent(value)) {
        slots->given &= ~(UINT64_C(1) << which);
        return;
    }
    slots->given |= UINT64_C(1) << which;
    *slot = *value;
}

/* The members of `dims`: own dimensions into `own`; of a repeated name the last stands. */
struct own_dims {
    uint32_t given;
    struct json_value slot[DIMENSION_OWN_MAX];
    bool doubt; /* a member of another name may be a fault */
};

static void fill_own(struct decoder *d, void *context, const char *name, uint32_t length, const struct json_value *value)
{
    struct own_dims *own = context;
    bool absent = is_absent(value);
    if (value->token == TOKEN_OBJECT || value->token == TOKEN_ARRAY)
        nested_is_json(d, value);
    for (int i = 0; i < d->own_count; i++) {
        if (d->gone >> i & 1 || strlen(d->own[i]) != length || memcmp(d->own[i], name, length) != 0)
            continue;
        own->slot[i] = *value;
        own->given = absent ? own->given & ~(1u << i) : own->given | 1u << i;
        return;
    }
    own->doubt |= !absent && (value->token != TOKEN_STRING || value->length > STRING_MAX || name_find(d, name, length) < NAME_TABLE_END);
}

/* The same members once more, each with what is wrong with it, so that only the last of a name is judged. */
struct suspects {
    struct suspect {
        uint64_t name;
        uint32_t order;
        bool bad, range;
    } *item;
    uint32_t count;
};

static void fill_suspect(struct decoder *d, void *context, const char *name, uint32_t length, const struct json_value *value)
{
    struct suspects *suspects = context;
    bool absent = is_absent(value), text = value->token == TOKEN_STRING;
    suspects->item[suspects->count] = (struct suspect){.name = XXH3_64bits(name, length),
                                                       .order = suspects->count,
                                                       .bad = !absent && (!text || name_find(d, name, length) < NAME_TABLE_END),
                                                       .range = !absent && text && value->length > STRING_MAX};
    suspects->count++;
}

static int by_name(const void *left, const void *right)
{
    const struct suspect *a = left, *b = right;
    return a->name != b->name ? (a->name > b->name) - (a->name < b->name) : (a->order > b->order) - (a->order < b->order);
}

static void judge_suspects(struct decoder *d, uint32_t index, bool *bad, bool *range)
{
    struct suspects suspects = {malloc(d->text.index.count * sizeof *suspects.item), 0}; /* a member is some tokens */
    ensure(suspects.item != NULL, "the machine has memory left");
    (void)walk(d, index, fill_suspect, &suspects);
    qsort(suspects.item, suspects.count, sizeof *suspects.item, by_name);
    for (uint32_t i = 0; i < suspects.count; i++)
        if (i + 1 == suspects.count || suspects.item[i].name != suspects.item[i + 1].name) {
            *bad |= suspects.item[i].bad;
            *range |= suspects.item[i].range;
        }
    free(suspects.item);
}

/* ---- judging ---- */

static bool given(const struct slots *slots, int name)
{
    return slots->given >> name & 1;
}

static enum refusal fault(struct decoder *d, enum refusal reason, const char *field)
{
    d->field = field;
    return reason;
}

/* Remembers the first fault of the later pass: bad_field goes before out_of_range, whatever the order of fields. */
struct faults {
    const char *bad, *range;
};

static void fault_bad(struct faults *faults, const char *field)
{
    if (faults->bad == NULL)
        faults->bad = field;
}

static void fault_range(struct faults *faults, const char *field)
{
    if (faults->range == NULL)
        faults->range = field;
}

static void take_text(const struct slots *slots, int name, uint32_t most, struct text *out, struct faults *faults)
{
    *out = (struct text){NULL, 0};
    if (!given(slots, name))
        return;
    const struct json_value *slot = &slots->slot[name];
    if (slot->token != TOKEN_STRING)
        fault_bad(faults, name_text(name));
    else if (slot->length > most)
        fault_range(faults, name_text(name));
    else
        *out = (struct text){slot->at, slot->length};
}

/* The index of a word in "a|b|c", or -1. */
static int word_find(const char *words, const char *at, uint32_t length)
{
    for (int i = 0;; i++) {
        const char *bar = strchr(words, '|');
        size_t size = bar ? (size_t)(bar - words) : strlen(words);
        if (size == length && memcmp(words, at, length) == 0)
            return i;
        if (bar == NULL)
            return -1;
        words = bar + 1;
    }
}

static bool time_of(const struct json_value *slot, int64_t *time_ms)
{
    if (slot->token == TOKEN_STRING)
        return event_time_rfc3339(slot->at, slot->length, time_ms);
    return slot->token == TOKEN_INTEGER && event_time_integer(slot->integer, time_ms);
}

static void take_field(const struct slots *slots, int field, struct event *ev, struct faults *faults)
{
    const struct json_value *slot = &slots->slot[NAME_FIELD_FIRST + field];
    const struct field_rule *rule = &field_rules[field];
    int64_t value = 0;
    switch (rule->kind) {
    case KIND_TIME:
        if (!time_of(slot, &value))
            fault_bad(faults, field_names[field]);
        break;
    case KIND_BOOL:
        if (slot->token != TOKEN_TRUE && slot->token != TOKEN_FALSE)
            fault_bad(faults, field_names[field]);
        value = slot->token == TOKEN_TRUE;
        break;
    case KIND_WORD:
        value = slot->token == TOKEN_STRING ? word_find(rule->words, slot->at, slot->length) : -1;
        if (value < 0)
            fault_bad(faults, field_names[field]);
        break;
    case KIND_TEXT:
        if (slot->token != TOKEN_STRING)
            fault_bad(faults, field_names[field]);
        else if (rule->high && slot->length > rule->high)
            fault_range(faults, field_names[field]);
        else if (field == FIELD_survey)
            ev->survey = (struct text){slot->at, slot->length};
        else
            ev->comment = true;
        break;
    default:
        value = slot->integer;
        if (slot->token == TOKEN_BIG)
            fault_range(faults, field_names[field]);
        else if (slot->token != TOKEN_INTEGER)
            fault_bad(faults, field_names[field]);
        else if (value < rule->low || value > rule->high)
            fault_range(faults, field_names[field]);
    }
    ev->field[field] = value;
    ev->fields |= UINT32_C(1) << field;
}

static void take_dimensions(struct decoder *d, const struct slots *slots, struct event *ev, struct faults *faults)
{
    for (int i = 0; i < DIMENSION_BUILTIN; i++) {
        if (!given(slots, NAME_DIMENSION_FIRST + i))
            continue;
        take_text(slots, NAME_DIMENSION_FIRST + i, STRING_MAX, &ev->dimension[i], faults);
        ev->dimensions |= 1u << i;
    }
    const struct text *direction = &ev->dimension[DIMENSION_direction];
    if (ev->dimensions >> DIMENSION_direction & 1 &&
        (direction->length == 0 || word_find("inbound|outbound|proactive", direction->at, direction->length) < 0))
        fault_bad(faults, "direction");
    if (!given(slots, NAME_dims))
        return;
    struct own_dims own = {0};
    if (slots->slot[NAME_dims].token != TOKEN_OBJECT) {
        fault_bad(faults, "dims");
        return;
    }
    if (walk(d, slots->slot[NAME_dims].index, fill_own, &own) == 0 || d->malformed) {
        d->malformed = true;
        return;
    }
    bool bad = false, range = false;
    if (own.doubt)
        judge_suspects(d, slots->slot[NAME_dims].index, &bad, &range);
    if (bad)
        fault_bad(faults, "dims");
    if (range)
        fault_range(faults, "dims");
    for (int i = 0; i < d->own_count; i++) {
        if (!(own.given >> i & 1))
            continue;
        if (own.slot[i].token != TOKEN_STRING)
            fault_bad(faults, "dims");
        else if (own.slot[i].length > STRING_MAX)
            fault_range(faults, "dims");
        ev->dimension[DIMENSION_BUILTIN + i] = (struct text){own.slot[i].at, own.slot[i].length};
        ev->dimensions |= 1u << (DIMENSION_BUILTIN + i);
    }
}

static bool type_find(const struct json_value *slot, enum event_type *type)
{
    if (slot->token != TOKEN_STRING)
        return false;
    for (int i = 0; i < EVENT_COUNT; i++)
        if (strlen(event_type_names[i]) == slot->length && memcmp(event_type_names[i], slot->at, slot->length) == 0) {
            *type = (enum event_type)i;
            return true;
        }
    return false;
}

static void header_slot(struct slots *slots, int name, const struct text *text)
{
    slots->given &= ~(UINT64_C(1) << name);
    if (text->length == 0)
        return;
    slots->given |= UINT64_C(1) << name;
    slots->slot[name] = (struct json_value){.token = TOKEN_STRING, .length = text->length, .at = text->at};
}

/* Lays the two CloudEvents forms over the plain one: `*rest` is where all but id, type and time are read from. */
static enum refusal cloudevents(struct decoder *d, const struct event_headers *headers, struct slots **rest, struct faults *faults)
{
    *rest = &d->top;
    if (headers != NULL && headers->given) {
        header_slot(&d->top, NAME_id, &headers->id);
        header_slot(&d->top, NAME_type, &headers->type);
        header_slot(&d->top, NAME_time, &headers->time);
        return REFUSED_NOT;
    }
    if (!given(&d->top, NAME_specversion))
        return REFUSED_NOT;
    *rest = &d->data;
    d->data.given = 0;
    if (given(&d->top, NAME_data_base64))
        fault_bad(faults, "data_base64");
    if (!given(&d->top, NAME_data))
        return REFUSED_NOT;
    if (d->top.slot[NAME_data].token != TOKEN_OBJECT)
        fault_bad(faults, "data");
    else if (walk(d, d->top.slot[NAME_data].index, fill_slot, &d->data) == 0)
        return REFUSED_not_json;
    return REFUSED_NOT;
}

static enum refusal judge(struct decoder *d, const struct event_headers *headers, struct event *ev)
{
    struct faults faults = {0};
    struct slots *rest;
    enum refusal reason = cloudevents(d, headers, &rest, &faults);
    if (reason != REFUSED_NOT)
        return reason;
    ev->dimensions = ev->fields = 0;
    ev->comment = false;
    ev->survey = (struct text){NULL, 0};
    take_dimensions(d, rest, ev, &faults);
    if (d->malformed)
        return REFUSED_not_json;
    if (!given(&d->top, NAME_id))
        return fault(d, REFUSED_missing_id, "id");
    if (!given(&d->top, NAME_type))
        return fault(d, REFUSED_missing_type, "type");
    if (!type_find(&d->top.slot[NAME_type], &ev->type))
        return fault(d, REFUSED_unknown_type, "type");
    if (!given(&d->top, NAME_time))
        return fault(d, REFUSED_missing_time, "time");
    if (!time_of(&d->top.slot[NAME_time], &ev->time_ms))
        return fault(d, REFUSED_bad_time, "time");
    if (ev->type <= EVENT_INTERACTION_LAST && !given(rest, NAME_interaction))
        return fault(d, REFUSED_missing_interaction, "interaction");

    take_text(&d->top, NAME_id, ID_MAX, &ev->id, &faults);
    take_text(rest, NAME_tenant, STRING_MAX, &ev->tenant, &faults);
    take_text(rest, NAME_interaction, STRING_MAX, &ev->interaction, &faults);
    take_text(rest, NAME_customer, STRING_MAX, &ev->customer, &faults);
    uint32_t own = event_own_fields[ev->type];
    for (uint32_t left = own & (uint32_t)(rest->given >> NAME_FIELD_FIRST); left; left &= left - 1)
        take_field(rest, __builtin_ctz(left), ev, &faults);
    static const int needed[] = {FIELD_kind, FIELD_from, FIELD_state};
    for (int i = 0; i < 3; i++)
        if (own >> needed[i] & 1 && !event_has(ev, (enum field)needed[i]))
            fault_bad(&faults, field_names[needed[i]]);
    if (faults.bad)
        return fault(d, REFUSED_bad_field, faults.bad);
    if (faults.range)
        return fault(d, REFUSED_out_of_range, faults.range);
    if (ev->tenant.length == 0)
        ev->tenant = (struct text){"default", 7};
    return REFUSED_NOT;
}

enum refusal event_decode(struct decoder *d, const char *message, size_t length, const struct event_headers *headers,
                          struct event *ev)
{
    d->field = "";
    if (length > d->text.most)
        return REFUSED_too_large;
    d->malformed = false;
    if (!json_text_begin(&d->text, message, length))
        return REFUSED_not_json;
    if (message[d->text.index.at[0]] != '{')
        return json_is_whole(&d->text, 0, d->text.index.count) ? REFUSED_not_an_object : REFUSED_not_json;
    d->top.given = 0;
    if (walk(d, 0, fill_slot, &d->top) != d->text.index.count)
        return REFUSED_not_json;
    return judge(d, headers, ev);
}
