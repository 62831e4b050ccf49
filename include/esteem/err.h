/* err: what went wrong, told from the inside out. The origin sets a code and a message, each caller
 * may put a note before it, the agent logs it once. The trail is per thread; no allocation. */
#ifndef ESTEEM_ERR_H
#define ESTEEM_ERR_H

enum err {
    ERR_NONE = 0,
    ERR_CONFIG = -1, /* a configuration file is wrong */
    ERR_IO = -2,     /* a file or a socket */
    ERR_KAFKA = -3,
    ERR_REDIS = -4,
    ERR_MAPPING = -5, /* a jq program is not there, does not compile or fails */
    ERR_MEMORY = -6,
    ERR_USAGE = -7,  /* the command line */
    ERR_FENCED = -8, /* a newer instance has taken over */
    ERR_DATA = -9,   /* input that is not what it should be */
    ERR_HELD_UP = -10, /* a thread does not come to its end: what it uses stays, until the process ends */
};

enum { ERR_TEXT_MAX = 1024 };

/* Sets the trail of this thread; returns `code`, so that `return err_set(ERR_IO, ...)` reads well. */
int err_set(enum err code, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Puts "note: " before what is there; returns the code that is there. */
int err_note(const char *format, ...) __attribute__((format(printf, 1, 2)));

const char *err_text(void); /* "" when nothing was set */
enum err err_code(void);
void err_clear(void);

/* A broken promise of our own: says where and why, and stops the process, in every build. */
#define ensure(what, why) ((what) ? (void)0 : err_broken(__FILE__, __LINE__, #what, why))
_Noreturn void err_broken(const char *file, int line, const char *what, const char *why);

#endif
