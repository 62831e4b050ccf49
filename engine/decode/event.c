/* Decoding and validation of a native event (SEMANTICS 1). Two passes, so that the reasons of refusal are tested in their
 * order whatever the order of the fields:
 *
 *   message ──json_index──> structural index ──walk──> slots (one a known name, the last of a repeated name)
 *           ──judge──> struct event, or the first reason that applies
 *
 * The walk checks the grammar (RFC 8259) of everything but the inside of nested values of unknown fields, which it skips by
 * their brackets; those of known ones, which are faults nearly always, are checked apart (nested_is_json). Names are found by a perfect hash over their first eight bytes, sought at start. */
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "esteem/err.h"
#include "esteem/event.h"
#include "json.h"

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
    NAME_specversion = NAME_TABLE_END, NAME_data,
    NAME_FIELD_FIRST,
    NAME_COUNT = NAME_FIELD_FIRST + FIELD_COUNT,
    NAME_UNKNOWN = 255
};
_Static_assert(NAME_COUNT <= 64, "slots are marked in one 64-bit word");

static const char *name_text(int name)
{
    static const char *const first[] = {"id", "type", "time", "tenant", "interaction", "customer", "dims"};
    if (name < NAME_DIMENSION_FIRST)
        return first[name];
    if (name < NAME_TABLE_END)
        return dimension_names[name - NAME_DIMENSION_FIRST];
    if (name < NAME_FIELD_FIRST)
        return name == NAME_data ? "data" : "specversion";
    return field_names[name - NAME_FIELD_FIRST];
}

enum token { TOKEN_STRING, TOKEN_INTEGER, TOKEN_BIG, TOKEN_REAL, TOKEN_TRUE, TOKEN_FALSE, TOKEN_NULL, TOKEN_OBJECT, TOKEN_ARRAY };

struct slot {
    enum token token;
    uint32_t length; /* of a string */
    union {
        const char *at;  /* string */
        int64_t integer;
        uint32_t index;  /* object: where it opens */
    };
};

struct slots {
    uint64_t given; /* bit: slot is filled */
    struct slot slot[NAME_COUNT];
};

struct decoder {
    struct json_index index;
    const char *message;
    uint32_t length;
    size_t message_max;
    char *scratch; /* strings without their escapes */
    size_t scratch_used;
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
    uint64_t word = at + 8 <= d->message + d->length ? head_wide(at, length) : head(at, length);
    uint8_t name = d->by_hash[word * d->multiplier >> 56];
    if (name == NAME_UNKNOWN || d->name_length[name] != length || memcmp(name_text(name), at, length) != 0)
        return NAME_UNKNOWN;
    return name;
}

struct decoder *decoder_new(size_t message_max, const char *const *own, int own_count)
{
    struct decoder *d = calloc(1, sizeof *d);
    if (d == NULL || !json_index_init(&d->index)) {
        free(d);
        err_set(ERR_MEMORY, "no memory for a decoder");
        return NULL;
    }
    d->message_max = message_max;
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
    json_index_close(&d->index);
    free(d->scratch);
    free(d);
}

const char *decoder_field(const struct decoder *d)
{
    return d->field;
}

/* ---- scalars ---- */

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* Where the token before `next` ends: white space stepped back over. */
static uint32_t token_end(const struct decoder *d, uint32_t i)
{
    uint32_t end = i + 1 < d->index.count ? d->index.at[i + 1] : d->length;
    while (is_space(d->message[end - 1]))
        end--;
    return end;
}

static int hex4(const char *at)
{
    int value = 0;
    for (int i = 0; i < 4; i++) {
        char c = at[i];
        int digit = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
        if (digit < 0)
            return -1;
        value = value * 16 + digit;
    }
    return value;
}

static char *utf8_put(char *out, uint32_t c)
{
    if (c < 0x80) {
        *out++ = (char)c;
    } else if (c < 0x800) {
        *out++ = (char)(0xc0 | c >> 6);
        *out++ = (char)(0x80 | (c & 0x3f));
    } else if (c < 0x10000) {
        *out++ = (char)(0xe0 | c >> 12);
        *out++ = (char)(0x80 | (c >> 6 & 0x3f));
        *out++ = (char)(0x80 | (c & 0x3f));
    } else {
        *out++ = (char)(0xf0 | c >> 18);
        *out++ = (char)(0x80 | (c >> 12 & 0x3f));
        *out++ = (char)(0x80 | (c >> 6 & 0x3f));
        *out++ = (char)(0x80 | (c & 0x3f));
    }
    return out;
}

