/* SPDX-License-Identifier: MIT
 * leaf.c - leaves and their gradients. */
#include "autograd/leaf.h"

#include "autograd/tape.h"
#include "core/observer.h"

static bool is_leaf(const tarn_tensor *t) { return t->node == NULL && !t->graph_freed; }

tarn_tensor *tarn_require_grad(tarn_tensor *t)
{
    if (t == NULL || !tarn__readable(t, "tarn_require_grad")) return NULL;
    char text[TARN__DESCRIPTION_BYTES];
    tarn_manager *tm = t->manager;
    if (t->storage->read_only) {
        (void)tarn__fail(tm, TARN_ESTATE, "tarn_require_grad: %s is frozen",
                         tarn__describe(t, text));
        return NULL;
    }
    if (t->layout.dtype != TARN_F32 && t->layout.dtype != TARN_F64) {
        (void)tarn__fail(tm, TARN_EDTYPE,
                         "tarn_require_grad: %s is %s; gradients need float32 or float64",
                         tarn__describe(t, text), tarn_dtype_name((tarn_dtype)t->layout.dtype));
        return NULL;
    }
    if (!is_leaf(t) && t->requires_grad) {
        (void)tarn__fail(tm, TARN_ESTATE,
                         "tarn_require_grad: %s was computed by a recorded operation: use "
                         "tarn_detach for a leaf with its values",
                         tarn__describe(t, text));
        return NULL;
    }
    if (tarn__tape_of(tm) == NULL) return NULL;
    if (tm->observer != NULL && !t->requires_grad)
        tm->observer->refuse_outside(tm, t, "it makes a leaf with tarn_require_grad");
    t->requires_grad = true;
    t->graph_freed = false;
    return t;
}

/* Whether t is a leaf that requires a gradient; the error is held otherwise. */
static bool check_leaf(const tarn_tensor *t, const char *caller)
{
    const bool spent = t->ended_by == TARN__ENDED_BY_BACKWARD && !is_leaf(t);
    if (!spent && !tarn__readable(t, caller)) return false;
    if (is_leaf(t) && t->requires_grad) return true;
    char text[TARN__DESCRIPTION_BYTES];
    (void)tarn__fail(
        t->manager, TARN_ESTATE, "%s: %s %s", caller, tarn__describe(t, text),
        is_leaf(t) ? "requires no gradient: tarn_require_grad before the forward pass"
                   : "was computed by an operation: only leaves keep a gradient (tarn_grad and "
                     "tarn_on_gradient give those of others)");
    return false;
}

tarn_status tarn_stop_grad(tarn_tensor *t)
{
    if (t == NULL) return TARN_EARG;
    if (!tarn__readable(t, "tarn_stop_grad")) return TARN_ESTALE;
    if (is_leaf(t) && !t->requires_grad) return TARN_OK;
    if (!check_leaf(t, "tarn_stop_grad")) return TARN_ESTATE;
    tarn__observe_refusal(t->manager, "it stops gradients with tarn_stop_grad");
    t->requires_grad = false;
    t->grad_state = TARN__GRAD_EMPTY;
    if (t->grad != NULL) tarn__tensor_end(t->grad, TARN__ENDED_BY_OWNER);
    t->grad = NULL;
    return TARN_OK;
}

bool tarn_requires_grad(const tarn_tensor *t) { return t != NULL && t->requires_grad; }

tarn_tensor *tarn__gradient_new(const tarn_tensor *t, tarn_fill fill, uint32_t tag)
{
    tarn_tensor *gradient = tarn__tensor_begin(t->manager);
    if (gradient == NULL) return NULL;
    gradient->layout = t->layout;
    const tarn_status status = t->is_view ? tarn__layout_pack(&gradient->layout) : TARN_OK;
    if (status == TARN_OK) return tarn__tensor_complete(gradient, fill, tag);
    tarn__tensor_cancel(gradient);
    (void)tarn__fail(t->manager, status, "the gradient of an expanded tensor is too large");
    return NULL;
}

tarn_tensor *tarn__leaf_grad(tarn_tensor *t)
{
    if (t->grad != NULL) return t->grad;
    t->grad = tarn__own(tarn__gradient_new(t, TARN_ZEROED, tarn__tag_like(t, TARN_KIND_GRADIENT)));
    if (t->grad != NULL) t->grad->storage->is_gradient = true;
    return t->grad;
}

void tarn__leaf_empty(tarn_tensor *t)
{
    const tarn_manager *tm = t->manager;
    if (tm->observer != NULL) tm->observer->leaf(t->manager, t, false);
    t->grad_state = TARN__GRAD_EMPTY;
    if (t->grad != NULL) tarn__make_zero(t->grad);
}

tarn_tensor *tarn_grad_of(tarn_tensor *t)
{
    if (t == NULL || !check_leaf(t, "tarn_grad_of")) return NULL;
    return tarn__leaf_grad(t);
}

bool tarn_has_grad(const tarn_tensor *t)
{
    return t != NULL && t->grad != NULL && t->grad_state == TARN__GRAD_ARRIVED;
}

tarn_status tarn_zero_grad(tarn_tensor *t)
{
    if (t == NULL) return TARN_EARG;
    if (!check_leaf(t, "tarn_zero_grad"))
        return t->ended_by == TARN__ALIVE ? TARN_ESTATE : TARN_ESTALE;
    tarn__leaf_empty(t);
    return TARN_OK;
}
