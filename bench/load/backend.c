// A fake engine on one epoll loop, cheap enough not to be what is measured on two cores.
//
//   backend PORT[,PORT...] CHUNKS INTERVAL_US [METRICS_FILE]
//
// POST    a JSON completion, or, when the body has "stream":true, an SSE stream: CHUNKS events, one each INTERVAL_US
//         (the first at once), then the finish event and [DONE]. With the marker F_SLOW in the first 4 KB of the body
//         the stream is 20 events, one each 500 ms.
// GET     /metrics: the METRICS_FILE; /stats: {"streams":N,"finished":N,"aborted":N}; anything else: a list of models.
//
// It trusts its peers: no limits, no errors, a body needs a content-length and has at most 1 MiB.
#define _GNU_SOURCE
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { INPUT_BYTES = 1 << 20, MAX_CHUNKS = 4096, SLOW_CHUNKS = 20, SLOW_INTERVAL_US = 500000 };

typedef struct conn {
  int fd;
  int is_listener;
  char *input;  // the request under way, INPUT_BYTES long
  size_t input_bytes;
  int is_streaming;
  int next_chunk, chunks_left;
  uint64_t interval_us, due_us;
  struct conn *next;  // in the list of streams
} conn;

typedef struct {
  char bytes[512];
  int length;
} chunk;

static const char *const COMPLETION =
    "{\"id\":\"chatcmpl-1234567890\",\"object\":\"chat.completion\",\"created\":1700000000,\"model\":\"m\",\"choices\":[{"
    "\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"This is a test response from the simulated backend "
    "server. It is long enough that the whole reply, with its usage object, has about five hundred bytes, which is what a "
    "short chat answer looks like on the wire.\"},\"logprobs\":null,\"finish_reason\":\"stop\"}],\"usage\":{"
    "\"prompt_tokens\":20,\"completion_tokens\":42,\"total_tokens\":62}}";
static const char *const MODELS =
    "{\"object\":\"list\",\"data\":[{\"id\":\"m\",\"object\":\"model\",\"created\":1700000000,\"owned_by\":\"vllm\","
    "\"root\":\"m\",\"max_model_len\":131072}]}";
static const char *const STREAM_HEAD =
    "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
static const char *const STREAM_END = "e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n";

static int epoll_fd, chunk_count;
static uint64_t interval_us;
static chunk chunks[MAX_CHUNKS], finish;
static conn *streams;
static size_t started, finished, aborted;
static char *metrics;
static size_t metrics_bytes;

static uint64_t now_us(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000000ull + t.tv_nsec / 1000;
}

static void send_all(int fd, const char *bytes, size_t length) {
  for (size_t sent = 0; sent < length;) {
    ssize_t n = write(fd, bytes + sent, length - sent);
    if (n > 0) sent += n;
    else if (errno == EAGAIN) usleep(50);
    else return;
  }
}

static void answer(int fd, const char *type, const char *body, size_t length) {
  char head[256];
  int n = sprintf(head, "HTTP/1.1 200 OK\r\ncontent-type: %s\r\ncontent-length: %zu\r\n\r\n", type, length);
  char *whole = malloc(n + length);  // one write: a head and a body in two would meet the delayed acknowledgement
  memcpy(whole, head, n);
  memcpy(whole + n, body, length);
  send_all(fd, whole, n + length);
  free(whole);
}

static void answer_json(int fd, const char *body) { answer(fd, "application/json", body, strlen(body)); }

static chunk sse_event(const char *choice) {
  char event[480];
  chunk made;
  int n = sprintf(event,
                  "data: {\"id\":\"chatcmpl-1234567890\",\"object\":\"chat.completion.chunk\",\"created\":1700000000,"
                  "\"model\":\"m\",\"choices\":[{\"index\":0,%s}]}\n\n",
                  choice);
  made.length = sprintf(made.bytes, "%x\r\n%s\r\n", n, event);
  return made;
}

static void make_chunks(void) {
  char choice[128];
  chunks[0] = sse_event("\"delta\":{\"role\":\"assistant\",\"content\":\"\"},\"logprobs\":null,\"finish_reason\":null");
  for (int i = 1; i < MAX_CHUNKS; i++) {
    sprintf(choice, "\"delta\":{\"content\":\" token%d\"},\"logprobs\":null,\"finish_reason\":null", i);
    chunks[i] = sse_event(choice);
  }
  finish = sse_event("\"delta\":{},\"logprobs\":null,\"finish_reason\":\"stop\"");
}

static void read_metrics(const char *path) {
  FILE *file = fopen(path, "r");
  if (!file) {
    perror(path);
    exit(1);
  }
  metrics = malloc(INPUT_BYTES);
  metrics_bytes = fread(metrics, 1, INPUT_BYTES, file);
  fclose(file);
}

static void watch(conn *k) {
  struct epoll_event event = {.events = EPOLLIN, .data.ptr = k};
  epoll_ctl(epoll_fd, EPOLL_CTL_ADD, k->fd, &event);
}

