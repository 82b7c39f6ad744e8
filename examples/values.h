/* SPDX-License-Identifier: MIT
 * values.h - numbers on a command line: the whole text must be one, and in range. */
#ifndef EXAMPLES_VALUES_H
#define EXAMPLES_VALUES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A whole number, up to the end of the text or to a character `stop`. Where it ends goes to *end,
 * unless that is NULL. */
bool parse_whole(const char *text, char stop, uint64_t *out, const char **end);

/* A whole number from 1 to `most`. */
bool parse_count(const char *text, uint64_t most, int64_t *out);

/* A number above 0, in digits. */
bool parse_positive(const char *text, double *out);

/* A number of bytes above 0: a number alone, or with a unit K, M or G of 1024, 1024^2 or 1024^3. */
bool parse_bytes(const char *text, size_t *out);

#endif
