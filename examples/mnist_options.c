/* SPDX-License-Identifier: MIT
 * mnist_options.c - a table of flags, from which the help is made too. */
#include "mnist_options.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <tarn/trace.h>

_Static_assert(MNIST_N_TRACES == TARN_TRACE_HTML + 1, "a trace of each format can be asked for");

static const char *const optimizer_names[] = { "sgd", "adam", "adamw" };
static const double default_rates[] = { 0.05, 0.001, 0.001 };

const char *mnist_optimizer_name(mnist_optimizer optimizer) { return optimizer_names[optimizer]; }

bool mnist_fail(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fputs("mnist: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    return false;
}

/* ---- values: the whole text must be a number, and in range */

static bool parse_u64(const char *text, char stop, uint64_t *out, const char **end)
{
    char *after;
    if (text[0] < '0' || text[0] > '9') return false;
    errno = 0;
    const unsigned long long value = strtoull(text, &after, 10);
    if (errno != 0 || value > UINT64_MAX || (*after != '\0' && *after != stop)) return false;
    *out = value;
    if (end != NULL) *end = after;
    return true;
}

static bool parse_count(const char *text, uint64_t most, int64_t *out)
{
    uint64_t value;
    if (!parse_u64(text, '\0', &value, NULL) || value < 1 || value > most) return false;
    *out = (int64_t)value;
    return true;
}

static bool set_data(mnist_options *o, const char *text)
{
    o->data = text;
    o->generated = false;
    return text[0] != '\0';
}

static bool set_generated(mnist_options *o, const char *text)
{
    (void)text;
    o->data = NULL;
    o->generated = true;
    return true;
}

static bool set_epochs(mnist_options *o, const char *text)
{
    return parse_count(text, 1000000, &o->epochs);
}

static bool set_batch(mnist_options *o, const char *text)
{
    return parse_count(text, 1000000, &o->batch);
}

static bool set_hidden(mnist_options *o, const char *text)
{
    for (o->n_hidden = 0; o->n_hidden < MNIST_MAX_HIDDEN;) {
        uint64_t size;
        if (!parse_u64(text, ',', &size, &text) || size < 1 || size > 65536) return false;
        o->hidden[o->n_hidden++] = (int64_t)size;
        if (*text++ == '\0') return true;
    }
    return false;
}

static bool set_lr(mnist_options *o, const char *text)
{
    char *end;
    if (text[0] == '\0' || text[strspn(text, "0123456789.eE+-")] != '\0') return false;
    o->lr = strtod(text, &end);
    return *end == '\0' && isfinite(o->lr) && o->lr > 0;
}

static bool set_optimizer(mnist_options *o, const char *text)
{
    for (size_t i = 0; i < sizeof optimizer_names / sizeof optimizer_names[0]; i++) {
        if (strcmp(text, optimizer_names[i]) != 0) continue;
        o->optimizer = (mnist_optimizer)i;
        return true;
    }
    return false;
}

static bool set_seed(mnist_options *o, const char *text)
{
    return parse_u64(text, '\0', &o->seed, NULL);
}

static bool set_threads(mnist_options *o, const char *text)
{
    int64_t n;
    if (!parse_count(text, 256, &n)) return false;
    o->threads = (int)n;
    return true;
}

static bool set_file(const char **file, const char *text)
{
    *file = text;
    return text[0] != '\0';
}

static bool set_json(mnist_options *o, const char *text) { return set_file(&o->json, text); }

static bool set_report(mnist_options *o, const char *text)
{
    return set_file(&o->traces[TARN_TRACE_HTML], text);
}

static bool set_trace(mnist_options *o, const char *text)
{
    return set_file(&o->traces[TARN_TRACE_CHROME], text);
}

static bool set_snapshot(mnist_options *o, const char *text)
{
    return set_file(&o->traces[TARN_TRACE_PICKLE], text);
}

static bool set_events(mnist_options *o, const char *text)
{
    return set_file(&o->traces[TARN_TRACE_CSV], text);
}

/* A number alone, or with a unit of 1024, 1024^2 or 1024^3. */
static bool set_max_capacity(mnist_options *o, const char *text)
{
    static const char units[] = "KMG";
    const size_t length = strlen(text);
    const char *end;
    uint64_t n;
    if (length == 0 || !parse_u64(text, text[length - 1], &n, &end) || n == 0) return false;
    const char *unit = strchr(units, *end); /* its final NUL where there is none */
    if (unit == NULL || (*end != '\0' && end[1] != '\0')) return false;
    const unsigned shift = *end == '\0' ? 0 : 10 * (unsigned)(unit - units + 1);
    if (n > (SIZE_MAX - 2) >> shift) return false; /* the last two have another meaning */
    o->max_capacity = (size_t)n << shift;
    return true;
}

static bool set_dry_run(mnist_options *o, const char *text)
{
    o->dry_run = true;
    return text == NULL;
}

/* Of --help, which ends the program before any flag counts. */
static bool set_nothing(mnist_options *o, const char *text)
{
    (void)o;
    return text == NULL;
}

/* ---- the flags */

static const struct flag {
    const char *name, *value; /* without a value: NULL */
    const char *takes;        /* what the value must be */
    const char *help;
    bool (*set)(mnist_options *options, const char *text);
} flags[] = {
    { "--data", "DIR", "the name of a directory", "where the four files of MNIST are, plain or .gz",
      set_data },
    { "--generated", NULL, NULL, "train on drawn digits even if MNIST is there", set_generated },
    { "--epochs", "N", "a whole number from 1 to 1000000", "passes over the training images (10)",
      set_epochs },
    { "--hidden", "N[,N...]", "up to 16 sizes from 1 to 65536", "sizes of the hidden layers (128)",
      set_hidden },
    { "--batch", "N", "a whole number from 1 to 1000000", "images a step (128)", set_batch },
    { "--lr", "X", "a number above 0",
      "learning rate at the start, falling to 0 (0.001; for sgd 0.05)", set_lr },
    { "--optimizer", "NAME", "sgd, adam or adamw", "sgd (with momentum 0.9), adam or adamw (adam)",
      set_optimizer },
    { "--seed", "N", "a whole number from 0 to 2^64 - 1", "of initial weights and shuffling (1)",
      set_seed },
    { "--threads", "N", "a whole number from 1 to 256", "threads of BLAS (1)", set_threads },
    { "--json", "FILE", "the name of a file", "write figures there, one object a line and epoch",
      set_json },
    { "--memory-report", "FILE", "the name of a file", "write a page about memory there (HTML)",
      set_report },
    { "--trace", "FILE", "the name of a file", "the same for Perfetto and chrome://tracing (JSON)",
      set_trace },
    { "--snapshot", "FILE", "the name of a file", "the same for PyTorch's memory_viz (pickle)",
      set_snapshot },
    { "--events", "FILE", "the name of a file", "the same as one line an event (CSV)", set_events },
    { "--max-capacity", "BYTES", "a number of bytes above 0, also with K, M or G",
      "the most that the pool may reserve, also with K, M or G (no cap)", set_max_capacity },
    { "--dry-run", NULL, NULL, "say what memory training would take, without training",
      set_dry_run },
    { "--help", NULL, NULL, "show this", set_nothing },
};

static int print_help(void)
{
    printf("Usage: mnist [FLAG ...]\n"
           "Trains a multilayer perceptron to read handwritten digits.\n\n");
    for (size_t i = 0; i < sizeof flags / sizeof flags[0]; i++) {
        const int width =
            printf("  %s %s", flags[i].name, flags[i].value != NULL ? flags[i].value : "");
        printf("%*s%s\n", 26 - width, "", flags[i].help);
    }
    printf(
        "\nWithout --data, MNIST is looked for in $TARN_MNIST_DIR or, where that is not set, in\n"
        "data/mnist; if that does not exist, digits are drawn. scripts/get-mnist downloads it.\n");
    return fflush(stdout) == 0 ? 0 : 1;
}

static const struct flag *find_flag(const char *name, size_t length)
{
    for (size_t i = 0; i < sizeof flags / sizeof flags[0]; i++) {
        if (strlen(flags[i].name) == length && memcmp(flags[i].name, name, length) == 0)
            return &flags[i];
    }
    return NULL;
}

/* Both `--flag value` and `--flag=value` are understood; *i moves over a value that stands alone.
 */
static bool parse_flag(mnist_options *options, int argc, char **argv, int *i)
{
    const char *text = argv[*i], *equals = strchr(text, '=');
    const size_t length = equals != NULL ? (size_t)(equals - text) : strlen(text);
    const struct flag *flag = find_flag(text, length);
    const char *value = equals != NULL ? equals + 1 : NULL;
    if (flag == NULL) return mnist_fail("unknown argument %s (--help shows all)", text);
    if (flag->value == NULL && value != NULL) return mnist_fail("%s takes no value", flag->name);
    if (flag->value != NULL && value == NULL) {
        if (*i + 1 == argc) return mnist_fail("%s takes %s", flag->name, flag->takes);
        value = argv[++*i];
    }
    if (flag->set(options, value)) return true;
    return mnist_fail("%s takes %s, not \"%s\"", flag->name, flag->takes, value);
}

/* A dry run trains nothing that a file could tell of, and finds the cap by itself. */
static bool check_dry_run(const mnist_options *o)
{
    bool files = o->json != NULL;
    for (int i = 0; i < MNIST_N_TRACES; i++) files = files || o->traces[i] != NULL;
    if (o->dry_run && files) return mnist_fail("--dry-run writes no files");
    if (o->dry_run && o->max_capacity != 0)
        return mnist_fail("--dry-run tells what --max-capacity can be; it takes none");
    return true;
}

bool mnist_options_parse(mnist_options *options, int argc, char **argv, int *status)
{
    *options = (mnist_options){
        .epochs = 10,
        .batch = 128,
        .n_hidden = 1,
        .hidden = { 128 },
        .optimizer = MNIST_ADAM,
        .seed = 1,
        .threads = 1,
    };
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            *status = print_help();
            return false;
        }
        if (!parse_flag(options, argc, argv, &i)) {
            *status = 2;
            return false;
        }
    }
    if (options->lr <= 0) options->lr = default_rates[options->optimizer];
    *status = 2;
    return check_dry_run(options);
}
