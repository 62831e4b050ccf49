/* demo_view: a table of live figures, read from Redis as any dashboard would. On a terminal it redraws twice a second, else it
 * prints a table every five seconds. */
#ifndef ESTEEM_DEMO_VIEW_H
#define ESTEEM_DEMO_VIEW_H

#include <stdint.h>

struct demo_view;

struct demo_view *demo_view_new(const char *socket);
void demo_view_free(struct demo_view *view);
/* `left_s`: seconds until it ends by itself; -1: by Ctrl-C. */
void demo_view_draw(struct demo_view *view, int64_t now_ms, uint64_t events, int64_t left_s);

#endif
