#include "esteem/command.h"
int command_run(int a,char**b){(void)a;(void)b;return 1;}
int command_demo(int a,char**b){(void)a;(void)b;return 1;}
