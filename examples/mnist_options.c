/* SPDX-License-Identifier: MIT
 * mnist_options.c - a table of flags, from which the help is made too. */
#define _POSIX_C_SOURCE 200809L
#include "mnist_options.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <tarn/trace.h>

#include "values.h"

_Static_assert(MNIST_N_TRACES == TARN_TRACE_HTML + 1, "a trace of each format can be asked for");

static const char *const optimizer_names[MNIST_N_OPTIMIZERS] = { "sgd", "adam", "adamw" };

static const char *program_name = "mnist";

const char *mnist_optimizer_name(mnist_optimizer optimizer) { return optimizer_names[optimizer]; }

bool mnist_fail(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fprintf(stderr, "%s: ", program_name);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    return false;
}

/* ---- what each flag sets */

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
        if (!parse_whole(text, ',', &size, &text) || size < 1 || size > 65536) return false;
        o->hidden[o->n_hidden++] = (int64_t)size;
        if (*text++ == '\0') return true;
    }
    return false;
}

static bool set_lr(mnist_options *o, const char *text) { return parse_positive(text, &o->lr); }

static bool set_optimizer(mnist_options *o, const char *text)
{
    for (int i = 0; i < MNIST_N_OPTIMIZERS; i++) {
        if (strcmp(text, optimizer_names[i]) != 0) continue;
        o->optimizer = (mnist_optimizer)i;
        return true;
    }
    return false;
}

