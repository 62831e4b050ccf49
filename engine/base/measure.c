#include "esteem/measure.h"

const char *const measure_names[MEASURE_COUNT] = {
#define MEASURE(name, families, meaning) #name,
#include "esteem/measures.def"
#undef MEASURE
};
const char *const measure_meanings[MEASURE_COUNT] = {
#define MEASURE(name, families, meaning) meaning,
#include "esteem/measures.def"
#undef MEASURE
};

enum {
    CSAT = 1 << FAMILY_CSAT, NPS = 1 << FAMILY_NPS, AHT = 1 << FAMILY_AHT, SERVICE = 1 << FAMILY_SERVICE,
    CONTACT = 1 << FAMILY_CONTACT, USAGE = 1 << FAMILY_USAGE, SALES = 1 << FAMILY_SALES, EMPLOYEE = 1 << FAMILY_EMPLOYEE, INNER = 0, NOW = 0,
};
const uint8_t measure_families[MEASURE_COUNT] = {
#define MEASURE(name, families, meaning) families,
#include "esteem/measures.def"
#undef MEASURE
};
const char *const family_names[FAMILY_COUNT] = {"csat", "nps", "aht", "service", "contact", "usage", "sales", "employee"};
const char *const histogram_names[HISTOGRAM_COUNT] = {"wait", "handle"};

bool measure_is_employee(enum measure measure)
{
    return measure_families[measure] & EMPLOYEE && measure != MEASURE_employee_survey_sent;
}

int64_t histogram_low_ms(uint32_t bucket)
{
    if (bucket < 64)
        return bucket;
    uint32_t octave = (bucket - 64) / 32 + 6, sub = (bucket - 64) % 32;
    return (int64_t)(32 + sub) << (octave - 5);
}

int64_t histogram_middle_ms(uint32_t bucket)
{
    int64_t width = bucket < 64 ? 1 : INT64_C(1) << ((bucket - 64) / 32 + 1);
    return histogram_low_ms(bucket) + width / 2;
}
