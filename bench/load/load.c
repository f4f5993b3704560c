// A load generator on one epoll loop. It prints one line of JSON at its end.
//
//   load [-r RATE] [-1] [-m MODEL] [-x MARKER] PORT CONNECTIONS SECONDS STREAM PROMPT_BYTES
//
// Closed loop: each of the CONNECTIONS (keep-alive) sends its next chat completion when the last answer is complete.
//   -r RATE   open loop: RATE requests a second, each on an idle connection; `missed` counts those that found none
//   -1        one request per connection, then the end
//   -m MODEL  the model name (m)
//   -x MARKER put first in the prompt
// STREAM is 1 for "stream":true, or 0.
//
// After SECONDS no new request starts; those under way have 30 s to finish, so that CPU per request counts no half-done
// work. Chunked bodies are decoded; an SSE frame is what ends with an empty line.
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

enum { HEAD_BYTES = 8192, READ_BYTES = 1 << 18, MAX_SAMPLES = 4000000, DRAIN_US = 30000000 };

typedef enum { HEAD, SIZED, CHUNK_SIZE, CHUNK_DATA, CHUNK_END, TRAILER, COMPLETE } phase;

typedef struct {
  int fd;
  int is_busy;
  size_t sent;
  uint64_t started_us, last_frame_us;
  phase phase;
  char head[HEAD_BYTES];
  size_t head_bytes;
  int is_ok;
  size_t body_left;  // of the sized body or of the chunk
  size_t line_bytes; // of the trailer line under way
  size_t frames, body_bytes;
  int ends_with_newline;
} conn;

typedef struct {
  uint32_t *values;
  size_t count;
} samples;

static int epoll_fd, port, is_stream;
static char *request;
static size_t request_bytes;
static samples latency, first_token;
static size_t errors, bad_status, missed, unfinished, frames, body_bytes, longest_gap_us;

static uint64_t now_us(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000000ull + t.tv_nsec / 1000;
}

static void add_sample(samples *s, uint64_t value) {
  if (s->count < MAX_SAMPLES) s->values[s->count++] = value;
}

static int by_value(const void *a, const void *b) {
  uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
  return x < y ? -1 : x > y;
}

static uint32_t quantile(const samples *s, double q) {
  if (!s->count) return 0;
  size_t at = s->count * q;
  return s->values[at < s->count ? at : s->count - 1];
}

static void send_rest(conn *k) {
  while (k->sent < request_bytes) {
    ssize_t n = send(k->fd, request + k->sent, request_bytes - k->sent, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n < 0) {
      struct epoll_event event = {.events = EPOLLIN | EPOLLOUT, .data.ptr = k};
      if (errno == EAGAIN) epoll_ctl(epoll_fd, EPOLL_CTL_MOD, k->fd, &event);
      return;
    }
    k->sent += n;
  }
}

static void start_request(conn *k) {
  k->is_busy = 1;
  k->sent = k->head_bytes = k->frames = k->body_bytes = 0;
  k->ends_with_newline = 0;
  k->phase = HEAD;
  k->started_us = now_us();
  k->last_frame_us = 0;
  send_rest(k);
}

