/* event: one native event as the decoder hands it on: validated, its strings still inside the message (or in the decoder's
 * scratch), nothing copied. It lives until the next event_decode on the same decoder. SEMANTICS 1 is its specification;
 * events.def holds the tables. */
#ifndef ESTEEM_EVENT_H
#define ESTEEM_EVENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum dimension {
#define DIMENSION(name, meaning) DIMENSION_##name,
#include "esteem/dimensions.def"
#undef DIMENSION
    DIMENSION_BUILTIN,
    DIMENSION_OWN_MAX = 5,
    DIMENSION_MAX = DIMENSION_BUILTIN + DIMENSION_OWN_MAX
};

enum event_type {
#define EVENT(NAME, type, fields, meaning) EVENT_##NAME,
#include "esteem/events.def"
    EVENT_COUNT,
    EVENT_INTERACTION_LAST = EVENT_COMPLETED /* up to here the interaction.* types */
};

enum field {
#define FIELD(name, KIND, low, high, meaning) FIELD_##name,
#include "esteem/events.def"
    FIELD_COUNT
};

enum refusal {
    REFUSED_NOT, /* accepted */
#define REFUSAL(name, meaning) REFUSED_##name,
#include "esteem/events.def"
    REFUSAL_COUNT
};

/* Words of the enumerations, as the events spell them. */
enum respondent { RESPONDENT_CUSTOMER, RESPONDENT_EMPLOYEE };
enum offer_kind { OFFER_UPSELL, OFFER_CROSS_SELL, OFFER_SAVE };
enum message_from { FROM_AGENT, FROM_CUSTOMER };
enum agent_state { STATE_READY, STATE_BUSY, STATE_WRAP, STATE_AWAY, STATE_OFFLINE };

#define DURATION_MAX_MS INT64_C(2678400000)     /* 31 d */
#define COUNT_MAX INT64_C(1000000000000)        /* 10^12: counts, costs, values */
#define INTEGER_MAX (INT64_C(1) << 53)          /* any integer */
#define TIME_END_MS INT64_C(7258118400000)      /* 2200-01-01: the first time that is refused */
enum { STRING_MAX = 256, ID_MAX = 128,         /* bytes */
       STRING_KEPT_MAX = 2 * STRING_MAX }; /* as it is kept: a NUL character takes two (intake.c) */

struct text {
    const char *at;
    uint32_t length; /* 0: absent */
};

struct event {
    int64_t time_ms; /* event time */
    struct text id, tenant, interaction, customer;
    uint32_t dimensions; /* bit i: dimension[i] is named */
    uint32_t fields;     /* bit i: field i is given */
    enum event_type type;
    bool comment;        /* a comment that is not empty */
    struct text survey;
    struct text dimension[DIMENSION_MAX]; /* valid where the bit is set */
    int64_t field[FIELD_COUNT];           /* valid where the bit is set; times in ms, words as their enum */
};

static inline bool event_has(const struct event *ev, enum field field)
{
    return ev->fields >> field & 1;
}

extern const char *const event_type_names[EVENT_COUNT];
extern const char *const field_names[FIELD_COUNT];
extern const char *const refusal_names[REFUSAL_COUNT];
extern const char *const dimension_names[DIMENSION_BUILTIN];
extern const uint32_t event_own_fields[EVENT_COUNT]; /* bits of enum field */

/* CloudEvents binary form: what the message's headers say. All lengths 0 when there are none. */
struct event_headers {
    struct text id, type, time;
    bool given;
};

/* The decoder: one a thread. `own` are the names of the deployment's dimensions, borrowed. */
struct decoder;
struct decoder *decoder_new(size_t message_max, const char *const *own, int own_count);
/* Other own dimensions, from the next event on; borrowed as those before. Those of the bits in `gone` are as if not named. */
void decoder_own(struct decoder *decoder, const char *const *own, int own_count, uint32_t gone);
void decoder_free(struct decoder *decoder);

/* Decodes one message into `*ev`. On refusal returns the reason; decoder_field then names the field at fault ("" if none).
 * `too_late` and `too_new` are not tested here: they need a watermark and a clock. */
enum refusal event_decode(struct decoder *decoder, const char *message, size_t length,
                          const struct event_headers *headers, struct event *ev);
const char *decoder_field(const struct decoder *decoder);

/* RFC 3339 with zone, or digits of epoch milliseconds, as `time` takes them. False when it is none. */
bool event_time_parse(const char *text, size_t length, int64_t *time_ms);
bool event_time_rfc3339(const char *text, size_t length, int64_t *time_ms);
bool event_time_integer(int64_t value, int64_t *time_ms);
/* "2026-11-22T14:00:00Z", with milliseconds only when there are some. `out` holds TIME_TEXT_MAX bytes. */
enum { TIME_TEXT_MAX = 32 };
size_t event_time_format(int64_t time_ms, char *out);

#endif
