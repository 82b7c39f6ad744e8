/* SPDX-License-Identifier: MIT
 * gates.h - what the files that include gates.inc need for it. */
#ifndef TARN_OPS_GATES_H
#define TARN_OPS_GATES_H

#include "ops/real.h"
#include "ops/vmath.h"

/* The units of a row that are worked on together: what is between two functions of vmath.h stays in
 * the first-level cache. */
enum { GATES_PIECE = 64 };

#endif