static void open_connection(conn *k) {
  int one = 1;
  struct sockaddr_in address = {
      .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  k->fd = socket(AF_INET, SOCK_STREAM, 0);
  if (connect(k->fd, (void *)&address, sizeof address)) {
    perror("connect");
    exit(1);
  }
  setsockopt(k->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  struct epoll_event event = {.events = EPOLLIN, .data.ptr = k};
  epoll_ctl(epoll_fd, EPOLL_CTL_ADD, k->fd, &event);
  k->is_busy = 0;
}

static void close_connection(conn *k) {
  epoll_ctl(epoll_fd, EPOLL_CTL_DEL, k->fd, 0);
  close(k->fd);
  k->fd = -1;
  k->is_busy = 0;
}

static size_t count_frames(conn *k, const char *bytes, size_t length) {
  const char *at = bytes, *end = bytes + length, *newline;
  size_t count = 0;
  if (k->ends_with_newline && *at == '\n') {
    count++;
    at++;
  }
  k->ends_with_newline = 0;
  while (at < end && (newline = memchr(at, '\n', end - at))) {
    at = newline + 1;
    if (at == end) k->ends_with_newline = 1;
    else if (*at == '\n') {
      count++;
      at++;
    }
  }
  return count;
}

static void take_body(conn *k, const char *bytes, size_t length) {
  k->body_bytes += length;
  size_t count = is_stream ? count_frames(k, bytes, length) : 0;
  if (!count) return;
  uint64_t now = now_us();
  // The first frame names the role and carries no token: the gateway holds it back until one comes.
  if (k->frames < 2 && k->frames + count >= 2) add_sample(&first_token, now - k->started_us);
  if (k->last_frame_us && now - k->last_frame_us > longest_gap_us) longest_gap_us = now - k->last_frame_us;
  k->last_frame_us = now;
  k->frames += count;
}

// Takes the bytes of the head; how many of them belonged to it.
static size_t take_head(conn *k, const char *bytes, size_t length) {
  size_t before = k->head_bytes, room = HEAD_BYTES - 1 - before, taken = length < room ? length : room;
  memcpy(k->head + before, bytes, taken);
  k->head_bytes += taken;
  k->head[k->head_bytes] = 0;
  char *end = strstr(k->head, "\r\n\r\n");
  if (!end) return taken;
  end[2] = 0;
  k->is_ok = !strncmp(k->head, "HTTP/1.1 200", 12);
  char *sized = strcasestr(k->head, "\ncontent-length:");
  k->body_left = sized ? atol(sized + 16) : 0;
  k->phase = !sized ? CHUNK_SIZE : k->body_left ? SIZED : COMPLETE;
  k->line_bytes = 0;
  return end + 4 - k->head - before;
}

// Takes the bytes up to the end of a line of the chunked framing; how many they were.
static size_t take_line(conn *k, const char *bytes, size_t length) {
  const char *newline = memchr(bytes, '\n', length);
  size_t taken = newline ? (size_t)(newline - bytes) + 1 : length;
  for (size_t i = 0; i < taken; i++) {
    char c = bytes[i];
    if (c == '\r' || c == '\n') continue;
    k->line_bytes++;
    if (k->phase == CHUNK_SIZE) k->body_left = k->body_left * 16 + (c <= '9' ? c - '0' : (c | 32) - 'a' + 10);
  }
  if (!newline) return taken;
  if (k->phase == CHUNK_SIZE) k->phase = k->body_left ? CHUNK_DATA : TRAILER;
  else if (k->phase == CHUNK_END) k->phase = CHUNK_SIZE;
  else if (!k->line_bytes) k->phase = COMPLETE;
  k->line_bytes = 0;
  return taken;
}

static void take_bytes(conn *k, const char *bytes, size_t length) {
  while (length && k->phase != COMPLETE) {
    size_t taken;
    if (k->phase == HEAD) taken = take_head(k, bytes, length);
    else if (k->phase == SIZED || k->phase == CHUNK_DATA) {
      taken = length < k->body_left ? length : k->body_left;
      take_body(k, bytes, taken);
      k->body_left -= taken;
      if (!k->body_left) k->phase = k->phase == SIZED ? COMPLETE : CHUNK_END;
    } else taken = take_line(k, bytes, length);
    bytes += taken;
    length -= taken;
  }
}

static void finish_request(conn *k) {
  k->is_busy = 0;
  if (!k->is_ok) {
    bad_status++;
    return;
  }
  add_sample(&latency, now_us() - k->started_us);
  frames += k->frames;
  body_bytes += k->body_bytes;
}

// Reads once; 1 when the request ended with this read, well or not.
static int receive(conn *k, int reopen) {
  static char bytes[READ_BYTES];
  ssize_t n = read(k->fd, bytes, sizeof bytes);
  if (n > 0) {
    take_bytes(k, bytes, n);
    if (!k->is_busy || k->phase != COMPLETE) return 0;
    finish_request(k);
    return 1;
  }
  int was_busy = k->is_busy;
  if (was_busy) errors++;
  close_connection(k);
  if (reopen) open_connection(k);
  return was_busy;
}

static void make_request(const char *model, const char *marker, size_t prompt_bytes) {
  static const char words[] = "the quick brown fox ";
  size_t marker_bytes = strlen(marker), total = prompt_bytes > marker_bytes ? prompt_bytes : marker_bytes;
  char *prompt = malloc(total + 1), *body = malloc(total + 1024);
  memcpy(prompt, marker, marker_bytes);
  for (size_t i = marker_bytes; i < total; i++) prompt[i] = words[i % 20];
  prompt[total] = 0;
  int n = sprintf(body, "{\"model\":\"%s\",\"messages\":[{\"role\":\"user\",\"content\":\"%s\"}]%s}", model, prompt,
                  is_stream ? ",\"stream\":true" : "");
  request = malloc(n + 1024);
  request_bytes = sprintf(request,
                          "POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
                          "authorization: Bearer x\r\ncontent-length: %d\r\n\r\n%s",
                          n, body);
}

static void report(double seconds) {
  qsort(latency.values, latency.count, sizeof(uint32_t), by_value);
  qsort(first_token.values, first_token.count, sizeof(uint32_t), by_value);
  double each = latency.count ? latency.count : 1;
  printf("{\"requests\":%zu,\"errors\":%zu,\"badStatus\":%zu,\"missed\":%zu,\"unfinished\":%zu,", latency.count, errors,
         bad_status, missed, unfinished);
  printf("\"p50Us\":%u,\"p99Us\":%u,\"maxUs\":%u,", quantile(&latency, .5), quantile(&latency, .99),
         quantile(&latency, 1));
  printf("\"firstTokenP50Us\":%u,\"firstTokenP99Us\":%u,\"firstTokenMaxUs\":%u,\"longestGapUs\":%zu,",
         quantile(&first_token, .5), quantile(&first_token, .99), quantile(&first_token, 1), longest_gap_us);
  printf("\"framesPerRequest\":%.3f,\"bodyBytesPerRequest\":%.1f,\"seconds\":%.3f}\n", frames / each, body_bytes / each,
         seconds);
}

int main(int argc, char **argv) {
  double rate = 0;
  int is_oneshot = 0, option;
  const char *model = "m", *marker = "";
  while ((option = getopt(argc, argv, "r:1m:x:")) > 0) {
    if (option == 'r') rate = atof(optarg);
    else if (option == '1') is_oneshot = 1;
    else if (option == 'm') model = optarg;
    else if (option == 'x') marker = optarg;
    else return 2;
  }
  if (argc - optind != 5) {
    fprintf(stderr, "usage: load [-r RATE] [-1] [-m MODEL] [-x MARKER] PORT CONNECTIONS SECONDS STREAM PROMPT_BYTES\n");
    return 2;
  }
  signal(SIGPIPE, SIG_IGN);
  struct rlimit limit;
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);

  port = atoi(argv[optind]);
  int connections = atoi(argv[optind + 1]);
  double seconds = atof(argv[optind + 2]);
  is_stream = atoi(argv[optind + 3]);
  make_request(model, marker, atol(argv[optind + 4]));
  latency.values = malloc(sizeof(uint32_t) * MAX_SAMPLES);
  first_token.values = malloc(sizeof(uint32_t) * MAX_SAMPLES);
  conn *all = calloc(connections, sizeof *all);
  epoll_fd = epoll_create1(0);
  for (int i = 0; i < connections; i++) open_connection(&all[i]);
  int busy = 0;
  if (!rate)
    for (; busy < connections; busy++) start_request(&all[busy]);

  uint64_t begin = now_us(), end = begin + (uint64_t)(seconds * 1e6), next = begin;
  for (struct epoll_event events[512];;) {
    uint64_t now = now_us();
    int is_draining = now >= end || (is_oneshot && !busy);
    if (is_draining && (!busy || now >= end + DRAIN_US)) break;
    int timeout = 100;
    if (rate && !is_draining) {
      if (now >= next) {
        int i = 0;
        while (i < connections && all[i].is_busy) i++;
        if (i == connections) missed++;
        else {
          start_request(&all[i]);
          busy++;
        }
        next += (uint64_t)(1e6 / rate);
        now = now_us();
      }
      timeout = next <= now ? 0 : (int)((next - now) / 1000);
    }
    int n = epoll_wait(epoll_fd, events, 512, timeout);
    for (int i = 0; i < n; i++) {
      conn *k = events[i].data.ptr;
      if (events[i].events & EPOLLOUT) {
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = k};
        epoll_ctl(epoll_fd, EPOLL_CTL_MOD, k->fd, &event);
        send_rest(k);
        if (!(events[i].events & EPOLLIN)) continue;
      }
      if (!receive(k, !is_oneshot)) continue;
      busy--;
      if (is_oneshot || rate || now_us() >= end) continue;
      start_request(k);
      busy++;
    }
  }
  unfinished = busy;
  report((now_us() - begin) / 1e6);
}
