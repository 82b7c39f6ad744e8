/* SPDX-License-Identifier: MIT
 * flags.h - what the small examples share: their flags, and how they end. */
#ifndef EXAMPLES_FLAGS_H
#define EXAMPLES_FLAGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <tarn/tarn.h>

/* A flag and the variable that it sets: one of these, whose value before is the default. */
typedef struct flag {
    const char *name; /* such as "--steps" */
    const char *help;
    double least, most; /* of a count or number, both allowed */
    bool *on;
    int64_t *count;
    uint64_t *seed;
    double *number;
    const char **file; /* NULL: none */
} flag;

/* A table of flags and its length. */
#define FLAGS(table) (table), sizeof(table) / sizeof((table)[0])

/* Sets what the arguments say, as `--flag value` or `--flag=value`. False if the program shall end
 * now, with *status: 0 after --help, which prints the purpose and all flags; 2, with a line on
 * stderr, for an argument that cannot be. */
bool flags_parse(const char *program, const char *purpose, const flag *flags, size_t n, int argc,
                 char **argv, int *status);

/* How a program shall exit: 0, or 1 with a line on stderr if its manager holds an error or is not
 * there, the output could not be written, a figure was `missed` (NULL: none was), or a tensor is
 * still retained. Destroys the manager. */
int flags_end(const char *program, tarn_manager *tm, const char *missed);

#endif
