/* SPDX-License-Identifier: MIT
 * cube.c - an operation of a program's own that tests share. */
#include "cube.h"

#include <tarn/ops.h>

#include "check.h"

static double element(const tarn_elements *e, int64_t i)
{
    return e->dtype == TARN_F64 ? ((const double *)e->data)[i]
                                : (double)((const float *)e->data)[i];
}

static void set(const tarn_elements *e, int64_t i, double value)
{
    if (e->dtype == TARN_F64) ((double *)e->data)[i] = value;
    else ((float *)e->data)[i] = (float)value;
}

static tarn_status cube_forward(const tarn_custom_call *c)
{
    for (int64_t i = 0; i < c->out.n; i++) {
        const double x = element(&c->in[0], i);
        set(&c->out, i, x * x * x);
    }
    return TARN_OK;
}

static tarn_status cube_backward(const tarn_custom_call *c)
{
    assert_null(c->out.data); /* not asked for */
    for (int64_t i = 0; i < c->din[0].n; i++) {
        const double x = element(&c->in[0], i), g = 3 * x * x * element(&c->dout, i);
        set(&c->din[0], i, c->add[0] ? element(&c->din[0], i) + g : g);
    }
    return TARN_OK;
}

static tarn_tensor *cube_graph(tarn_list operands, tarn_tensor *result, tarn_tensor *dy, int i,
                               const void *attributes, void *context)
{
    (void)result, (void)i, (void)attributes, (void)context;
    tarn_tensor *square = tarn_square(operands.items[0]);
    tarn_tensor *slope = tarn_mul_scalar(square, 3);
    return tarn_mul(dy, slope);
}

const tarn_custom_options cube_options = { .name = "cube",
                                           .operands = { "x" },
                                           .forward = cube_forward,
                                           .backward = cube_backward,
                                           .graph = cube_graph,
                                           .uses = { TARN_USES_OPERAND(0) } };
