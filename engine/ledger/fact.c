/* The packed form of a fact:
 *
 *   length u16 | type and flags u8 | id hash u64 | time 6 bytes | varint dimensions mask, varint each | varint fields mask,
 *   zigzag varint each (times as difference to `time`) | customer u64, survey u64 where the flag says so, interaction u64 where the
 *   dimensions mask has WITH_INTERACTION */
#include "esteem/fact.h"

#include <string.h>

#include "esteem/varint.h"

#define WITH_INTERACTION (UINT64_C(1) << DIMENSION_MAX)
enum { TYPE_MASK = 31, FLAG_COMMENT = 32, FLAG_CUSTOMER = 64, FLAG_SURVEY = 128, AT_TYPE = 2, AT_ID = 3, AT_TIME = 11, AT_REST = 17 };
_Static_assert((int)EVENT_COUNT <= (int)TYPE_MASK, "a type fits five bits");

static const uint32_t time_fields = 1u << FIELD_offered_at | 1u << FIELD_answered_at | 1u << FIELD_ended_at | 1u << FIELD_wrapped_at;

uint32_t fact_pack(const struct fact *fact, uint8_t *out)
{
    bool survey = fact->survey_hash != fact->id_hash && fact->type == EVENT_SURVEY_ANSWERED;
    out[AT_TYPE] = (uint8_t)((unsigned)fact->type | (fact->comment ? FLAG_COMMENT : 0u) | (fact->customer ? FLAG_CUSTOMER : 0u) |
                             (survey ? FLAG_SURVEY : 0u));
    memcpy(out + AT_ID, &fact->id_hash, 8);
    memcpy(out + AT_TIME, &fact->time_ms, 6); /* little endian: the low 48 bits, enough to the year 10889 */
    bool interaction = fact->customer && fact->interaction;
    uint8_t *at = varint_put(out + AT_REST, fact->dimensions | (interaction ? WITH_INTERACTION : 0));
    for (uint32_t left = fact->dimensions; left; left &= left - 1)
        at = varint_put(at, fact->dimension[__builtin_ctz(left)]);
    at = varint_put(at, fact->fields);
    for (uint32_t left = fact->fields; left; left &= left - 1) {
        int field = __builtin_ctz(left);
        int64_t value = fact->field[field] - (time_fields >> field & 1 ? fact->time_ms : 0);
        at = varint_put(at, zigzag(value));
    }
    if (fact->customer) {
        memcpy(at, &fact->customer, 8);
        at += 8;
    }
    if (survey) {
        memcpy(at, &fact->survey_hash, 8);
        at += 8;
    }
    if (interaction) {
        memcpy(at, &fact->interaction, 8);
        at += 8;
    }
    uint16_t length = (uint16_t)(at - out);
    memcpy(out, &length, 2);
    return length;
}

uint32_t fact_length(const uint8_t *at)
{
    uint16_t length;
    memcpy(&length, at, 2);
    return length;
}

uint32_t fact_unpack(const uint8_t *packed, struct fact *fact)
{
    uint64_t value;
    fact->type = packed[AT_TYPE] & TYPE_MASK;
    fact->comment = packed[AT_TYPE] & FLAG_COMMENT;
    memcpy(&fact->id_hash, packed + AT_ID, 8);
    fact->time_ms = 0;
    memcpy(&fact->time_ms, packed + AT_TIME, 6);
    const uint8_t *at = varint_get(packed + AT_REST, &value);
    bool interaction = value & WITH_INTERACTION;
    fact->dimensions = (uint32_t)(value & (WITH_INTERACTION - 1));
    for (uint32_t left = fact->dimensions; left; left &= left - 1) {
        at = varint_get(at, &value);
        fact->dimension[__builtin_ctz(left)] = (uint32_t)value;
    }
    at = varint_get(at, &value);
    fact->fields = (uint32_t)value;
    for (uint32_t left = fact->fields; left; left &= left - 1) {
        int field = __builtin_ctz(left);
        at = varint_get(at, &value);
        fact->field[field] = unzigzag(value) + (time_fields >> field & 1 ? fact->time_ms : 0);
    }
    fact->customer = 0;
    fact->survey_hash = fact->id_hash;
    if (packed[AT_TYPE] & FLAG_CUSTOMER) {
        memcpy(&fact->customer, at, 8);
        at += 8;
    }
    if (packed[AT_TYPE] & FLAG_SURVEY) {
        memcpy(&fact->survey_hash, at, 8);
        at += 8;
    }
    fact->interaction = 0;
    if (interaction)
        memcpy(&fact->interaction, at, 8);
    return fact_length(packed);
}

