#include "demo_view.h"

#include <hiredis/hiredis.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "esteem/err.h"

enum { TERMINAL_MS = 500, PLAIN_MS = 5000, FIELDS = 8 };

static const char *const scopes[] = {"all", "queue=billing", "queue=sales", "queue=support", "queue=returns", "team=north", "team=south", "team=east",
                                     "brand=basic", "language=fr"};
static const char *const teams[] = {"north", "south", "east"};
enum { SCOPES = sizeof scopes / sizeof *scopes, TEAMS = sizeof teams / sizeof *teams };

struct demo_view {
    redisContext *redis;
    const char *socket;
    int64_t due_ms;
    bool terminal;
};

struct demo_view *demo_view_new(const char *socket)
{
    struct demo_view *view = calloc(1, sizeof *view);
    ensure(view != NULL, "the machine has memory left");
    view->redis = redisConnectUnix(socket);
    view->socket = socket;
    view->terminal = isatty(STDOUT_FILENO);
    if (view->terminal)
        fputs("\033[2J", stdout);
    return view;
}

void demo_view_free(struct demo_view *view)
{
    if (view->redis)
        redisFree(view->redis);
    free(view);
}

/* A figure, or a dash where there is none; `scale` turns ms into s. */
static void cell(const redisReply *value, double scale, const char *format)
{
    char text[32] = "-";
    if (value->type == REDIS_REPLY_STRING && value->len > 0)
        snprintf(text, sizeof text, format, strtod(value->str, NULL) * scale);
    printf(" %9s", text);
}

static void draw_scope(struct demo_view *view, const char *scope)
{
    redisReply *reply = redisCommand(view->redis, "HMGET esteem:v1:{acme}:%s:5m abandon_rate_n service_level asa_ms aht_ms csat nps usage_rate csat_n", scope);
    if (reply == NULL || reply->type != REDIS_REPLY_ARRAY || reply->elements != FIELDS) {
        if (reply)
            freeReplyObject(reply);
        return;
    }
    printf("%-14s", scope);
    cell(reply->element[0], 1, "%.0f");
    cell(reply->element[1], 1, "%.1f %%");
    cell(reply->element[2], 0.001, "%.1f s");
    cell(reply->element[3], 0.001, "%.1f s");
    cell(reply->element[4], 1, "%.1f %%");
    cell(reply->element[5], 1, "%.1f");
    cell(reply->element[6], 1, "%.1f %%");
    printf("\n");
    freeReplyObject(reply);
}

static void draw_now(struct demo_view *view)
{
    redisReply *reply = redisCommand(view->redis, "HMGET esteem:v1:{acme}:all:now waiting longest_wait_ms in_progress in_wrap");
    if (reply && reply->type == REDIS_REPLY_ARRAY && reply->elements == 4 && reply->element[0]->type == REDIS_REPLY_STRING)
        printf("\nnow: %s waiting, the first for %.0f s; %s in progress, %s in wrap\n", reply->element[0]->str,
               strtod(reply->element[1]->str, NULL) / 1000, reply->element[2]->str, reply->element[3]->str);
    if (reply)
        freeReplyObject(reply);
}

static void draw_adoption(struct demo_view *view)
{
    printf("\nadoption, 1 h: ");
    for (int i = 0; i < TEAMS; i++) {
        redisReply *reply = redisCommand(view->redis, "HMGET esteem:v1:{acme}:team=%s:1h adoption adoption_band", teams[i]);
        bool told = reply && reply->type == REDIS_REPLY_ARRAY && reply->elements == 2 && reply->element[0]->str && reply->element[1]->str;
        if (told)
            printf("%s%s %.0f %% (%s)", i ? ", " : "", teams[i], strtod(reply->element[0]->str, NULL), reply->element[1]->str);
        if (reply)
            freeReplyObject(reply);
    }
}

static void draw_goals(struct demo_view *view)
{
    redisReply *reply = redisCommand(view->redis, "ZREVRANGE esteem:v1:{acme}:goals 0 -1 WITHSCORES");
    bool missed = reply && reply->type == REDIS_REPLY_ARRAY && reply->elements >= 2;
    printf("\nbelow goal, by how many per cent of it: %s", missed ? "" : "nobody");
    for (size_t i = 0; missed && i + 1 < reply->elements; i += 2)
        printf("%s%s %.1f", i ? ", " : "", reply->element[i]->str, strtod(reply->element[i + 1]->str, NULL));
    putchar('\n');
    if (reply)
        freeReplyObject(reply);
}

void demo_view_draw(struct demo_view *view, int64_t now_ms, uint64_t events, int64_t left_s)
{
    if (now_ms < view->due_ms || view->redis == NULL || view->redis->err)
        return;
    view->due_ms = now_ms + (view->terminal ? TERMINAL_MS : PLAIN_MS);
    if (view->terminal)
        fputs("\033[H\033[J", stdout);
    printf("esteem demo: %llu events, the last 5 minutes", (unsigned long long)events);
    if (left_s >= 0)
        printf(", %lld s left\n\n", (long long)left_s);
    else
        printf(" (Ctrl-C ends it)\n\n");
    printf("%-14s %9s %9s %9s %9s %9s %9s %9s\n", "", "offered", "in SL", "ASA", "AHT", "CSAT", "NPS", "used");
    for (int i = 0; i < SCOPES; i++)
        draw_scope(view, scopes[i]);
    draw_now(view);
    draw_adoption(view);
    draw_goals(view);
    printf("\nredis-cli -s %s HGETALL 'esteem:v1:{acme}:queue=billing:5m'\n", view->socket);
    fflush(stdout);
}
