/* SPDX-License-Identifier: MIT
 * op_list.c - the table of all operations. */
#include "ops/op_list.h"

#include <stddef.h>

#define OP_ENTRY(name) &tarn__op_##name,
const tarn__op *const tarn__ops[] = { TARN__OP_LIST(OP_ENTRY) NULL };
#undef OP_ENTRY
