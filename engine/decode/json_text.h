/* json_text: the values of one text, read where simdjson's index (json.h) says that they begin: grammar (RFC 8259), escapes, numbers. Strings lie in
 * the text, or without their escapes in a scratch; both stand until the next text begins. One a thread. */
#ifndef ESTEEM_JSON_TEXT_H
#define ESTEEM_JSON_TEXT_H

#include "json.h"

enum token { TOKEN_STRING, TOKEN_INTEGER, TOKEN_BIG /* an integer of more than 18 digits */, TOKEN_REAL, TOKEN_TRUE, TOKEN_FALSE, TOKEN_NULL,
             TOKEN_OBJECT, TOKEN_ARRAY };

struct json_value {
    enum token token;
    uint32_t length; /* of a string */
    union {
        const char *at;  /* string */
        int64_t integer;
        uint32_t index;  /* object, array: the token that opens it */
    };
};

struct json_text {
    struct json_index index;
    const char *bytes;
    uint32_t length;
    size_t most;   /* bytes of a text */
    char *scratch; /* strings without their escapes */
    size_t scratch_used;
};

bool json_text_init(struct json_text *text, size_t most); /* false: no memory */
void json_text_close(struct json_text *text);

/* Another text, of at most `most` bytes, borrowed until the next. False: as of json_index_text. */
bool json_text_begin(struct json_text *text, const char *bytes, size_t length);

/* The string at token i. False: it is none, or not well-formed. */
bool json_string(struct json_text *text, uint32_t i, const char **string, uint32_t *length);
/* The value at token i; returns the token after it, or 0 when it is no JSON. A nested one is stepped over, as by json_skip. */
uint32_t json_value_at(struct json_text *text, uint32_t i, struct json_value *value);
/* Steps over the nested value at token i by its brackets alone; returns the token after it, or 0 when they do not close. */
uint32_t json_skip(const struct json_text *text, uint32_t i);
/* Whether the tokens [i, count) are one JSON value, wholly checked, however deep. */
bool json_is_whole(struct json_text *text, uint32_t i, uint32_t count);

#endif
