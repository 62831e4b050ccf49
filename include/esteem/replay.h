/* replay: `esteem replay`, the command that sends recorded events from files into Kafka. Each event is keyed by
 * "tenant|interaction" (by "tenant|id" outside any interaction) and partitioned by murmur2 as the Java client does, so that all
 * events of an interaction meet in one partition. Runs on: main. */
#ifndef ESTEEM_REPLAY_H
#define ESTEEM_REPLAY_H

/* argv[0] is the command's own name. Returns the exit status: 0 all sent, 1 something failed, 2 wrong usage. */
int replay_main(int argc, char **argv);

#endif
