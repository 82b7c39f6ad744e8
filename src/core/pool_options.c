/* SPDX-License-Identifier: MIT
 * pool_options.c - the options of a pool: defaults, environment, validation. */
#define _GNU_SOURCE /* environ */

#include "core/pool_options.h"

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/size.h"

/* ---- the fields */

typedef enum kind {
    SIZE,
    FACTOR,
    CHOICE, /* an enumeration */
    FLAG    /* a bool: a choice of off and on */
} kind;

/* What a size may be besides a number. */
enum {
    UNLIMITED = 1,
    NONE = 2,         /* TARN_NONE: other than 0, which means the default */
    ZERO_IS_NONE = 4, /* the default is none */
    POWER = 8         /* nothing else: a power of two from MIN_ALIGNMENT to MAX_ALIGNMENT */
};

enum { MIN_ALIGNMENT = 64, MAX_ALIGNMENT = 2 * 1024 * 1024, MAX_CHOICES = 3 };

#define DEFAULT_GROWTH 2.0

typedef struct field {
    const char *name; /* as in tarn_pool_options; its variable has it in capitals */
    size_t offset;
    kind kind;
    unsigned flags;       /* of a size */
    size_t default_value; /* in place of 0 */
    const char *choices[MAX_CHOICES + 1];
} field;

#define AT(name) #name, offsetof(tarn_pool_options, name)

/* Every field that can be set from outside, in the order of the structure. */
static const field fields[] = {
    { AT(initial_capacity), SIZE, ZERO_IS_NONE, 0, { 0 } },
    { AT(max_capacity), SIZE, UNLIMITED, TARN_UNLIMITED, { 0 } },
    { AT(growth_factor), FACTOR, 0, 0, { 0 } },
    { AT(cache_limit), SIZE, UNLIMITED | NONE, 0, { 0 } },
    { AT(alignment), SIZE, POWER, MIN_ALIGNMENT, { 0 } },
    { AT(decay_steps), SIZE, UNLIMITED, 0, { 0 } },
    { AT(track_stats), CHOICE, 0, TARN_ON, { "default", "on", "off" } },
    { AT(huge_pages), CHOICE, 0, 0, { "auto", "always", "never" } },
    { AT(zero_policy), CHOICE, 0, 0, { "on_demand", "at_once" } },
    { AT(wipe_on_release), FLAG, 0, 0, { "off", "on" } },
    { AT(checking), CHOICE, 0, 0, { "light", "full" } },
    { AT(mode), CHOICE, 0, 0, { "pooled", "pass_through" } },
    { AT(trace_events), SIZE, ZERO_IS_NONE, 0, { 0 } },
};
enum { N_FIELDS = sizeof(fields) / sizeof(fields[0]), NAME_BYTES = 32 };

_Static_assert(sizeof(tarn_switch) == sizeof(unsigned) &&
                   sizeof(tarn_huge_pages) == sizeof(unsigned) &&
                   sizeof(tarn_zero_policy) == sizeof(unsigned) &&
                   sizeof(tarn_checking) == sizeof(unsigned) &&
                   sizeof(tarn_pool_mode) == sizeof(unsigned),
               "a choice is loaded and stored as unsigned");

/* The value of a field: a FACTOR has factor, every other one n. */
typedef struct value {
    size_t n;
    double factor;
} value;

static value load(const field *f, const tarn_pool_options *options)
{
    const unsigned char *at = (const unsigned char *)options + f->offset;
    value v = { 0, 0 };
    unsigned choice = 0;
    unsigned char flag = 0; /* whatever is there can be read so, and be refused */
    switch (f->kind) {
    case SIZE: memcpy(&v.n, at, sizeof(v.n)); break;
    case FACTOR: memcpy(&v.factor, at, sizeof(v.factor)); break;
    case CHOICE:
        memcpy(&choice, at, sizeof(choice));
        v.n = choice;
        break;
    case FLAG:
        memcpy(&flag, at, sizeof(flag));
        v.n = flag;
        break;
    }
    return v;
}

static void store(const field *f, tarn_pool_options *options, value v)
{
    unsigned char *at = (unsigned char *)options + f->offset;
    const unsigned choice = (unsigned)v.n;
    const bool flag = v.n != 0;
    switch (f->kind) {
    case SIZE: memcpy(at, &v.n, sizeof(v.n)); break;
    case FACTOR: memcpy(at, &v.factor, sizeof(v.factor)); break;
    case CHOICE: memcpy(at, &choice, sizeof(choice)); break;
    case FLAG: memcpy(at, &flag, sizeof(flag)); break;
    }
}

