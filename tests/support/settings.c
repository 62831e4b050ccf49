#include "support/settings.h"

#include <stdlib.h>
#include <string.h>

struct config *config_of(const char *yaml)
{
    struct config *config;
    if (config_parse("test", yaml, strlen(yaml), stderr, &config) != 0)
        abort();
    return config;
}
