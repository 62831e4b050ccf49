/* schema: what the tables say, for people and for other programs: JSON Schemas (draft 2020-12) and pages in markdown. The files in
 * schemas/ are these texts (`make schemas`; tests/schemas.sh compares). config_schema and config_manual (config.h) are of the same
 * kind. Runs on: any thread; writes to `out` only. */
#ifndef ESTEEM_SCHEMA_H
#define ESTEEM_SCHEMA_H

#include <stdio.h>

void schema_events(FILE *out);  /* JSON Schema: a native event, and its CloudEvents structured form */
void schema_row(FILE *out);     /* JSON Schema: a row */
void schema_metrics(FILE *out); /* markdown: metrics and measures */
void schema_redis(FILE *out);
void schema_observe(FILE *out);   /* markdown: Redis keys, topics */

/* `esteem schema NAME`: argv[0] is the command's own name. */
int command_schema(int argc, char **argv);

#endif