uint32_t fact_agent(const uint8_t *packed)
{
    uint64_t mask, value = 0;
    const uint8_t *at = varint_get(packed + AT_REST, &mask);
    if (!(mask >> DIMENSION_agent & 1))
        return 0;
    for (int before = __builtin_popcountll(mask & ((1u << DIMENSION_agent) - 1)); before >= 0; before--)
        at = varint_get(at, &value);
    return (uint32_t)value;
}

bool fact_forget_customer(uint8_t *packed, uint64_t customer)
{
    uint64_t mask;
    (void)varint_get(packed + AT_REST, &mask);
    if (!(packed[AT_TYPE] & FLAG_CUSTOMER))
        return false;
    uint32_t hashes = 1 + (packed[AT_TYPE] & FLAG_SURVEY ? 1u : 0u) + (mask & WITH_INTERACTION ? 1u : 0u);
    uint8_t *at = packed + fact_length(packed) - 8 * hashes; /* the customer is the first of the hashes at the end */
    if (memcmp(at, &customer, 8) != 0)
        return false;
    memset(at, 0, 8);
    return true;
}

bool fact_same_event(const uint8_t *at, const struct fact *fact)
{
    if (memcmp(at + AT_ID, &fact->id_hash, 8) != 0)
        return false;
    enum event_type type = at[AT_TYPE] & TYPE_MASK;
    if (type != fact->type || (type != EVENT_COMPLETED && type != EVENT_SURVEY_ANSWERED))
        return true;
    struct fact other;
    fact_unpack(at, &other);
    return fact_version(&other) == fact_version(fact);
}

/* A varint and its end; NULL when it does not end in time. */
static const uint8_t *checked(const uint8_t *at, const uint8_t *end, uint64_t *value)
{
    *value = 0;
    for (unsigned shift = 0; at && at < end && shift < 64; shift += 7) {
        uint64_t byte = *at++;
        *value |= (byte & 0x7f) << shift;
        if (byte < 0x80)
            return at;
    }
    return NULL;
}

static bool fact_valid(const uint8_t *packed, uint32_t length)
{
    const uint8_t *end = packed + length;
    uint64_t mask, value;
    if ((packed[AT_TYPE] & TYPE_MASK) >= EVENT_COUNT)
        return false;
    const uint8_t *at = checked(packed + AT_REST, end, &mask);
    bool interaction = mask & WITH_INTERACTION;
    if (mask >> (DIMENSION_MAX + 1))
        return false;
    for (int left = __builtin_popcountll(mask & (WITH_INTERACTION - 1)); left > 0; left--)
        at = checked(at, end, &value);
    at = checked(at, end, &mask);
    if (mask >> FIELD_COUNT)
        return false;
    for (int left = __builtin_popcountll(mask); left > 0; left--)
        at = checked(at, end, &value);
    int hashes = (packed[AT_TYPE] & FLAG_CUSTOMER ? 1 : 0) + (packed[AT_TYPE] & FLAG_SURVEY ? 1 : 0) + interaction;
    return at != NULL && end - at == 8 * hashes;
}

bool fact_log_valid(const uint8_t *log, uint32_t length)
{
    uint32_t at = 0;
    while (length - at > AT_REST) {
        uint32_t one = fact_length(log + at);
        if (one <= AT_REST || one > FACT_BYTES_MAX || one > length - at || !fact_valid(log + at, one))
            return false;
        at += one;
    }
    return at == length;
}

static int compare(int64_t a, int64_t b)
{
    return (a > b) - (a < b);
}

int fact_order(const void *left, const void *right)
{
    const struct fact *a = left, *b = right;
    int order = compare(a->time_ms, b->time_ms);
    if (order == 0)
        order = compare(a->type, b->type);
    if (order == 0)
        order = (a->id_hash > b->id_hash) - (a->id_hash < b->id_hash);
    if (order == 0)
        order = compare(fact_version(a), fact_version(b));
    return order ? order : compare(a->arrival, b->arrival);
}
