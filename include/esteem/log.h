/* log: one line an occurrence, key=value or JSON, to standard error. A message that repeats within a
 * second is counted, not printed again ("repeated=41"). Any thread; a mutex guards the line and the table
 * of recent messages. No customer data goes in here: never log an event's content. */
#ifndef ESTEEM_LOG_H
#define ESTEEM_LOG_H

#include <stdbool.h>

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };

void log_level_set(enum log_level level); /* live: takes effect with the next line */
bool log_level_parse(const char *word, enum log_level *level);
void log_json_set(bool json);

/* `event` is a short stable word ("kafka.away"), the rest a sentence. */
void log_line(enum log_level level, const char *event, const char *format, ...) __attribute__((format(printf, 3, 4)));

#define log_debug(...) log_line(LOG_DEBUG, __VA_ARGS__)
#define log_info(...) log_line(LOG_INFO, __VA_ARGS__)
#define log_warn(...) log_line(LOG_WARN, __VA_ARGS__)
#define log_error(...) log_line(LOG_ERROR, __VA_ARGS__)

#endif
