// Fan-out load client: opens CLIENTS WebSocket or SSE connections to 127.0.0.1, counts messages, prints one line of JSON.
//
//   fanclient ws|sse PORT[,PORT…] PATH CLIENTS EXPECT IDLE_MS [TRIGGER_PATH [STALL [SERVER_PGID]]]
//
// Connections take the ports in turn. TRIGGER_PATH is POSTed to the first one.
// A message is a WebSocket text frame, or an SSE block with a "data:" line. Once all connections are accepted and
// have been quiet for a moment, the counters are reset and TRIGGER_PATH is POSTed (if it is empty, READY is printed for
// a publisher that reads it). It ends when every live connection has EXPECT messages, or when nothing arrived for IDLE_MS.
// With EXPECT 0 it prints READY and keeps the connections until the server has closed them all, or nothing arrived for
// IDLE_MS. "told" counts those that were told when to reconnect, by 1012 or by retry.
// "@K:N@" in PATH stands for K of the numbers 1 to N, comma-separated, others for each connection: number k of connection
// i is 1 + (7919 i + 263 k) mod N. Environment: SAMPLE=1 times every message instead of one in sixteen; with ONLY=TEXT,
// WebSocket messages without that text are not counted.
// STALL of the connections have a small receive buffer and never read. A message with "t=SECONDS" (CLOCK_MONOTONIC, as
// returned by Python's time.monotonic()) is timed, but only one in sixteen, to keep the client's own cost low; so is one
// with "timestamp":"…" as our messages have it, from that time on. With
// SERVER_PGID, the CPU time and memory of that process group are reported. At the end the stalled connections are read:
// stalled_told of them contain a gap notice, stalled_closed were closed by the server, the others have everything.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

struct connection {
    int fd, open, stalled;
    long got;
    unsigned char *buf;
    size_t len, cap;
    size_t line, block;  // SSE: start of the current line and of its block in buf
    size_t scanned;      // SSE: how far buf has been scanned
    int told;            // was told when to reconnect
    int has_data;        // SSE: the block has a data: line
    double first;        // arrival of the first message
};

static unsigned sample = 16;
static const char *only = "";
static float *latencies;
static long latency_count, latency_cap;

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}

static int dial(int port, int receive_buffer) {
    static unsigned dialed;
    int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;
    if (receive_buffer) setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof receive_buffer);
    struct sockaddr_in from = {.sin_family = AF_INET}, to = {.sin_family = AF_INET, .sin_port = htons(port)};
    from.sin_addr.s_addr = htonl(INADDR_LOOPBACK + dialed++ / 20000);  // continue with 127.0.0.2 when the ports of an address are used up
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);  // ports of earlier runs may be used again
    bind(fd, (void *)&from, sizeof from);
    if (connect(fd, (void *)&to, sizeof to)) { perror("connect"); exit(1); }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    return fd;
}

static void expand(const char *path, int number, char *into, size_t room) {
    const char *from = strchr(path, '@'), *to = from ? strchr(from + 1, '@') : 0;
    int many, of;
    if (!to || sscanf(from, "@%d:%d@", &many, &of) != 2) { snprintf(into, room, "%s", path); return; }
    size_t len = snprintf(into, room, "%.*s", (int)(from - path), path);
    for (int k = 0; k < many; k++)
        len += snprintf(into + len, room - len, "%s%ld", k ? "," : "", 1 + (7919L * number + 263L * k) % of);
    snprintf(into + len, room - len, "%s", to + 1);
}

static void send_request(int fd, const char *request) {
    if (write(fd, request, strlen(request)) != (ssize_t)strlen(request)) { perror("write"); exit(1); }
}

static void read_head(struct connection *c, const char *status_line) {
    for (;;) {
        ssize_t n = read(c->fd, c->buf + c->len, c->cap - c->len - 1);
        if (n <= 0) { fprintf(stderr, "connection closed before its answer\n"); exit(1); }
        c->len += n;
        c->buf[c->len] = 0;
        unsigned char *end = memmem(c->buf, c->len, "\r\n\r\n", 4);
        if (!end) continue;
        if (memcmp(c->buf, status_line, 12)) { fprintf(stderr, "refused: %.300s\n", c->buf); exit(1); }
        c->len -= end + 4 - c->buf;
        memmove(c->buf, end + 4, c->len);
        c->open = 1;
        return;
    }
}

static double made_at(const unsigned char *text, size_t len) {
    const char *name = "\"timestamp\":\"";
    const unsigned char *found = memmem(text, len, name, strlen(name));
    struct tm t = {0};
    double second;
    if (!found || sscanf((char *)found + strlen(name), "%d-%d-%dT%d:%d:%lfZ", &t.tm_year, &t.tm_mon, &t.tm_mday, &t.tm_hour, &t.tm_min, &second) != 6) return 0;
    t.tm_year -= 1900; t.tm_mon--;
    struct timespec wall;
    clock_gettime(CLOCK_REALTIME, &wall);
    return now() - (wall.tv_sec + wall.tv_nsec / 1e9 - timegm(&t) - second);
}