/* The four digits behind \u, with a second \u when they are a high surrogate. NULL when they are no character. */
static const char *unicode_escape(const char *at, const char *end, char **out)
{
    int high = end - at >= 4 ? hex4(at) : -1;
    at += 4;
    if (high < 0 || (high >= 0xdc00 && high <= 0xdfff))
        return NULL;
    uint32_t c = (uint32_t)high;
    if (high >= 0xd800 && high <= 0xdbff) {
        int low = end - at >= 6 && at[0] == '\\' && at[1] == 'u' ? hex4(at + 2) : -1;
        if (low < 0xdc00 || low > 0xdfff)
            return NULL;
        at += 6;
        c = 0x10000 + (((uint32_t)high - 0xd800) << 10) + ((uint32_t)low - 0xdc00);
    }
    *out = utf8_put(*out, c);
    return at;
}

/* Copies a string without its escapes into the scratch. */
static bool unescape(struct decoder *d, const char *at, uint32_t length, const char **text, uint32_t *text_length)
{
    if (d->scratch == NULL && (d->scratch = malloc(d->message_max + 8)) == NULL)
        return false;
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    char *first = d->scratch + d->scratch_used, *out = first;
    for (const char *end = at + length; at < end;) {
        if (*at != '\\') {
            *out++ = *at++;
            continue;
        }
        at++;
        if (*at == 'u') {
            if ((at = unicode_escape(at + 1, end, &out)) == NULL)
                return false;
            continue;
        }
        const char *which = *at ? strchr(from, *at) : NULL;
        if (which == NULL)
            return false;
        *out++ = to[which - from];
        at++;
    }
    d->scratch_used += (size_t)(out - first);
    *text = first;
    *text_length = (uint32_t)(out - first);
    return true;
}

static bool read_string(struct decoder *d, uint32_t i, const char **text, uint32_t *length)
{
    uint32_t start = d->index.at[i] + 1, end = token_end(d, i);
    if (end <= start || d->message[end - 1] != '"')
        return false;
    *text = d->message + start;
    *length = end - 1 - start;
    if (memchr(*text, '\\', *length) != NULL)
        return unescape(d, *text, *length, text, length);
    return true;
}

static const char *skip_digits(const char *at, const char *end)
{
    while (at < end && *at >= '0' && *at <= '9')
        at++;
    return at;
}

static bool read_number(struct decoder *d, uint32_t i, struct slot *slot)
{
    const char *at = d->message + d->index.at[i], *end = d->message + token_end(d, i);
    bool negative = *at == '-';
    const char *first = at += negative, *after = skip_digits(first, end);
    if (after == first || (*first == '0' && after - first > 1))
        return false;
    slot->token = TOKEN_INTEGER;
    at = after;
    if (at < end && *at == '.') {
        after = skip_digits(at + 1, end);
        if (after == at + 1)
            return false;
        at = after;
        slot->token = TOKEN_REAL;
    }
    if (at < end && (*at == 'e' || *at == 'E')) {
        at++;
        at += at < end && (*at == '+' || *at == '-');
        after = skip_digits(at, end);
        if (after == at)
            return false;
        at = after;
        slot->token = TOKEN_REAL;
    }
    if (at != end)
        return false;
    if (slot->token == TOKEN_REAL)
        return true;
    if (end - first > 18) {
        slot->token = TOKEN_BIG;
        return true;
    }
    int64_t value = 0;
    for (at = first; at < end; at++)
        value = value * 10 + (*at - '0');
    slot->integer = negative ? -value : value;
    return true;
}

static bool read_word(struct decoder *d, uint32_t i, const char *word, uint32_t length)
{
    uint32_t start = d->index.at[i];
    return token_end(d, i) - start == length && memcmp(d->message + start, word, length) == 0;
}

/* Steps over a nested value by its brackets; returns the token after it, or 0 when they do not close. */
static uint32_t skip_nested(const struct decoder *d, uint32_t i)
{
    uint32_t depth = 0;
    for (; i < d->index.count; i++) {
        char c = d->message[d->index.at[i]];
        depth += c == '{' || c == '[';
        if ((c == '}' || c == ']') && --depth == 0)
            return i + 1;
    }
    return 0;
}

/* Reads the value at token i; returns the token after it, or 0 when it is no JSON. */
static uint32_t read_value(struct decoder *d, uint32_t i, struct slot *slot)
{
    switch (d->message[d->index.at[i]]) {
    case '"':
        slot->token = TOKEN_STRING;
        return read_string(d, i, &slot->at, &slot->length) ? i + 1 : 0;
    case '{':
    case '[':
        slot->token = d->message[d->index.at[i]] == '{' ? TOKEN_OBJECT : TOKEN_ARRAY;
        slot->index = i;
        return skip_nested(d, i);
    case 't':
        slot->token = TOKEN_TRUE;
        return read_word(d, i, "true", 4) ? i + 1 : 0;
    case 'f':
        slot->token = TOKEN_FALSE;
        return read_word(d, i, "false", 5) ? i + 1 : 0;
    case 'n':
        slot->token = TOKEN_NULL;
        return read_word(d, i, "null", 4) ? i + 1 : 0;
    default:
        return read_number(d, i, slot) ? i + 1 : 0;
    }
}

