/* command: the commands of the binary. Each takes its own arguments (argv[0] is its name) and returns the exit code:
 * 0 done, 1 something of the world failed (compute --diff: the rows differ), 2 the command line or a configuration is wrong, 3 another instance has the place. */
#ifndef ESTEEM_COMMAND_H
#define ESTEEM_COMMAND_H

enum { EXIT_DONE = 0, EXIT_FAILED = 1, EXIT_USAGE = 2, EXIT_FENCED = 3 };

int command_run(int argc, char **argv);
int command_compute(int argc, char **argv);
int command_check(int argc, char **argv);
int command_state(int argc, char **argv);
int command_ctl(int argc, char **argv);
int command_explain(int argc, char **argv);
int command_shadow(int argc, char **argv);
int command_demo(int argc, char **argv);

/* The exit code of a result, 0 or an ERR_*. */
int command_code(int result);
/* Says what is wrong and how to get help; returns EXIT_USAGE. */
int command_usage(const char *command, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Takes the FILE of -c; EXIT_USAGE, once told, when there is one already. */
int command_config(const char *command, const char *file, const char **config);

#endif