static size_t n_choices(const field *f)
{
    size_t n = 0;
    while (n <= MAX_CHOICES && f->choices[n] != NULL) n++;
    return n;
}

/* Whether the field may have this value, whatever the others have. */
static bool is_valid(const field *f, value v)
{
    switch (f->kind) {
    case SIZE:
        if (v.n == 0) return true;
        if ((f->flags & POWER) != 0)
            return v.n >= MIN_ALIGNMENT && v.n <= MAX_ALIGNMENT && (v.n & (v.n - 1)) == 0;
        return v.n != TARN_NONE || (f->flags & (NONE | ZERO_IS_NONE)) != 0;
    case FACTOR: return v.factor == 0 || (isfinite(v.factor) && v.factor >= 1);
    case CHOICE:
    case FLAG: return v.n < n_choices(f);
    }
    return false;
}

static value with_default(const field *f, value v)
{
    if (v.n == TARN_NONE && (f->flags & ZERO_IS_NONE) != 0) v.n = 0;
    if (v.n == 0) v.n = f->default_value;
    if (v.factor == 0) v.factor = DEFAULT_GROWTH;
    return v;
}

/* ---- numbers as text, whatever the locale */

static bool is_digit(char c) { return c >= '0' && c <= '9'; }

/* Digits, and a unit or none: 65536, 64K, 64k, 64KiB. */
static bool parse_size(const char *text, size_t *out)
{
    static const char units[] = "kmgt";
    size_t n = 0;
    if (!is_digit(*text)) return false;
    for (; is_digit(*text); text++)
        if (!tarn__size_mul(n, 10, &n) || !tarn__size_add(n, (size_t)(*text - '0'), &n))
            return false;
    if (*text != '\0') {
        const char letter = *text >= 'A' && *text <= 'Z' ? (char)(*text - 'A' + 'a') : *text;
        const char *unit = strchr(units, letter);
        if (unit == NULL || (text[1] != '\0' && strcmp(text + 1, "iB") != 0)) return false;
        for (ptrdiff_t i = unit - units; i >= 0; i--)
            if (!tarn__size_mul(n, 1024, &n)) return false;
    }
    *out = n;
    return true;
}

/* Digits, with or without a point among them. Up to 15 of them the result is the double nearest to
 * the decimal, since both parts of the quotient are exact; more decimals than that are dropped. */
static bool parse_factor(const char *text, double *out)
{
    enum { MAX_DIGITS = 15 };
    uint64_t digits = 0;
    double scale = 1;
    int n = 0;
    bool point = false;
    for (; *text != '\0'; text++) {
        if (*text == '.' && !point) {
            point = true;
            continue;
        }
        if (!is_digit(*text) || (n == MAX_DIGITS && !point)) return false;
        if (n == MAX_DIGITS) continue;
        digits = digits * 10 + (uint64_t)(*text - '0');
        if (point) scale *= 10;
        n++;
    }
    if (n > 0) *out = (double)digits / scale;
    return n > 0;
}

static void print_factor(double factor, char text[NAME_BYTES])
{
    (void)snprintf(text, NAME_BYTES, "%.15g", factor);
    /* A locale's own point may be several bytes long: one takes their place. */
    char *end = text;
    for (const char *c = text; *c != '\0'; c++) {
        const bool plain = (*c >= '0' && *c <= '9') || strchr("+-einfa", *c) != NULL;
        if (plain) *end++ = *c;
        else if (end == text || end[-1] != '.') *end++ = '.';
    }
    *end = '\0';
}

/* ---- values as text */

static bool parse(const field *f, const char *text, value *out)
{
    value v = { 0, 0 };
    if (strcmp(text, "default") == 0) {
        *out = v;
        return true;
    }
    switch (f->kind) {
    case SIZE:
        if (strcmp(text, "unlimited") == 0 && (f->flags & UNLIMITED) != 0) v.n = TARN_UNLIMITED;
        else if (strcmp(text, "none") == 0 && (f->flags & (NONE | ZERO_IS_NONE)) != 0)
            v.n = TARN_NONE;
        else if (!parse_size(text, &v.n)) return false;
        break;
    case FACTOR:
        if (!parse_factor(text, &v.factor)) return false;
        break;
    case CHOICE:
    case FLAG:
        while (f->choices[v.n] != NULL && strcmp(text, f->choices[v.n]) != 0) v.n++;
        break;
    }
    *out = v;
    return is_valid(f, v);
}