static void listen_on(int port) {
  int one = 1;
  conn *k = calloc(1, sizeof *k);
  k->is_listener = 1;
  k->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  setsockopt(k->fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  struct sockaddr_in address = {
      .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  if (bind(k->fd, (void *)&address, sizeof address) || listen(k->fd, 4096)) {
    perror("bind");
    exit(1);
  }
  watch(k);
}

static void accept_all(int listener) {
  int one = 1;
  for (int fd; (fd = accept4(listener, 0, 0, SOCK_NONBLOCK)) >= 0;) {
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    conn *k = calloc(1, sizeof *k);
    k->fd = fd;
    k->input = malloc(INPUT_BYTES);
    watch(k);
  }
}

static void drop(conn *k) {
  if (k->is_streaming) {
    aborted++;
    for (conn **p = &streams; *p; p = &(*p)->next)
      if (*p == k) {
        *p = k->next;
        break;
      }
  }
  close(k->fd);
  free(k->input);
  free(k);
}

static void start_stream(conn *k, int is_slow) {
  send_all(k->fd, STREAM_HEAD, strlen(STREAM_HEAD));
  started++;
  k->is_streaming = 1;
  k->next_chunk = 0;
  k->chunks_left = is_slow ? SLOW_CHUNKS : chunk_count;
  k->interval_us = is_slow ? SLOW_INTERVAL_US : interval_us;
  k->due_us = now_us();
  k->next = streams;
  streams = k;
}

static void answer_get(conn *k, const char *path) {
  char stats[128];
  if (!strncmp(path, "/metrics", 8) && metrics) {
    answer(k->fd, "text/plain; version=1.0.0; charset=utf-8", metrics, metrics_bytes);
  } else if (!strcmp(path, "/stats")) {
    sprintf(stats, "{\"streams\":%zu,\"finished\":%zu,\"aborted\":%zu}", started, finished, aborted);
    answer_json(k->fd, stats);
  } else {
    answer_json(k->fd, MODELS);
  }
}

// Answers every complete request of the input; what is left of it stays.
static void serve_input(conn *k) {
  for (;;) {
    k->input[k->input_bytes] = 0;
    char *end = memmem(k->input, k->input_bytes, "\r\n\r\n", 4);
    if (!end) return;
    *end = 0;
    char *length = strcasestr(k->input, "\ncontent-length:"), path[64] = "";
    size_t body_bytes = length ? atol(length + 16) : 0, head_bytes = end + 4 - k->input;
    sscanf(k->input, "%*s %63s", path);
    *end = '\r';
    if (k->input_bytes < head_bytes + body_bytes) return;

    char *body = end + 4;
    if (!memcmp(k->input, "GET ", 4)) answer_get(k, path);
    else if (memmem(body, body_bytes, "\"stream\":true", 13))
      start_stream(k, memmem(body, body_bytes < 4096 ? body_bytes : 4096, "F_SLOW", 6) != NULL);
    else answer_json(k->fd, COMPLETION);

    k->input_bytes -= head_bytes + body_bytes;
    memmove(k->input, body + body_bytes, k->input_bytes);
  }
}

static void receive(conn *k) {
  ssize_t n = read(k->fd, k->input + k->input_bytes, INPUT_BYTES - 1 - k->input_bytes);
  if (n < 0 && errno == EAGAIN) return;
  if (n <= 0) {
    drop(k);
    return;
  }
  k->input_bytes += n;
  serve_input(k);
}

static void send_due_chunks(void) {
  uint64_t now = now_us();
  for (conn **p = &streams; *p;) {
    conn *k = *p;
    if (k->due_us > now) {
      p = &k->next;
      continue;
    }
    send_all(k->fd, chunks[k->next_chunk].bytes, chunks[k->next_chunk].length);
    k->next_chunk++;
    k->due_us += k->interval_us;
    if (--k->chunks_left > 0) {
      p = &k->next;
      continue;
    }
    send_all(k->fd, finish.bytes, finish.length);
    send_all(k->fd, STREAM_END, strlen(STREAM_END));
    k->is_streaming = 0;
    finished++;
    *p = k->next;
  }
}

// Milliseconds until the next chunk is due, rounded up; -1 when there is no stream.
static int wait_ms(void) {
  if (!streams) return -1;
  uint64_t first = UINT64_MAX, now = now_us();
  for (conn *k = streams; k; k = k->next)
    if (k->due_us < first) first = k->due_us;
  return first <= now ? 0 : (int)((first - now + 999) / 1000);
}

int main(int argc, char **argv) {
  if (argc < 4) {
    fprintf(stderr, "usage: backend PORT[,PORT...] CHUNKS INTERVAL_US [METRICS_FILE]\n");
    return 2;
  }
  signal(SIGPIPE, SIG_IGN);
  struct rlimit limit;
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);

  chunk_count = atoi(argv[2]) < MAX_CHUNKS ? atoi(argv[2]) : MAX_CHUNKS;
  interval_us = strtoull(argv[3], NULL, 10);
  make_chunks();
  if (argc > 4) read_metrics(argv[4]);
  epoll_fd = epoll_create1(0);
  for (char *port = strtok(argv[1], ","); port; port = strtok(NULL, ",")) listen_on(atoi(port));

  for (struct epoll_event events[256];;) {
    int n = epoll_wait(epoll_fd, events, 256, wait_ms());
    for (int i = 0; i < n; i++) {
      conn *k = events[i].data.ptr;
      if (k->is_listener) accept_all(k->fd);
      else receive(k);
    }
    send_due_chunks();
  }
}
