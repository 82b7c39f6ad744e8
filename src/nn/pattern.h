/* SPDX-License-Identifier: MIT
 * pattern.h - which parameters a pattern means.
 *
 * A pattern is matched against the whole path of a parameter, relative to the module it is asked
 * of, such as "encoder.l1.weight". As in a shell, * stands for any bytes (none, and dots, too), ?
 * for one, [a-z_] for one of a set, [!a-z_] for one outside of it, and \ makes the next byte an
 * ordinary one. A bracket that is not closed is an ordinary byte. */
#ifndef TARN_NN_PATTERN_H
#define TARN_NN_PATTERN_H

#include "nn/module.h"

/* True if the pattern means the member, which lies in `top` or below it. */
bool tarn__pattern_matches(const char *pattern, const tarn_module *top, const tarn__member *member);

#endif