static bool set_seed(mnist_options *o, const char *text)
{
    return parse_whole(text, '\0', &o->seed, NULL);
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

static bool set_max_capacity(mnist_options *o, const char *text)
{
    return parse_bytes(text, &o->max_capacity);
}

static bool set_dry_run(mnist_options *o, const char *text)
{
    o->dry_run = true;
    return text == NULL;
}

static bool set_plan(mnist_options *o, const char *text)
{
    o->plan = true;
    return text == NULL;
}

static bool set_picture(mnist_options *o, const char *text) { return set_file(&o->picture, text); }

/* Of --help, which ends the program before any flag counts. */
static bool set_nothing(mnist_options *o, const char *text)
{
    (void)o;
    return text == NULL;
}

/* ---- defaults, as the help shows them */

static void show_epochs(const mnist_program *p)
{
    printf(" (%lld)", (long long)p->defaults.epochs);
}

static void show_batch(const mnist_program *p) { printf(" (%lld)", (long long)p->defaults.batch); }

static void show_hidden(const mnist_program *p)
{
    for (int i = 0; i < p->defaults.n_hidden; i++)
        printf("%s%lld", i == 0 ? " (" : ",", (long long)p->defaults.hidden[i]);
    printf(")");
}

static void show_lr(const mnist_program *p)
{
    printf("%s (%g", p->rate, p->rates[p->defaults.optimizer]);
    if ((p->takes & MNIST_TAKES_OPTIMIZER) != 0) printf("; for sgd %g", p->rates[MNIST_SGD]);
    printf(")");
}

static void show_optimizer(const mnist_program *p)
{
    printf(" (%s)", mnist_optimizer_name(p->defaults.optimizer));
}

static void show_picture(const mnist_program *p) { printf(" (%s)", p->defaults.picture); }

/* ---- the flags */

static const struct flag {
    const char *name, *value; /* without a value: NULL */
    const char *takes;        /* what the value must be */
    const char *help;
    bool (*set)(mnist_options *options, const char *text);
    void (*show)(const mnist_program *program); /* what follows in the help; NULL: nothing */
    unsigned needs; /* what a program with this flag takes; 0: every program has it */
} flags[] = {
    { "--data", "DIR", "the name of a directory", "where the four files of MNIST are, plain or .gz",
      set_data, NULL, 0 },
    { "--generated", NULL, NULL, "train on drawn digits even if MNIST is there", set_generated,
      NULL, 0 },
    { "--epochs", "N", "a whole number from 1 to 1000000", "passes over the training images",
      set_epochs, show_epochs, 0 },
    { "--hidden", "N[,N...]", "up to 16 sizes from 1 to 65536", "sizes of the hidden layers",
      set_hidden, show_hidden, MNIST_TAKES_HIDDEN },
    { "--batch", "N", "a whole number from 1 to 1000000", "images a step", set_batch, show_batch,
      0 },
    { "--lr", "X", "a number above 0", "", set_lr, show_lr, 0 },
    { "--optimizer", "NAME", "sgd, adam or adamw", "sgd (with momentum 0.9), adam or adamw",
      set_optimizer, show_optimizer, MNIST_TAKES_OPTIMIZER },
    { "--seed", "N", "a whole number from 0 to 2^64 - 1", "of initial weights and shuffling (1)",
      set_seed, NULL, 0 },
    { "--threads", "N", "a whole number from 1 to 256", "threads of BLAS (1)", set_threads, NULL,
      0 },
    { "--picture", "FILE", "the name of a file", "draw images there, as PGM", set_picture,
      show_picture, MNIST_TAKES_PICTURE },
    { "--json", "FILE", "the name of a file", "write figures there, one object a line and epoch",
      set_json, NULL, MNIST_TAKES_MEMORY },
    { "--memory-report", "FILE", "the name of a file", "write a page about memory there (HTML)",
      set_report, NULL, MNIST_TAKES_MEMORY },
    { "--trace", "FILE", "the name of a file", "the same for Perfetto and chrome://tracing (JSON)",
      set_trace, NULL, MNIST_TAKES_MEMORY },
    { "--snapshot", "FILE", "the name of a file", "the same for PyTorch's memory_viz (pickle)",
      set_snapshot, NULL, MNIST_TAKES_MEMORY },
    { "--events", "FILE", "the name of a file", "the same as one line an event (CSV)", set_events,
      NULL, MNIST_TAKES_MEMORY },
    { "--max-capacity", "BYTES", "a number of bytes above 0, also with K, M or G",
      "the most that the pool may reserve, also with K, M or G (no cap)", set_max_capacity, NULL,
      MNIST_TAKES_MEMORY },
    { "--dry-run", NULL, NULL, "say what memory training would take, without training", set_dry_run,
      NULL, MNIST_TAKES_MEMORY },
    { "--plan", NULL, NULL, "record a step of training and replay it, with the same bits", set_plan,
      NULL, MNIST_TAKES_PLAN },
    { "--help", NULL, NULL, "show this", set_nothing, NULL, 0 },
};

enum { N_FLAGS = sizeof flags / sizeof flags[0] };

static bool takes(const mnist_program *program, const struct flag *flag)
{
    return (flag->needs & program->takes) == flag->needs;
}

static int print_help(const mnist_program *program)
{
    printf("Usage: %s [FLAG ...]\n%s\n\n", program->name, program->purpose);
    for (const struct flag *flag = flags; flag < flags + N_FLAGS; flag++) {
        if (!takes(program, flag)) continue;
        const int width = printf("  %s %s", flag->name, flag->value != NULL ? flag->value : "");
        printf("%*s%s", 26 - width, "", flag->help);
        if (flag->show != NULL) flag->show(program);
        printf("\n");
    }
    printf(
        "\nWithout --data, MNIST is looked for in $TARN_MNIST_DIR or, where that is not set, in\n"
        "data/mnist; if that does not exist, digits are drawn. scripts/get-mnist downloads it.\n");
    return fflush(stdout) == 0 ? 0 : 1;
}

static const struct flag *find_flag(const mnist_program *program, const char *name, size_t length)
{
    for (const struct flag *flag = flags; flag < flags + N_FLAGS; flag++) {
        if (takes(program, flag) && strlen(flag->name) == length &&
            memcmp(flag->name, name, length) == 0)
            return flag;
    }
    return NULL;
}

/* Both `--flag value` and `--flag=value` are understood; *i moves over a value that stands alone.
 */
static bool parse_flag(const mnist_program *program, mnist_options *options, int argc, char **argv,
                       int *i)
{
    const char *text = argv[*i], *equals = strchr(text, '=');
    const size_t length = equals != NULL ? (size_t)(equals - text) : strlen(text);
    const struct flag *flag = find_flag(program, text, length);
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

bool mnist_options_parse(const mnist_program *program, mnist_options *options, int argc,
                         char **argv, int *status)
{
    program_name = program->name;
    *status = 1;
    if (fcntl(STDOUT_FILENO, F_GETFD) < 0) return mnist_fail("there is no output to write to");
    *options = program->defaults;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            *status = print_help(program);
            return false;
        }
        *status = 2;
        if (!parse_flag(program, options, argc, argv, &i)) return false;
    }
    if (options->lr <= 0) options->lr = program->rates[options->optimizer];
    *status = 2;
    return check_dry_run(options);
}
