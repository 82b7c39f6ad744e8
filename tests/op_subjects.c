/* SPDX-License-Identifier: MIT
 * op_subjects.c - trials as what is differentiated. */
#include "op_subjects.h"

#include <math.h>
#include <string.h>

#include "check.h"

bool op_is_float(const op_trial *t, int i) { return !op_are_integers(t->c->values[i]); }

bool op_is_differentiable(const op_trial *t)
{
    if ((t->c->flags & OP_NO_GRADIENT) != 0) return false;
    return strcmp(t->c->op, "cast") != 0 || t->v.dtype == TARN_F32 || t->v.dtype == TARN_F64;
}

op_subject op_make_subject(tarn_manager *tm, op_trial *t, tarn_dtype dtype, op_layout layout,
                           unsigned wanted)
{
    op_subject s = { .t = t };
    for (int i = 0; i < t->n; i++) {
        s.layout[i] = op_layout_applies(layout, &t->in[i]) ? layout : OP_PLAIN;
        s.leaf[i] = op_base(tm, op_operand_dtype(t, i, dtype), &t->in[i], s.layout[i],
                            op_is_float(t, i) ? 0.5 : 0);
        if (op_is_float(t, i) && (wanted >> i & 1) != 0) s.leaf[i] = tarn_require_grad(s.leaf[i]);
    }
    return s;
}

tarn_tensor *op_evaluate(tarn_tensor *const *leaves, int n, void *context)
{
    const op_subject *s = context;
    tarn_tensor *in[OP_OPERANDS] = { NULL };
    for (int i = 0; i < n; i++) in[i] = op_view(leaves[i], s->layout[i], s->t->in[i].shape);
    return s->t->c->apply(in, &s->t->v);
}

op_array op_draw_cotangent(const tarn_tensor *y, op_cotangent kind)
{
    op_array a;
    uint64_t random = 7;
    const op_case any = { .values = { OP_ANY } };
    const op_variant variant = { .shape = { tarn_get_shape(y) } };
    op_array_draw(&a, &any, &variant, 0, &random);
    for (int64_t i = 0; i < a.n; i++)
        a.data[i] = kind == OP_ZERO ? 0 : kind == OP_ABSOLUTE ? fabs(a.data[i]) : a.data[i];
    if (kind == OP_REPEATED && op_layout_applies(OP_EXPANDED, &a)) op_array_expand(&a);
    return a;
}

static tarn_tensor *make_cotangent(tarn_tensor *y, const op_pass *pass, double *largest)
{
    op_array a = op_draw_cotangent(y, pass->kind);
    const op_layout layout = op_layout_applies(pass->cotangent, &a) ? pass->cotangent : OP_PLAIN;
    *largest = 0;
    for (int64_t i = 0; i < a.n; i++) *largest = fmax(*largest, fabs(a.data[i]));
    tarn_tensor *base = op_base(tarn_manager_of(y), tarn_get_dtype(y), &a, layout, NAN);
    tarn_tensor *t = op_view(base, layout, a.shape);
    op_array_free(&a);
    return t;
}

op_gradients op_differentiate(tarn_manager *tm, op_trial *t, const op_pass *pass)
{
    op_gradients g = { .largest = 0 };
    const unsigned wanted = pass->wanted != 0 ? pass->wanted : ~0U;
    op_subject s = op_make_subject(tm, t, pass->dtype, pass->layout, wanted);
    for (int i = 0; i < pass->times || i == 0; i++) {
        TARN_SCOPE(tm);
        tarn_tensor *y = op_evaluate(s.leaf, t->n, &s);
        if (y == NULL) fail_msg("%s: %s", op_trial_text, tarn_error_message(tm));
        if (i == 0) op_array_read(&g.out, y);
        g.dtype = tarn_get_dtype(y);
        tarn_tensor *v = make_cotangent(y, pass, &g.largest);
        check_status(tarn_backward_with(y, &(tarn_backward_options){ .gradient = v }), TARN_OK);
        assert_int_equal(tarn_manager_get_stats(tm).tape_length, 0);
    }
    for (int i = 0; i < t->n; i++)
        if (op_is_float(t, i) && (wanted >> i & 1) != 0)
            op_array_read(&g.of[i], tarn_grad_of(s.leaf[i]));
    return g;
}

void op_free_gradients(op_gradients *g)
{
    op_array_free(&g->out);
    for (int i = 0; i < OP_OPERANDS; i++) op_array_free(&g->of[i]);
}