static void time_message(const unsigned char *text, size_t len, double at) {
    static unsigned seen;
    if (seen++ % sample) return;
    unsigned char *mark = memmem(text, len, "t=", 2);
    double made = mark && mark + 3 <= text + len && mark[2] >= '0' && mark[2] <= '9' ? strtod((char *)mark + 2, 0) : made_at(text, len);
    if (!made) return;
    if (latency_count == latency_cap) {
        latency_cap = latency_cap ? latency_cap * 2 : 1 << 16;
        latencies = realloc(latencies, latency_cap * sizeof *latencies);
    }
    latencies[latency_count++] = (at - made) * 1e3;
}

static void drop_front(struct connection *c, size_t n) {
    memmove(c->buf, c->buf + n, c->len - n);
    c->len -= n;
}

static void scan_frames(struct connection *c, double at) {
    size_t p = 0;
    while (c->len - p >= 2) {
        unsigned char *f = c->buf + p;
        size_t len = f[1] & 127, head = 2;
        if (len == 126) { if (c->len - p < 4) break; len = f[2] << 8 | f[3]; head = 4; }
        else if (len == 127) {
            if (c->len - p < 10) break;
            len = 0; head = 10;
            for (int i = 2; i < 10; i++) len = len << 8 | f[i];
        }
        if (c->len - p < head + len) break;
        if ((f[0] & 15) == 1 && memmem(f + head, len, only, strlen(only))) { c->got++; time_message(f + head, len, at); }
        p += head + len;
    }
    drop_front(c, p);
}

static void scan_blocks(struct connection *c, double at) {
    unsigned char *newline;
    while ((newline = memchr(c->buf + c->scanned, '\n', c->len - c->scanned))) {
        size_t end = newline - c->buf, len = end - c->line;
        if (len && newline[-1] == '\r') len--;
        if (len >= 5 && !memcmp(c->buf + c->line, "data:", 5)) c->has_data = 1;
        c->line = c->scanned = end + 1;
        if (len) continue;
        if (c->has_data) { c->got++; time_message(c->buf + c->block, end - c->block, at); }
        c->has_data = 0;
        c->block = c->line;
    }
    c->scanned = c->len;
    size_t keep = c->block;
    drop_front(c, keep);
    c->line -= keep; c->scanned -= keep; c->block = 0;
}

static double cpu_seconds(int group, long *rss_kb) {
    double cpu = 0;
    DIR *proc = opendir("/proc");
    *rss_kb = 0;
    for (struct dirent *entry; proc && (entry = readdir(proc));) {
        char path[300], stat[1024];
        if (entry->d_name[0] < '0' || entry->d_name[0] > '9') continue;
        snprintf(path, sizeof path, "/proc/%s/stat", entry->d_name);
        FILE *file = fopen(path, "r");
        if (!file) continue;
        stat[fread(stat, 1, sizeof stat - 1, file)] = 0;
        fclose(file);
        char *rest = strrchr(stat, ')'), state;
        int parent, pgrp;
        unsigned long user, sys;
        long pages;
        if (!rest || sscanf(rest + 1, " %c %d %d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu %*d %*d %*d %*d %*d %*d %*u %*u %ld",
                            &state, &parent, &pgrp, &user, &sys, &pages) != 6 || pgrp != group) continue;
        cpu += (user + sys) / (double)sysconf(_SC_CLK_TCK);
        *rss_kb += pages * (sysconf(_SC_PAGESIZE) / 1024);
    }
    if (proc) closedir(proc);
    return cpu;
}

static int by_float(const void *a, const void *b) {
    float x = *(float *)a, y = *(float *)b;
    return x < y ? -1 : x > y;
}

