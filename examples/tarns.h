/* SPDX-License-Identifier: MIT
 * tarns.h - a short text to learn to write. */
#ifndef EXAMPLES_TARNS_H
#define EXAMPLES_TARNS_H

extern const char tarns[];

#endif
