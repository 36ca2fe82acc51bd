#include "truth.h"

#include <stdio.h>
#include <stdlib.h>

#include "clock.h"

/* Samples are kept in tenths of a microsecond: four bytes reach to seven minutes. */
#define UNIT 100
#define MOST_SAMPLES (UINT32_C(1) << 28)

static const char *const NAMES[FIGURES] = {"ttft", "gap", "itl", "latency", "lateness"};
static const double QUANTILES[] = {50, 90, 95, 99, 99.9};

static struct samples {
  uint32_t *values;
  size_t count, room;
  double sum; /* nanoseconds */
} samples[FIGURES];

static uint64_t generation = 1;
static uint64_t started, finished, stopped_early, stalled, dropped, tokens;
static uint64_t tokens_ever; /* no reset touches it */
static int64_t first_arrival, last_event; /* monotonic */
static double first_arrival_unix;

void truth_reset(void) {
  for (int figure = 0; figure < FIGURES; figure++) {
    free(samples[figure].values);
    samples[figure] = (struct samples){0};
  }
  generation++;
  started = finished = stopped_early = stalled = dropped = tokens = 0;
  first_arrival = last_event = 0;
  first_arrival_unix = 0;
}

static void sample(enum figure figure, int64_t ns) {
  struct samples *of = &samples[figure];
  if (of->count == of->room) {
    size_t room = of->room ? of->room * 2 : 1 << 16;
    uint32_t *values = room <= MOST_SAMPLES ? realloc(of->values, room * sizeof *values) : NULL;
    if (!values) {
      dropped++;
      return;
    }
    of->values = values;
    of->room = room;
  }
  int64_t units = ns / UNIT;
  of->values[of->count++] = units < 0 ? 0 : units > UINT32_MAX ? UINT32_MAX : (uint32_t)units;
  of->sum += (double)ns;
}

void truth_arrived(struct completion *completion, int64_t arrival) {
  *completion = (struct completion){.generation = generation, .arrival = arrival};
  if (!started++) {
    first_arrival = arrival;
    first_arrival_unix = (double)(clock_ns(CLOCK_REALTIME) - (monotonic_ns() - arrival)) / (double)SECOND;
  }
}

void truth_event(struct completion *completion, int64_t now, int64_t due) {
  tokens_ever++;
  if (completion->generation != generation) return;
  if (completion->tokens++) {
    sample(GAP, now - completion->last);
  } else {
    completion->first = now;
    sample(TTFT, now - completion->arrival);
  }
  completion->last = last_event = now;
  sample(LATENESS, now - due);
  tokens++;
}

void truth_ended(struct completion *completion, bool stopped) {
  if (completion->generation != generation) return;
  if (stopped) {
    stopped_early++;
    return;
  }
  finished++;
  sample(LATENCY, completion->last - completion->arrival);
  if (completion->tokens > 1) sample(ITL, (completion->last - completion->first) / (completion->tokens - 1));
}

void truth_stalled(void) { stalled++; }

static int ascending(const void *a, const void *b) {
  uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
  return (x > y) - (x < y);
}

static void print_figure(FILE *out, enum figure figure) {
  struct samples *of = &samples[figure];
  fprintf(out, ",\"%s\":{\"count\":%zu", NAMES[figure], of->count);
  if (of->count) {
    qsort(of->values, of->count, sizeof *of->values, ascending); /* their order is of no more use */
    fprintf(out, ",\"mean\":%.4f", of->sum / (double)of->count / 1e6);
    for (size_t i = 0; i < sizeof QUANTILES / sizeof *QUANTILES; i++) {
      size_t rank = (size_t)(QUANTILES[i] * (double)of->count / 100 + 0.999999);
      fprintf(out, ",\"p%g\":%.4f", QUANTILES[i], of->values[rank ? rank - 1 : 0] * (UNIT / 1e6));
    }
    fprintf(out, ",\"min\":%.4f,\"max\":%.4f", of->values[0] * (UNIT / 1e6), of->values[of->count - 1] * (UNIT / 1e6));
  }
  fputs("}", out);
}

char *truth_json(size_t *length, bool figures) {
  char *text = NULL;
  FILE *out = open_memstream(&text, length);
  if (!out) return NULL;
  fprintf(out, "{\"started\":%lu,\"finished\":%lu,\"stopped_early\":%lu,\"tokens\":%lu,\"tokens_ever\":%lu", started,
          finished, stopped_early, tokens, tokens_ever);
  fprintf(out, ",\"stalled_writes\":%lu,\"dropped_samples\":%lu", stalled, dropped);
  fprintf(out, ",\"first_arrival_unix\":%.6f", first_arrival_unix);
  fprintf(out, ",\"seconds\":%.6f", started ? (double)(last_event - first_arrival) / (double)SECOND : 0.0);
  for (int figure = 0; figures && figure < FIGURES; figure++) print_figure(out, (enum figure)figure);
  fputs("}\n", out);
  if (fclose(out)) {
    free(text);
    return NULL;
  }
  return text;
}
