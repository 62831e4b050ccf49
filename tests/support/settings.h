/* settings: a configuration from YAML text, for tests. */
#ifndef ESTEEM_TEST_SETTINGS_H
#define ESTEEM_TEST_SETTINGS_H

#include "esteem/config.h"

/* Parses it; a fault ends the test program with the fault's text. Freed by the caller with config_free. */
struct config *config_of(const char *yaml);

#endif
