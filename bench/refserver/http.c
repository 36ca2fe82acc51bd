#include "http.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

static bool header(const char *line, size_t length, const char *name, const char **content, size_t *content_length) {
  size_t n = strlen(name);
  if (length <= n || line[n] != ':' || strncasecmp(line, name, n)) return false;
  const char *end = line + length;
  for (*content = line + n + 1; *content < end && isblank((unsigned char)**content); (*content)++) {
  }
  *content_length = (size_t)(end - *content);
  return true;
}

static bool length_of(const char *text, size_t n, size_t *length) {
  *length = 0;
  if (!n || n > 9) return false;
  for (size_t i = 0; i < n; i++) {
    if (!isdigit((unsigned char)text[i])) return false;
    *length = *length * 10 + (size_t)(text[i] - '0');
  }
  return true;
}

int http_parse(const char *text, size_t length, struct http_request *request) {
  *request = (struct http_request){0};
  const char *end = memmem(text, length, "\r\n\r\n", 4);
  if (!end) return length > MOST_HEAD ? 431 : 0;
  const char *line_end = memmem(text, (size_t)(end + 2 - text), "\r\n", 2);
  const char *space = memchr(text, ' ', (size_t)(line_end - text));
  const char *second = space ? memchr(space + 1, ' ', (size_t)(line_end - space - 1)) : NULL;
  if (!second || line_end - second < 9 || memcmp(second + 1, "HTTP/1.", 7)) return 400;
  request->method = text;
  request->method_length = (size_t)(space - text);
  request->path = space + 1;
  request->path_length = (size_t)(second - space - 1);
  request->close = second[8] == '0';
  while (line_end < end) {
    const char *line = line_end + 2, *content;
    line_end = memmem(line, (size_t)(end + 2 - line), "\r\n", 2);
    size_t n, line_length = (size_t)(line_end - line);
    if (header(line, line_length, "content-length", &content, &n) && !length_of(content, n, &request->body_length))
      return 400;
    if (header(line, line_length, "transfer-encoding", &content, &n)) return 411; /* no client sends chunks here */
    if (header(line, line_length, "connection", &content, &n) && n >= 5 && !strncasecmp(content, "close", 5))
      request->close = true;
  }
  if (request->body_length > MOST_BODY) return 413;
  request->body = end + 4;
  request->total = (size_t)(request->body - text) + request->body_length;
  return length >= request->total;
}

bool http_is(const struct http_request *request, const char *method, const char *path) {
  return request->method_length == strlen(method) && !memcmp(request->method, method, request->method_length) &&
         request->path_length == strlen(path) && !memcmp(request->path, path, request->path_length);
}
