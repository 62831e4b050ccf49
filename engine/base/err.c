/* err: the error trail of a thread. Each thread has one code and one text of its own, so nothing is shared and nothing
 * is allocated. What does not fit is cut at the end: the outermost note stays readable. */
#include "esteem/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static _Thread_local struct {
    enum err code;
    char text[ERR_TEXT_MAX];
} trail;

/* The text is built aside first: an argument may be err_text() itself. */
int err_set(enum err code, const char *format, ...)
{
    char text[ERR_TEXT_MAX];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    memcpy(trail.text, text, sizeof text);
    trail.code = code;
    return code;
}

/* Moves the old text up behind the note; what passes the end is lost. */
static void trail_prepend(const char *note, size_t length)
{
    if (trail.text[0] == '\0') {
        memcpy(trail.text, note, length + 1);
        return;
    }
    size_t shift = length + strlen(": ");
    if (shift >= ERR_TEXT_MAX) {
        memcpy(trail.text, note, length + 1);
        return;
    }
    size_t old = strlen(trail.text), room = ERR_TEXT_MAX - 1 - shift;
    size_t kept = old < room ? old : room;
    memmove(trail.text + shift, trail.text, kept);
    trail.text[shift + kept] = '\0';
    memcpy(trail.text, note, length);
    memcpy(trail.text + length, ": ", 2);
}

int err_note(const char *format, ...)
{
    char note[ERR_TEXT_MAX];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(note, sizeof note, format, arguments);
    va_end(arguments);
    trail_prepend(note, strlen(note));
    return trail.code;
}

const char *err_text(void)
{
    return trail.text;
}

enum err err_code(void)
{
    return trail.code;
}

void err_clear(void)
{
    trail.code = ERR_NONE;
    trail.text[0] = '\0';
}

_Noreturn void err_broken(const char *file, int line, const char *what, const char *why)
{
    fprintf(stderr, "%s:%d: broken promise: %s (%s)\n", file, line, why, what);
    if (trail.text[0] != '\0')
        fprintf(stderr, "%s:%d: the trail so far: %s\n", file, line, trail.text);
    abort();
}