/* ---- the walk ---- */

static bool is_absent(const struct slot *value)
{
    return value->token == TOKEN_NULL || (value->token == TOKEN_STRING && value->length == 0);
}

typedef void member(struct decoder *d, void *context, const char *name, uint32_t length, const struct slot *value);

/* Walks the object that opens at token i, calling `each` a member; returns the token after it, or 0 when it is no JSON. */
static inline __attribute__((always_inline)) uint32_t walk(struct decoder *d, uint32_t i, member *each, void *context)
{
    const uint32_t *at = d->index.at, count = d->index.count;
    const char *message = d->message;
    if (++i < count && message[at[i]] == '}')
        return i + 1;
    while (i + 2 < count) {
        const char *name;
        uint32_t length;
        struct slot value;
        if (message[at[i]] != '"' || !read_string(d, i, &name, &length) || message[at[i + 1]] != ':')
            return 0;
        i = read_value(d, i + 2, &value);
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

/* Whether the tokens [i, count) are one JSON value, wholly checked, however deep. */
static bool whole_value(struct decoder *d, uint32_t i, uint32_t count)
{
    char *stack = malloc(count - i + 1); /* what is open: { or [ */
    uint32_t depth = 0;
    bool value = true, key = false, good = stack != NULL; /* a value, or a key, comes next */
    while (good && i < count) {
        char c = d->message[d->index.at[i]];
        struct slot slot;
        bool closes = c == '}' || c == ']';
        char before = depth ? d->message[d->index.at[i - 1]] : 0;
        if (closes && depth && stack[depth - 1] == (c == '}' ? '{' : '[') &&
            ((!value && !key) || before == (c == '}' ? '{' : '['))) {
            depth--;
            value = key = false;
            i++;
        } else if (key) {
            const char *name;
            good = c == '"' && i + 1 < count && read_string(d, i, &name, &slot.length) && d->message[d->index.at[i + 1]] == ':';
            i += 2;
            key = false;
            value = true;
        } else if (value && (c == '{' || c == '[')) {
            stack[depth++] = c;
            key = c == '{';
            value = !key;
            i++;
        } else if (value) {
            good = c != '}' && c != ']' && (i = read_value(d, i, &slot)) != 0;
            value = false;
        } else {
            good = c == ',' && depth;
            key = good && stack[depth - 1] == '{';
            value = !key;
            i++;
        }
        good = good && (depth || value || key || i == count);
    }
    free(stack);
    return good && depth == 0 && !value && !key;
}

static void nested_is_json(struct decoder *d, const struct slot *value)
{
    d->malformed |= !whole_value(d, value->index, skip_nested(d, value->index));
}

static void fill_slot(struct decoder *d, void *context, const char *name, uint32_t length, const struct slot *value)
{
    struct slots *slots = context;
    int which = name_find(d, name, length);
    if (which == NAME_UNKNOWN)
        return;
    struct slot *slot = &slots->slot[which];
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
    struct slot slot[DIMENSION_OWN_MAX];
    bool doubt; /* a member of another name may be a fault */
};

static void fill_own(struct decoder *d, void *context, const char *name, uint32_t length, const struct slot *value)
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

static void fill_suspect(struct decoder *d, void *context, const char *name, uint32_t length, const struct slot *value)
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
    struct suspects suspects = {malloc(d->index.count * sizeof *suspects.item), 0}; /* a member is some tokens */
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
    const struct slot *slot = &slots->slot[name];
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

static bool time_of(const struct slot *slot, int64_t *time_ms)
{
    if (slot->token == TOKEN_STRING)
        return event_time_rfc3339(slot->at, slot->length, time_ms);
    return slot->token == TOKEN_INTEGER && event_time_integer(slot->integer, time_ms);
}

static void take_field(const struct slots *slots, int field, struct event *ev, struct faults *faults)
{
    const struct slot *slot = &slots->slot[NAME_FIELD_FIRST + field];
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

static bool type_find(const struct slot *slot, enum event_type *type)
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
    slots->slot[name] = (struct slot){.token = TOKEN_STRING, .length = text->length, .at = text->at};
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
    if (length > d->message_max)
        return REFUSED_too_large;
    d->message = message;
    d->length = (uint32_t)length;
    d->scratch_used = 0;
    d->malformed = false;
    if (!json_index_text(&d->index, message, length))
        return REFUSED_not_json;
    if (message[d->index.at[0]] != '{')
        return whole_value(d, 0, d->index.count) ? REFUSED_not_an_object : REFUSED_not_json;
    d->top.given = 0;
    if (walk(d, 0, fill_slot, &d->top) != d->index.count)
        return REFUSED_not_json;
    return judge(d, headers, ev);
}
