/* explain_read: a row that was printed, read back into the integers that it was made from. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "esteem/err.h"
#include "explain_parts.h"

double explain_number(jv object, const char *name, double fallback)
{
    jv value = row_member(object, name);
    double found = jv_get_kind(value) == JV_KIND_NUMBER ? jv_number_value(value) : fallback;
    jv_free(value);
    return found;
}

/* The nearest of int64 that a double has; what is beyond stays at the end. */
int64_t explain_integer(jv object, const char *name)
{
    return (int64_t)fmax(fmin(explain_number(object, name, 0), 0x1p62), -0x1p62);
}

bool explain_is_true(jv object, const char *name)
{
    jv value = row_member(object, name);
    bool found = jv_get_kind(value) == JV_KIND_TRUE;
    jv_free(value);
    return found;
}

static void read_measures(struct row_view *view, jv row)
{
    jv measures = row_member(row, "measures");
    for (int i = 0; i < MEASURE_COUNT; i++)
        view->measure[i] = explain_integer(measures, measure_names[i]);
    jv_free(measures);
}

/* Buckets are named by their lower bound. */
static void read_histograms(struct row_view *view, jv row)
{
    jv histograms = row_member(row, "histograms");
    for (int h = 0; h < HISTOGRAM_COUNT; h++) {
        jv buckets = row_member(histograms, histogram_names[h]);
        if (jv_get_kind(buckets) == JV_KIND_OBJECT)
            for (int i = jv_object_iter(buckets); jv_object_iter_valid(buckets, i); i = jv_object_iter_next(buckets, i)) {
                jv low = jv_object_iter_key(buckets, i), count = jv_object_iter_value(buckets, i);
                uint32_t bucket = histogram_bucket(strtoll(jv_string_value(low), NULL, 10));
                if (bucket < HISTOGRAM_BUCKETS && jv_get_kind(count) == JV_KIND_NUMBER) {
                    uint32_t id = histogram_id((enum histogram)h, bucket);
                    view->dense.value[id] = (int64_t)fmax(fmin(jv_number_value(count), 0x1p62), 0);
                    view->dense.touched[id / 64] |= UINT64_C(1) << id % 64;
                }
                jv_free(low);
                jv_free(count);
            }
        jv_free(buckets);
    }
    jv_free(histograms);
}

int explain_open(struct telling *telling, jv row, const struct config *config, FILE *out)
{
    *telling = (struct telling){.out = out, .row = row, .config = config, .given = config != NULL};
    int result = row_key_of(row, &telling->key);
    char *end = row_text(row, "end");
    if (result == 0 && !event_time_parse(end, strlen(end), &telling->end_ms))
        result = err_set(ERR_DATA, "no row: \"end\" is missing or is no time");
    free(end);
    if (result != 0) {
        row_key_close(&telling->key);
        return result;
    }
    if (config == NULL) {
        struct config *defaults;
        ensure(config_parse("defaults", "", 0, NULL, &defaults) == 0, "an empty file is a configuration");
        telling->config = defaults;
    }
    telling->view = calloc(1, sizeof *telling->view);
    ensure(telling->view != NULL, "the machine has memory left");
    telling->view->config = telling->config;
    read_measures(telling->view, row);
    read_histograms(telling->view, row);
    metric_all(telling->view);
    telling->withheld_all = telling->view->measure[MEASURE_employee_survey_answered] == 0;
    return 0;
}

void explain_close(struct telling *telling)
{
    row_key_close(&telling->key);
    if (!telling->given)
        config_free((struct config *)telling->config);
    free(telling->view);
}

char *explain_text_of(const struct telling *telling, const char *metric, const char *name)
{
    jv metrics = row_member(telling->row, "metrics"), own = row_member(metrics, metric);
    char *text = jv_get_kind(own) == JV_KIND_OBJECT ? row_text(own, name) : strdup("");
    jv_free(own);
    jv_free(metrics);
    return text;
}

struct metric_value explain_value_of(const struct telling *telling, enum metric metric)
{
    struct metric_value value = {0};
    jv metrics = row_member(telling->row, "metrics"), own = row_member(metrics, metric_infos[metric].name);
    if (jv_get_kind(own) == JV_KIND_OBJECT) {
        value.value = explain_number(own, "value", NAN);
        value.present = !isnan(value.value);
        value.n = explain_integer(own, "n");
        value.low = explain_number(own, "low", NAN);
        value.high = explain_number(own, "high", NAN);
        value.moe = explain_number(own, "moe", NAN);
        value.interval = !isnan(value.low) && !isnan(value.high);
        value.margin = !isnan(value.moe);
        value.small = explain_is_true(own, "small");
    }
    jv_free(own);
    jv_free(metrics);
    return value;
}