int main(int argc, char **argv) {
    if (argc < 7) { fprintf(stderr, "usage: fanclient ws|sse PORT[,PORT...] PATH CLIENTS EXPECT IDLE_MS [TRIGGER [STALL [PGID]]]\n"); return 2; }
    int ws = !strcmp(argv[1], "ws"), port = atoi(argv[2]), clients = atoi(argv[4]), idle_ms = atoi(argv[6]);
    int ports[64], port_count = 0;
    for (char *next = argv[2]; next && port_count < 64; next = strchr(next, ',') ? strchr(next, ',') + 1 : 0) ports[port_count++] = atoi(next);
    long expect = atol(argv[5]);
    const char *path = argv[3], *trigger = argc > 7 && argv[7][0] ? argv[7] : 0;
    int stall = argc > 8 ? atoi(argv[8]) : 0, group = argc > 9 ? atoi(argv[9]) : 0;
    if (getenv("SAMPLE")) sample = atoi(getenv("SAMPLE"));
    if (getenv("ONLY")) only = getenv("ONLY");
    char request[1024];
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);

    struct connection *all = calloc(clients, sizeof *all);
    int epoll = epoll_create1(0);
    double opening = now();
    for (int i = 0; i < clients; i++) {
        struct connection *c = all + i;
        c->stalled = i < stall;
        port = ports[i % port_count];
        c->fd = dial(port, c->stalled ? 4096 : 0);
        c->cap = 65536;
        c->buf = malloc(c->cap);
        char own[512];
        expand(path, i, own, sizeof own);
        snprintf(request, sizeof request, ws
            ? "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
              "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
            : "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nAccept: text/event-stream\r\n\r\n", own, port);
        send_request(c->fd, request);
        read_head(c, ws ? "HTTP/1.1 101" : "HTTP/1.1 200");
        fcntl(c->fd, F_SETFL, O_NONBLOCK);
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
        if (!c->stalled) epoll_ctl(epoll, EPOLL_CTL_ADD, c->fd, &event);
    }
    double open_seconds = now() - opening, settled = now() + 0.6 + clients / 4000.0, start = 0, end = 0, last = 0, cpu = 0;
    long delivered = 0, bytes = 0, closed = 0, complete = 0, live = clients - stall, rss_kb = 0, told_back = 0;
    int counting = 0, holding = expect == 0;
    struct epoll_event events[512];
    while (!counting || ((holding ? live > 0 : complete < live) && (now() - last) * 1e3 < idle_ms)) {
        int n = epoll_wait(epoll, events, 512, 50);
        double at = now();
        for (int i = 0; i < n; i++) {
            struct connection *c = events[i].data.ptr;
            ssize_t k = read(c->fd, c->buf + c->len, c->cap - c->len);
            if (k < 0 && errno == EAGAIN) continue;
            if (k <= 0) {
                epoll_ctl(epoll, EPOLL_CTL_DEL, c->fd, 0);
                closed++; live--;
                if (!holding && c->got >= expect) complete--;
                continue;
            }
            long before = c->got;
            if (holding && counting && !c->told && memmem(c->buf + c->len, k, "retry", 5)) c->told = 1, told_back++;
            c->len += k; bytes += k;
            (ws ? scan_frames : scan_blocks)(c, at);
            if (c->len + 4096 > c->cap) c->buf = realloc(c->buf, c->cap *= 2);
            if (c->got == before) continue;
            last = end = at;
            if (!counting) continue;
            delivered += c->got - before;
            if (!c->first) c->first = at;
            if (before < expect && c->got >= expect) complete++;
        }
        if (!counting && at > settled) {
            counting = 1;
            for (int i = 0; i < clients; i++) {
                (ws ? scan_frames : scan_blocks)(all + i, at);  // what came with the head of the response
                all[i].got = 0, all[i].first = 0;
            }
            bytes = latency_count = 0;
            if (group) cpu = cpu_seconds(group, &rss_kb);
            start = last = now();
            if (!trigger || holding) { printf("READY\n"); fflush(stdout); continue; }
            snprintf(request, sizeof request, "POST %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", trigger, ports[0]);
            send_request(dial(ports[0], 0), request);
        }
    }
    double counted = now() - start;
    if (group) { long left_kb; cpu = cpu_seconds(group, holding ? &left_kb : &rss_kb) - cpu; }
    int told = 0, cut = 0;
    for (int i = 0; i < stall; i++) {
        static unsigned char text[1 << 20];
        int gap = 0, eof = 0;
        for (double until = now() + 1, quiet = now() + 0.2; now() < until && now() < quiet;) {
            ssize_t n = read(all[i].fd, text, sizeof text);
            if (n > 0) quiet = now() + 0.2;
            if (n > 0 && memmem(text, n, "\"gap\"", 5)) gap = 1;
            if (n == 0 || (n < 0 && errno != EAGAIN)) { eof = 1; break; }
            if (n < 0) { if (gap) break; usleep(2000); }
        }
        told += gap; cut += eof;
    }
    float *firsts = malloc(sizeof(float) * clients);
    int reached = 0;
    for (int i = 0; i < clients; i++) if (all[i].first) firsts[reached++] = (all[i].first - start) * 1e3;
    qsort(firsts, reached, sizeof *firsts, by_float);
    qsort(latencies, latency_count, sizeof *latencies, by_float);
    double span = end - start;
    printf("{\"clients\":%d,\"stalled\":%d,\"stalled_told\":%d,\"stalled_closed\":%d,\"open_s\":%.3f,\"expected\":%ld,\"delivered\":%ld,\"complete\":%ld,\"closed\":%ld,\"bytes\":%ld,"
           "\"span_s\":%.4f,\"per_s\":%.0f,\"first_p50_ms\":%.1f,\"first_p99_ms\":%.1f,\"latency_p50_ms\":%.2f,\"latency_p99_ms\":%.2f,"
           "\"latency_max_ms\":%.2f,\"cpu_us_per_delivery\":%.2f,\"cpu_s\":%.3f,\"counted_s\":%.3f,\"rss_kb\":%ld,\"told\":%ld}\n",
           clients, stall, told, cut, open_seconds, expect * (clients - stall), delivered, complete, closed, bytes, span,
           span > 0 ? delivered / span : 0, reached ? firsts[reached / 2] : 0, reached ? firsts[(int)(reached * .99)] : 0,
           latency_count ? latencies[latency_count / 2] : 0, latency_count ? latencies[(long)(latency_count * .99)] : 0,
           latency_count ? latencies[latency_count - 1] : 0, delivered ? cpu * 1e6 / delivered : 0, cpu, counted, rss_kb, told_back);
    return 0;
}
