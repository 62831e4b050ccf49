/* mapping: a jq program that turns a vendor's message into native events (SEMANTICS 1). One program a vendor, FOLDER/NAME.jq,
 * which may `include` other files of FOLDER. A struct mapping belongs to one thread; several threads take one each.
 *
 * Bounds: MAPPING_OUTPUT_MAX events and MAPPING_BYTES_MAX bytes from one message; what goes beyond fails. A program that loops
 * for ever without an output is not noticed: programs are the operator's, not the customer's. JSON is read as jq reads it (nan
 * and leading zeros pass), but bad UTF-8, more than one value and no value at all fail. */
#ifndef ESTEEM_MAPPING_H
#define ESTEEM_MAPPING_H

#include <stddef.h>

enum { MAPPING_OUTPUT_MAX = 10000, MAPPING_BYTES_MAX = 16 << 20 };

struct mapping;

/* Called once an output: one event as compact JSON, borrowed for the call, with a NUL behind it. */
typedef void mapping_each(void *context, const char *json, size_t length);

/* Compiles FOLDER/NAME.jq. NULL when that fails: err_text then names the file and says what jq says. */
struct mapping *mapping_new(const char *folder, const char *name);

/* Maps one message. All or nothing: `each` is called after the program has ended well, so a message that fails midway has no
 * events. Returns how many there were (0 is fine: `empty`), or ERR_MAPPING with jq's message in err_text; that text may quote the
 * message, so it may go to the dead-letter topic, not to the log. */
int mapping_run(struct mapping *mapping, const char *json, size_t length, mapping_each *each, void *context);

void mapping_free(struct mapping *mapping);
/* A list of them from malloc, each of which may be NULL, and the list; `list` may be NULL. */
void mapping_free_list(struct mapping **list, int count);

#endif