static void print(const field *f, value v, char text[NAME_BYTES])
{
    const char *word = NULL;
    if (f->kind == CHOICE || f->kind == FLAG)
        word = v.n < n_choices(f) ? f->choices[v.n] : "unknown";
    else if (f->kind == FACTOR && v.factor == 0) word = "default";
    else if (f->kind == SIZE && v.n == 0)
        word = (f->flags & ZERO_IS_NONE) != 0 ? "none" : "default";
    else if (f->kind == SIZE && v.n == TARN_UNLIMITED) word = "unlimited";
    else if (f->kind == SIZE && v.n == TARN_NONE) word = "none";

    if (word != NULL) (void)snprintf(text, NAME_BYTES, "%s", word);
    else if (f->kind == FACTOR) print_factor(v.factor, text);
    else (void)snprintf(text, NAME_BYTES, "%zu", v.n);
}

/* What the variable of a field may be set to: "auto, always or never". */
static const char *accepted(const field *f, char text[128])
{
    if (f->kind == FACTOR) return "a number of at least 1, such as 1.5";
    if (f->kind == SIZE) {
        const bool unlimited = (f->flags & UNLIMITED) != 0;
        const bool none = (f->flags & (NONE | ZERO_IS_NONE)) != 0;
        if ((f->flags & POWER) != 0) return "a power of two from 64 to 2M";
        (void)snprintf(text, 128, "a number with or without K, M, G or T%s%s%s",
                       unlimited && none ? ", unlimited" : "",
                       unlimited && !none ? ", or unlimited" : "", none ? ", or none" : "");
        return text;
    }
    const size_t n = n_choices(f);
    size_t length = 0;
    text[0] = '\0';
    for (size_t i = 0; i < n && length < 128; i++) {
        const char *before = i == 0 ? "" : i + 1 < n ? ", " : " or ";
        const int written = snprintf(text + length, 128 - length, "%s%s", before, f->choices[i]);
        if (written > 0) length += (size_t)written;
    }
    return text;
}

/* ---- names of variables */

static const char prefix[] = "TARN_POOL_";
static const char switch_name[] = "OVERRIDES";
enum { PREFIX_LENGTH = sizeof(prefix) - 1, FAR = 3 };

/* The name of the n-th variable behind its prefix: those of the fields, and the switch of all. */
static void variable_name(size_t n, char name[NAME_BYTES])
{
    (void)snprintf(name, NAME_BYTES, "%s", n < N_FIELDS ? fields[n].name : switch_name);
    for (char *c = name; *c != '\0'; c++)
        if (*c >= 'a' && *c <= 'z') *c = (char)(*c - 'a' + 'A');
}

/* How many letters must be put in, taken out or replaced to make b of a (Levenshtein), row by row;
 * FAR for names too long to be meant. */
static size_t distance(const char *a, size_t a_length, const char *b)
{
    size_t row[NAME_BYTES];
    const size_t b_length = strlen(b);
    if (a_length >= NAME_BYTES || b_length >= NAME_BYTES) return FAR;
    for (size_t j = 0; j <= b_length; j++) row[j] = j;
    for (size_t i = 0; i < a_length; i++) {
        size_t diagonal = row[0];
        row[0] = i + 1;
        for (size_t j = 0; j < b_length; j++) {
            const size_t replaced = diagonal + (a[i] != b[j]);
            diagonal = row[j + 1];
            row[j + 1] = (row[j] < diagonal ? row[j] : diagonal) + 1;
            if (replaced < row[j + 1]) row[j + 1] = replaced;
        }
    }
    return row[b_length];
}

/* The index of the known name nearest to this one, and how far it is. */
static size_t nearest(const char *name, size_t length, size_t *away)
{
    size_t best = 0;
    *away = SIZE_MAX;
    for (size_t n = 0; n <= N_FIELDS; n++) {
        char known[NAME_BYTES];
        variable_name(n, known);
        const size_t d = distance(name, length, known);
        if (d >= *away) continue;
        *away = d;
        best = n;
    }
    return best;
}

/* ---- findings */

typedef struct findings {
    tarn__overrides *to;
    size_t length, left_out;
} findings;

enum { LINE_BYTES = 384, QUOTED_BYTES = 64, LAST_LINE_BYTES = 40 };

/* Adds a line, or counts it if it does not fit before the last one. */
static void found(findings *all, const char *line)
{
    const size_t length = strlen(line);
    if (all->left_out > 0 || length + LAST_LINE_BYTES > sizeof(all->to->text) - all->length) {
        all->left_out++;
        return;
    }
    memcpy(all->to->text + all->length, line, length + 1);
    all->length += length;
}

