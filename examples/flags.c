/* SPDX-License-Identifier: MIT
 * flags.c - a table of flags is read, and told as help. */
#include "flags.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- values: the whole text must be a number, and in range */

static bool set_seed(const flag *f, const char *text)
{
    char *end;
    if (text[0] < '0' || text[0] > '9') return false;
    errno = 0;
    *f->seed = strtoull(text, &end, 10);
    return errno == 0 && *end == '\0';
}

static bool set_number(const flag *f, const char *text)
{
    char *end;
    if (text[0] == '\0' || text[strspn(text, "0123456789.eE+-")] != '\0') return false;
    const double value = strtod(text, &end);
    if (*end != '\0' || !(value >= f->least && value <= f->most)) return false;
    if (f->number != NULL) *f->number = value;
    if (f->count != NULL && value != floor(value)) return false;
    if (f->count != NULL) *f->count = (int64_t)value;
    return true;
}

static bool set(const flag *f, const char *text)
{
    if (f->on != NULL) return *f->on = true;
    if (f->file != NULL) return *(*f->file = text) != '\0';
    return f->seed != NULL ? set_seed(f, text) : set_number(f, text);
}

static void print_wrong(const char *program, const flag *f, const char *text)
{
    fprintf(stderr, "%s: %s takes ", program, f->name);
    if (f->file != NULL) fputs("the name of a file", stderr);
    else if (f->seed != NULL) fputs("a whole number from 0 to 2^64 - 1", stderr);
    else
        fprintf(stderr, "a %s from %.15g to %.15g", f->count != NULL ? "whole number" : "number",
                f->least, f->most);
    if (text != NULL) fprintf(stderr, ", not \"%s\"", text);
    fputc('\n', stderr);
}

/* ---- help */

static void print_flag(const flag *f)
{
    const char *value = f->file != NULL ? " FILE" : f->number != NULL ? " X" : " N";
    const int width = printf("  %s%s", f->name, f->on != NULL ? "" : value);
    printf("%*s%s", width < 20 ? 20 - width : 1, "", f->help);
    if (f->count != NULL) printf(" (%" PRId64 ")", *f->count);
    if (f->seed != NULL) printf(" (%" PRIu64 ")", *f->seed);
    if (f->number != NULL) printf(" (%g)", *f->number);
    putchar('\n');
}

static int print_help(const char *program, const char *purpose, const flag *flags, size_t n)
{
    bool shown = false;
    printf("Usage: %s [FLAG ...]\n%s\n\n", program, purpose);
    for (size_t i = 0; i < n; i++) print_flag(&flags[i]);
    print_flag(&(flag){ .name = "--help", .help = "show this", .on = &shown });
    return fflush(stdout) == 0 ? 0 : 1;
}

/* ---- arguments */

static const flag *find(const flag *flags, size_t n, const char *text, size_t length)
{
    for (size_t i = 0; i < n; i++) {
        if (strlen(flags[i].name) == length && memcmp(flags[i].name, text, length) == 0)
            return &flags[i];
    }
    return NULL;
}

bool flags_parse(const char *program, const char *purpose, const flag *flags, size_t n, int argc,
                 char **argv, int *status)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            *status = print_help(program, purpose, flags, n);
            return false;
        }
    }
    *status = 2;
    for (int i = 1; i < argc; i++) {
        const char *text = argv[i], *equals = strchr(text, '=');
        const size_t length = equals != NULL ? (size_t)(equals - text) : strlen(text);
        const char *value = equals != NULL ? equals + 1 : NULL;
        const flag *f = find(flags, n, text, length);
        if (f == NULL) {
            fprintf(stderr, "%s: unknown argument %s (--help shows all)\n", program, text);
            return false;
        }
        if (f->on != NULL && value != NULL) {
            fprintf(stderr, "%s: %s takes no value\n", program, f->name);
            return false;
        }
        if (f->on == NULL && value == NULL && i + 1 < argc) value = argv[++i];
        if ((f->on == NULL && value == NULL) || !set(f, value)) {
            print_wrong(program, f, value);
            return false;
        }
    }
    *status = 0;
    return true;
}

int flags_end(const char *program, tarn_manager *tm, const char *missed)
{
    const bool written = fflush(stdout) == 0 && ferror(stdout) == 0;
    const bool failed = !tarn_ok(tm);
    if (failed) fprintf(stderr, "%s: %s\n", program, tarn_error_message(tm));
    else if (!written) fprintf(stderr, "%s: the output cannot be written\n", program);
    else if (missed != NULL) fprintf(stderr, "%s: %s\n", program, missed);
    const size_t held = tarn_manager_destroy(tm);
    if (held > 0) fprintf(stderr, "%s: %zu tensors were never released\n", program, held);
    return failed || !written || missed != NULL || held > 0 ? 1 : 0;
}
