/* SPDX-License-Identifier: MIT
 * pool_options.c - the options of a pool: defaults, environment, validation. */
#define _GNU_SOURCE /* environ */

#include "core/pool_options.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/pool_fields.h"

/* ---- names of variables */

static const char prefix[] = "TARN_POOL_";
static const char switch_name[] = "OVERRIDES";
enum { PREFIX_LENGTH = sizeof(prefix) - 1, FAR = 3 };

/* The name of the n-th variable behind its prefix: those of the fields, and the switch of all. */
static void variable_name(size_t n, char name[TARN__FIELD_BYTES])
{
    (void)snprintf(name, TARN__FIELD_BYTES, "%s",
                   n < TARN__N_POOL_FIELDS ? tarn__pool_fields[n].name : switch_name);
    for (char *c = name; *c != '\0'; c++)
        if (*c >= 'a' && *c <= 'z') *c = (char)(*c - 'a' + 'A');
}

/* How many letters must be put in, taken out or replaced to make b of a (Levenshtein), row by row;
 * FAR for names too long to be meant. */
static size_t distance(const char *a, size_t a_length, const char *b)
{
    size_t row[TARN__FIELD_BYTES];
    const size_t b_length = strlen(b);
    if (a_length >= TARN__FIELD_BYTES || b_length >= TARN__FIELD_BYTES) return FAR;
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
    for (size_t n = 0; n <= TARN__N_POOL_FIELDS; n++) {
        char known[TARN__FIELD_BYTES];
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
static void override(const tarn__field *f, const char *name, const char *text,
                     tarn_pool_options *options, findings *all)
{
    tarn__value v;
    char buffer[128];
    if (!tarn__field_parse(f, text, &v)) {
        ignore(all, name, strlen(name), text, tarn__field_accepted(f, buffer));
        return;
    }
    tarn__field_store(f, options, v);
    char line[LINE_BYTES], quoted[QUOTED_BYTES], now[TARN__FIELD_BYTES];
    tarn__field_print(f, tarn__field_with_default(f, v), now);
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
        char known[TARN__FIELD_BYTES];
        const size_t n = nearest(name, length, &away);
        variable_name(n, known);
        if (away > 0) {
            ignore_unknown(&all, name, length, text, away < FAR ? known : NULL);
        } else if (n < TARN__N_POOL_FIELDS) {
            override(&tarn__pool_fields[n], known, text, &changed, &all);
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
    for (size_t i = 0; i < TARN__N_POOL_FIELDS; i++) {
        const tarn__value v = tarn__field_load(&tarn__pool_fields[i], options);
        if (!tarn__field_is_valid(&tarn__pool_fields[i], v)) return TARN_EARG;
        tarn__field_store(&tarn__pool_fields[i], options,
                          tarn__field_with_default(&tarn__pool_fields[i], v));
    }
    if (options->initial_capacity > options->max_capacity) return TARN_EARG;
    const tarn_system *system = options->system;
    return system == NULL || (system->reserve != NULL && system->release != NULL) ? TARN_OK
                                                                                  : TARN_EARG;
}

size_t tarn__pool_options_print(const tarn_pool_options *options, char *text, size_t size)
{
    size_t length = 0;
    for (size_t i = 0; i < TARN__N_POOL_FIELDS; i++) {
        char now[TARN__FIELD_BYTES];
        tarn__field_print(&tarn__pool_fields[i], tarn__field_load(&tarn__pool_fields[i], options),
                          now);
        const bool fits = length < size;
        const int n = snprintf(fits ? text + length : NULL, fits ? size - length : 0, "%s %s\n",
                               tarn__pool_fields[i].name, now);
        if (n > 0) length += (size_t)n;
    }
    return length;
}