static void end_findings(findings *all)
{
    if (all->left_out == 0) return;
    (void)snprintf(all->to->text + all->length, LAST_LINE_BYTES, "... and %zu more\n",
                   all->left_out);
}

/* A text from outside for a line of ours: cut, and without what would end or disturb the line. */
static const char *quote(const char *text, size_t length, char quoted[QUOTED_BYTES])
{
    enum { ROOM = QUOTED_BYTES - 4 };
    const size_t n = length < ROOM ? length : ROOM;
    for (size_t i = 0; i < n; i++) quoted[i] = text[i] >= ' ' && text[i] <= '~' ? text[i] : '?';
    (void)snprintf(quoted + n, QUOTED_BYTES - n, "%s", n < length ? "..." : "");
    return quoted;
}

static void ignore(findings *all, const char *name, size_t name_length, const char *text,
                   const char *reason)
{
    char line[LINE_BYTES], quoted_name[QUOTED_BYTES], quoted_text[QUOTED_BYTES];
    (void)snprintf(line, sizeof(line), "ignored: %s%s=%s: %s\n", prefix,
                   quote(name, name_length, quoted_name), quote(text, strlen(text), quoted_text),
                   reason);
    found(all, line);
}

static void ignore_unknown(findings *all, const char *name, size_t length, const char *text,
                           const char *meant)
{
    char reason[96] = "no such option";
    if (meant != NULL)
        (void)snprintf(reason, sizeof(reason), "no such option (did you mean %s%s?)", prefix,
                       meant);
    ignore(all, name, length, text, reason);
}

/* ---- the environment */

/* Applies the variable of one field, or says why not. */
static void override(const field *f, const char *name, const char *text, tarn_pool_options *options,
                     findings *all)
{
    value v;
    char buffer[128];
    if (!parse(f, text, &v)) {
        ignore(all, name, strlen(name), text, accepted(f, buffer));
        return;
    }
    store(f, options, v);
    char line[LINE_BYTES], quoted[QUOTED_BYTES], now[NAME_BYTES];
    print(f, with_default(f, v), now);
    (void)snprintf(line, sizeof(line), "%s %s from %s%s=%s\n", f->name, now, prefix, name,
                   quote(text, strlen(text), quoted));
    found(all, line);
}

/* All is done on a copy, since the variable that turns everything off may come last. */
static void apply_environment(tarn_pool_options *options, tarn__overrides *overrides)
{
    tarn_pool_options changed = *options;
    findings all = { .to = overrides };
    overrides->text[0] = '\0';
    for (char **entry = environ; entry != NULL && *entry != NULL; entry++) {
        if (strncmp(*entry, prefix, PREFIX_LENGTH) != 0) continue;
        const char *name = *entry + PREFIX_LENGTH, *equals = strchr(name, '=');
        if (equals == NULL) continue;
        const size_t length = (size_t)(equals - name);
        const char *text = equals + 1;
        size_t away;
        char known[NAME_BYTES];
        const size_t n = nearest(name, length, &away);
        variable_name(n, known);
        if (away > 0) {
            ignore_unknown(&all, name, length, text, away < FAR ? known : NULL);
        } else if (n < N_FIELDS) {
            override(&fields[n], known, text, &changed, &all);
        } else if (strcmp(text, "off") == 0) {
            overrides->text[0] = '\0';
            return;
        } else if (strcmp(text, "on") != 0) {
            ignore(&all, name, length, text, "on or off");
        }
    }
    end_findings(&all);
    *options = changed;
}

/* ---- complete and print */

tarn_status tarn__pool_options_complete(tarn_pool_options *options, tarn__overrides *overrides)
{
    apply_environment(options, overrides);
    for (size_t i = 0; i < N_FIELDS; i++) {
        const value v = load(&fields[i], options);
        if (!is_valid(&fields[i], v)) return TARN_EARG;
        store(&fields[i], options, with_default(&fields[i], v));
    }
    if (options->initial_capacity > options->max_capacity) return TARN_EARG;
    const tarn_system *system = options->system;
    return system == NULL || (system->reserve != NULL && system->release != NULL) ? TARN_OK
                                                                                  : TARN_EARG;
}

size_t tarn__pool_options_print(const tarn_pool_options *options, char *text, size_t size)
{
    size_t length = 0;
    for (size_t i = 0; i < N_FIELDS; i++) {
        char now[NAME_BYTES];
        print(&fields[i], load(&fields[i], options), now);
        const bool fits = length < size;
        const int n = snprintf(fits ? text + length : NULL, fits ? size - length : 0, "%s %s\n",
                               fields[i].name, now);
        if (n > 0) length += (size_t)n;
    }
    return length;
}
