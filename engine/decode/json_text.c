#include "json_text.h"

#include <stdlib.h>
#include <string.h>

bool json_text_init(struct json_text *text, size_t most)
{
    *text = (struct json_text){.most = most};
    return json_index_init(&text->index);
}

void json_text_close(struct json_text *text)
{
    json_index_close(&text->index);
    free(text->scratch);
}

bool json_text_begin(struct json_text *text, const char *bytes, size_t length)
{
    text->bytes = bytes;
    text->length = (uint32_t)length;
    text->scratch_used = 0;
    return json_index_text(&text->index, bytes, length);
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* Where the token before `next` ends: white space stepped back over. */
static inline uint32_t token_end(const struct json_text *text, uint32_t i)
{
    uint32_t end = i + 1 < text->index.count ? text->index.at[i + 1] : text->length;
    while (is_space(text->bytes[end - 1]))
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
static bool unescape(struct json_text *text, const char *at, uint32_t length, const char **string, uint32_t *string_length)
{
    if (text->scratch == NULL && (text->scratch = malloc(text->most + 8)) == NULL)
        return false;
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    char *first = text->scratch + text->scratch_used, *out = first;
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
    text->scratch_used += (size_t)(out - first);
    *string = first;
    *string_length = (uint32_t)(out - first);
    return true;
}

bool json_string(struct json_text *text, uint32_t i, const char **string, uint32_t *length)
{
    uint32_t start = text->index.at[i] + 1, end = token_end(text, i);
    if (end <= start || text->bytes[end - 1] != '"')
        return false;
    *string = text->bytes + start;
    *length = end - 1 - start;
    if (memchr(*string, '\\', *length) != NULL)
        return unescape(text, *string, *length, string, length);
    return true;
}

static const char *skip_digits(const char *at, const char *end)
{
    while (at < end && *at >= '0' && *at <= '9')
        at++;
    return at;
}

static inline bool read_number(struct json_text *text, uint32_t i, struct json_value *out)
{
    const char *at = text->bytes + text->index.at[i], *end = text->bytes + token_end(text, i);
    bool negative = *at == '-';
    const char *first = at += negative, *after = skip_digits(first, end);
    if (after == first || (*first == '0' && after - first > 1))
        return false;
    out->token = TOKEN_INTEGER;
    at = after;
    if (at < end && *at == '.') {
        after = skip_digits(at + 1, end);
        if (after == at + 1)
            return false;
        at = after;
        out->token = TOKEN_REAL;
    }
    if (at < end && (*at == 'e' || *at == 'E')) {
        at++;
        at += at < end && (*at == '+' || *at == '-');
        after = skip_digits(at, end);
        if (after == at)
            return false;
        at = after;
        out->token = TOKEN_REAL;
    }
    if (at != end)
        return false;
    if (out->token == TOKEN_REAL)
        return true;
    if (end - first > 18) {
        out->token = TOKEN_BIG;
        return true;
    }
    int64_t value = 0;
    for (at = first; at < end; at++)
        value = value * 10 + (*at - '0');
    out->integer = negative ? -value : value;
    return true;
}

static bool read_word(struct json_text *text, uint32_t i, const char *word, uint32_t length)
{
    uint32_t start = text->index.at[i];
    return token_end(text, i) - start == length && memcmp(text->bytes + start, word, length) == 0;
}

uint32_t json_skip(const struct json_text *text, uint32_t i)
{
    uint32_t depth = 0;
    for (; i < text->index.count; i++) {
        char c = text->bytes[text->index.at[i]];
        depth += c == '{' || c == '[';
        if ((c == '}' || c == ']') && --depth == 0)
            return i + 1;
    }
    return 0;
}

uint32_t json_value_at(struct json_text *text, uint32_t i, struct json_value *value)
{
    switch (text->bytes[text->index.at[i]]) {
    case '"':
        value->token = TOKEN_STRING;
        return json_string(text, i, &value->at, &value->length) ? i + 1 : 0;
    case '{':
    case '[':
        value->token = text->bytes[text->index.at[i]] == '{' ? TOKEN_OBJECT : TOKEN_ARRAY;
        value->index = i;
        return json_skip(text, i);
    case 't':
        value->token = TOKEN_TRUE;
        return read_word(text, i, "true", 4) ? i + 1 : 0;
    case 'f':
        value->token = TOKEN_FALSE;
        return read_word(text, i, "false", 5) ? i + 1 : 0;
    case 'n':
        value->token = TOKEN_NULL;
        return read_word(text, i, "null", 4) ? i + 1 : 0;
    default:
        return read_number(text, i, value) ? i + 1 : 0;
    }
}

bool json_is_whole(struct json_text *text, uint32_t i, uint32_t count)
{
    char *stack = malloc(count - i + 1); /* what is open: { or [ */
    uint32_t depth = 0;
    bool value = true, key = false, good = stack != NULL; /* a value, or a key, comes next */
    while (good && i < count) {
        char c = text->bytes[text->index.at[i]];
        struct json_value one;
        bool closes = c == '}' || c == ']';
        char before = depth ? text->bytes[text->index.at[i - 1]] : 0;
        if (closes && depth && stack[depth - 1] == (c == '}' ? '{' : '[') &&
            ((!value && !key) || before == (c == '}' ? '{' : '['))) {
            depth--;
            value = key = false;
            i++;
        } else if (key) {
            const char *name;
            good = c == '"' && i + 1 < count && json_string(text, i, &name, &one.length) && text->bytes[text->index.at[i + 1]] == ':';
            i += 2;
            key = false;
            value = true;
        } else if (value && (c == '{' || c == '[')) {
            stack[depth++] = c;
            key = c == '{';
            value = !key;
            i++;
        } else if (value) {
            good = c != '}' && c != ']' && (i = json_value_at(text, i, &one)) != 0;
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
