/* esteem ctl: asks a running engine by its control socket (control.h). */
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "esteem/command.h"
#include "esteem/config.h"
#include "esteem/control.h"

enum { WITHIN_MS = 120000 };

static const char help[] =
    "usage: esteem ctl -c FILE COMMAND\n"
    "       esteem ctl --socket PATH COMMAND\n"
    "\n"
    "Asks the esteem that runs under FILE, by its control.socket. Who may ask is who may open that (control.mode).\n"
    "\n"
    "  status [--json]    what runs: uptime, configuration, what needs a restart, counts, watermark, checkpoints, sinks\n"
    "  reload             reads FILE again, as SIGHUP does, and tells when it is in force: each change, whether it is live or needs\n"
    "                     a restart, and what becomes of scopes, windows and metrics. A wrong file changes nothing; its faults are told\n"
    "  reload --dry-run   tells the same, and changes nothing\n"
    "  dump KEY           the rows that a key has now, one JSON object a line: KEY is TENANT|SCOPE, 'acme|queue=billing', 'acme|all'\n"
    "  log-level LEVEL    debug, info, warn or error, until the next reload or restart\n"
    "  checkpoint         makes one now, and tells when it is written\n"
    "  pause, resume      stops reading, goes on; meanwhile what was read is published, and no window becomes final\n"
    "  forget CUSTOMER    erases what is kept of a customer: their hash in all open interactions, and their visits. Their open\n"
    "                     contacts count as those of nobody then (fcr_known and fcr lose them); what is told of longer ago stays,\n"
    "                     and names nobody. The next two checkpoints are whole, so that no file keeps it. What Kafka keeps, the\n"
    "                     source topics and the dead letters, is Kafka's to erase.\n"
    "\n"
    "  -c, --config FILE  its configuration: names the socket\n"
    "  --socket PATH      the socket itself\n"
    "  --tenant TENANT    of the customer; default: default\n"
    "\n"
    "Exit 0: done; 1: it could not be done, or nobody listens; 2: the command line or FILE is wrong.\n";

/* How many words follow a command, and which option it takes, which goes as one more word. */
static const struct {
    const char *name;
    int words;
    const char *wants; /* what the word is */
} commands[] = {{"status", 0, ""}, {"reload", 0, ""}, {"dump", 1, "KEY"}, {"log-level", 1, "LEVEL"}, {"checkpoint", 0, ""},
                {"pause", 0, ""}, {"resume", 0, ""}, {"forget", 1, "CUSTOMER"}};

struct arguments {
    const char *config, *socket, *tenant;
    bool json, dry;
    int words;
    char *word[3];
};

/* The command and what belongs to it, as the engine takes them. */
static int read_command(int argc, char **argv, struct arguments *arguments)
{
    size_t c = 0, count = sizeof commands / sizeof *commands;
    if (optind == argc)
        return command_usage("ctl", "say what it shall do: status, reload, dump, log-level, checkpoint, pause, resume or forget");
    char *name = argv[optind];
    while (c < count && strcmp(commands[c].name, name) != 0)
        c++;
    if (c == count)
        return command_usage("ctl", "there is no command %s", name);
    if (argc - optind != 1 + commands[c].words)
        return command_usage("ctl", commands[c].words ? "%s takes one word, %s" : "%s takes no words%s", name, commands[c].wants);
    if ((arguments->json && strcmp(name, "status") != 0) || (arguments->dry && strcmp(name, "reload") != 0))
        return command_usage("ctl", "--json goes with status, --dry-run with reload");
    arguments->word[arguments->words++] = name;
    if (strcmp(name, "forget") == 0)
        arguments->word[arguments->words++] = (char *)arguments->tenant;
    if (commands[c].words)
        arguments->word[arguments->words++] = argv[optind + 1];
    if (arguments->json || arguments->dry)
        arguments->word[arguments->words++] = arguments->json ? "json" : "dry";
    return 0;
}

static int read_arguments(int argc, char **argv, struct arguments *arguments)
{
    static const struct option options[] = {{"config", required_argument, NULL, 'c'}, {"socket", required_argument, NULL, 's'},
                                            {"tenant", required_argument, NULL, 't'}, {"json", no_argument, NULL, 'j'},
                                            {"dry-run", no_argument, NULL, 'd'}, {"help", no_argument, NULL, 'h'}, {NULL, 0, NULL, 0}};
    *arguments = (struct arguments){.tenant = "default"};
    for (int option; (option = getopt_long(argc, argv, "c:h", options, NULL)) != -1;) {
        if (option == 'c') {
            if (command_config("ctl", optarg, &arguments->config) != 0)
                return EXIT_USAGE;
        } else if (option == 's')
            arguments->socket = optarg;
        else if (option == 't')
            arguments->tenant = optarg;
        else if (option == 'j')
            arguments->json = true;
        else if (option == 'd')
            arguments->dry = true;
        else if (option == 'h') {
            fputs(help, stdout);
            return -1;
        } else
            return command_usage("ctl", "see above");
    }
    if (!arguments->config == !arguments->socket)
        return command_usage("ctl", "name the engine to ask: -c FILE or --socket PATH");
    return read_command(argc, argv, arguments);
}

int command_ctl(int argc, char **argv)
{
    struct arguments arguments;
    char path[CONTROL_LINE];
    struct config *config = NULL;
    int code = read_arguments(argc, argv, &arguments);
    if (code != 0)
        return code < 0 ? EXIT_DONE : code;
    if (arguments.config && config_load_without_secrets(arguments.config, stderr, &config) != 0)
        return EXIT_USAGE;
    if (arguments.socket)
        snprintf(path, sizeof path, "%s", arguments.socket);
    else if (!config_control_socket(config, path, sizeof path))
        code = command_usage("ctl", "%s has neither control.socket nor state.folder: there is no socket", arguments.config);
    if (code == 0)
        code = control_ask(path, arguments.words, arguments.word, WITHIN_MS);
    if (config)
        config_free(config);
    return code;
}
