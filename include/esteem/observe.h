/* observe: the table of what GET /metrics tells (observe.def). */
#ifndef ESTEEM_OBSERVE_H
#define ESTEEM_OBSERVE_H

enum observe {
#define OBSERVE(name, kind, labels, help) OBSERVE_##name,
#include "esteem/observe.def"
#undef OBSERVE
    OBSERVE_COUNT
};

enum observe_kind { OBSERVE_KIND_COUNTER, OBSERVE_KIND_GAUGE, OBSERVE_KIND_HISTOGRAM };
static const char *const observe_kinds[] = {"counter", "gauge", "histogram"};

struct observe_row {
    const char *name, *labels, *help; /* labels: comma separated */
    enum observe_kind kind;
};

static const struct observe_row observe_rows[OBSERVE_COUNT] = {
#define OBSERVE(name, kind, labels, help) {#name, labels, help, OBSERVE_KIND_##kind},
#include "esteem/observe.def"
#undef OBSERVE
};

#endif
