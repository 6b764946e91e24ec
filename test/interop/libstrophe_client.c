/* libstrophe (C) over TCP with STARTTLS, driven by lines on its standard input. With a fourth argument it lets its session last. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <strophe.h>

static char input[8192];
static size_t filled = 0;
static char bound[3072];
static int leaving = 0;
static int lasting = 0;

static void say_from(xmpp_ctx_t *ctx, const char *kind, xmpp_stanza_t *stanza, const char *text)
{
    const char *from = xmpp_stanza_get_from(stanza);
    char *bare = from ? xmpp_jid_bare(ctx, from) : NULL;
    printf("%s %s%s%s\n", kind, bare ? bare : "", text ? " " : "", text ? text : "");
    fflush(stdout);
    if (bare) xmpp_free(ctx, bare);
}

static int on_presence(xmpp_conn_t *conn, xmpp_stanza_t *stanza, void *userdata)
{
    (void)userdata;
    if (!xmpp_stanza_get_type(stanza)) say_from(xmpp_conn_get_context(conn), "presence", stanza, NULL);
    return 1;
}

static int on_message(xmpp_conn_t *conn, xmpp_stanza_t *stanza, void *userdata)
{
    xmpp_ctx_t *ctx = xmpp_conn_get_context(conn);
    char *text = xmpp_message_get_body(stanza);
    (void)userdata;
    say_from(ctx, "message", stanza, text ? text : "");
    if (text) xmpp_free(ctx, text);
    return 1;
}

static void obey(xmpp_conn_t *conn, char *line)
{
    xmpp_ctx_t *ctx = xmpp_conn_get_context(conn);
    if (strncmp(line, "quit", 4) == 0) {
        leaving = 1;
        xmpp_disconnect(conn);
    } else if (strncmp(line, "send ", 5) == 0) {
        char *to = line + 5;
        char *body = strchr(to, ' ');
        if (!body) return;
        *body++ = '\0';
        xmpp_stanza_t *message = xmpp_message_new(ctx, "chat", to, NULL);
        xmpp_message_set_body(message, body);
        xmpp_send(conn, message);
        xmpp_stanza_release(message);
    }
}

static int read_input(xmpp_conn_t *conn, void *userdata)
{
    ssize_t got = read(STDIN_FILENO, input + filled, sizeof input - 1 - filled);
    (void)userdata;
    if (got > 0) filled += (size_t)got;
    input[filled] = '\0';
    for (char *end; (end = strchr(input, '\n'));) {
        *end = '\0';
        obey(conn, input);
        filled -= (size_t)(end + 1 - input);
        memmove(input, end + 1, filled + 1);
    }
    return 1;
}

static int begin(xmpp_conn_t *conn, xmpp_stanza_t *enabled, void *userdata)
{
    xmpp_stanza_t *presence = xmpp_presence_new(userdata);
    (void)enabled;
    xmpp_send(conn, presence);
    xmpp_stanza_release(presence);
    puts("ready");
    fflush(stdout);
    return 0;
}

static void on_connection(xmpp_conn_t *conn, xmpp_conn_event_t status, int error, xmpp_stream_error_t *stream_error, void *userdata)
{
    xmpp_ctx_t *ctx = userdata;
    (void)stream_error;
    if (status == XMPP_CONN_CONNECT) {
        const char *jid = xmpp_conn_get_bound_jid(conn);
        xmpp_handler_add(conn, on_presence, NULL, "presence", NULL, ctx);
        xmpp_handler_add(conn, on_message, NULL, "message", NULL, ctx);
        xmpp_timed_handler_add(conn, read_input, 50, ctx);
        /* The server makes another resource for each session that begins. */
        if (jid && strcmp(jid, bound) == 0) {
            puts("resumed");
            fflush(stdout);
            return;
        }
        snprintf(bound, sizeof bound, "%s", jid ? jid : "");
        /* The library counts what it sends only from when it is told that somebody else does. */
        if (lasting) xmpp_handler_add(conn, begin, XMPP_NS_SM, "enabled", NULL, ctx);
        else begin(conn, NULL, ctx);
    } else {
        fprintf(stderr, "gone %d\n", error);
        xmpp_stop(ctx);
    }
}

int main(int argc, char **argv)
{
    xmpp_sm_state_t *state = NULL;
    if (argc < 4) return 2;
    lasting = argc > 4;
    fcntl(STDIN_FILENO, F_SETFL, O_NONBLOCK);
    xmpp_initialize();
    xmpp_ctx_t *ctx = xmpp_ctx_new(NULL, xmpp_get_default_logger(XMPP_LEVEL_WARN));
    do {
        xmpp_conn_t *conn = xmpp_conn_new(ctx);
        xmpp_conn_set_flags(conn, XMPP_CONN_FLAG_TRUST_TLS | XMPP_CONN_FLAG_MANDATORY_TLS);
        xmpp_conn_set_jid(conn, argv[1]);
        xmpp_conn_set_pass(conn, argv[2]);
        if (state && xmpp_conn_set_sm_state(conn, state) != XMPP_EOK) xmpp_free_sm_state(state);
        if (xmpp_connect_client(conn, "127.0.0.1", (unsigned short)atoi(argv[3]), on_connection, ctx) != XMPP_EOK) return 1;
        xmpp_run(ctx);
        state = xmpp_conn_get_sm_state(conn);
        xmpp_conn_release(conn);
    } while (lasting && !leaving);
    if (state) xmpp_free_sm_state(state);
    xmpp_ctx_free(ctx);
    xmpp_shutdown();
    return 0;
}
