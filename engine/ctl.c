/* esteem ctl: asks a running engine by its control socket (control.h). */
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "esteem/command.h"
#include "esteem/config.h"
#include "esteem/control.h"

enum { WITHIN_MS = 120000 };

static const char help[] =
    "usage: esteem ctl -c FILE forget CUSTOMER [--tenant TENANT]\n"
    "       esteem ctl --socket PATH forget CUSTOMER [--tenant TENANT]\n"
    "\n"
    "Asks the esteem that runs under FILE, by its control.socket. Who may ask is who may open that (mode 0600).\n"
    "\n"
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

struct arguments {
    const char *config, *socket, *tenant;
};

static int read_arguments(int argc, char **argv, struct arguments *arguments)
{
    static const struct option options[] = {{"config", required_argument, NULL, 'c'}, {"socket", required_argument, NULL, 's'},
                                            {"tenant", required_argument, NULL, 't'}, {"help", no_argument, NULL, 'h'}, {NULL, 0, NULL, 0}};
    *arguments = (struct arguments){.tenant = "default"};
    for (int option; (option = getopt_long(argc, argv, "c:h", options, NULL)) != -1;) {
        if (option == 'c')
            arguments->config = optarg;
        else if (option == 's')
            arguments->socket = optarg;
        else if (option == 't')
            arguments->tenant = optarg;
        else if (option == 'h') {
            fputs(help, stdout);
            return -1;
        } else
            return command_usage("ctl", "see above");
    }
    if (!arguments->config == !arguments->socket)
        return command_usage("ctl", "name the engine to ask: -c FILE or --socket PATH");
    if (argc - optind != 2 || strcmp(argv[optind], "forget") != 0)
        return command_usage("ctl", "say what it shall do: forget CUSTOMER");
    return 0;
}

int command_ctl(int argc, char **argv)
{
    struct arguments arguments;
    char path[CONTROL_LINE];
    struct config *config = NULL;
    int code = read_arguments(argc, argv, &arguments);
    if (code != 0)
        return code < 0 ? EXIT_DONE : code;
    if (arguments.config && config_load(arguments.config, stderr, &config) != 0)
        return EXIT_USAGE;
    if (arguments.socket)
        snprintf(path, sizeof path, "%s", arguments.socket);
    else if (!config_control_socket(config, path, sizeof path))
        code = command_usage("ctl", "%s has neither control.socket nor state.folder: there is no socket", arguments.config);
    char *words[] = {"forget", (char *)arguments.tenant, argv[optind + 1]};
    if (code == 0)
        code = control_ask(path, 3, words, WITHIN_MS);
    if (config)
        config_free(config);
    return code;
}
