/* SPDX-License-Identifier: MIT
 * alias.c - another handle on the same elements. */
#include "ops/op_list.h"

static tarn_status alias_infer(const tarn__call *call, tarn__layout *out, int64_t *offset)
{
    (void)offset;
    *out = call->in[0]->layout;
    return TARN_OK;
}

static tarn_tensor *alias_graph(const tarn__call *call, int i)
{
    (void)i;
    return call->dout;
}

const tarn__op tarn__op_alias = {
    .name = "alias",
    .operands = { "x" },
    .arity = 1,
    .any_dtype = 1,
    .layout = TARN__STRIDED,
    .is_view = true,
    .grad_in_place = true,
    .infer = alias_infer,
    .graph = alias_graph,
};

tarn_tensor *tarn_alias(tarn_tensor *x) { return tarn__apply1(&tarn__op_alias, x, NULL); }
