/* SPDX-License-Identifier: MIT
 * state.c - states of recurrent layers that outlive the operations which computed them. */
#include <tarn/sequence.h>

#include <tarn/shape.h>

#include "core/manager.h"
#include "core/observer.h"
#include "core/tensor.h"
#include "ops/op.h"

tarn_rnn_state tarn_rnn_state_detach(tarn_rnn_state state)
{
    tarn_rnn_state cut = { 0 };
    if (state.h != NULL) cut.h = tarn_detach(state.h);
    if (state.c != NULL) cut.c = tarn_detach(state.c);
    return cut;
}

/* A copy of t, which depends on nothing and that nobody owns but the caller; NULL with the error
 * held. A view of t would keep alive all that t is a view of. */
static tarn_tensor *copy_of(tarn_tensor *t)
{
    if (!tarn__readable(t, "tarn_rnn_state_carry")) return NULL;
    tarn__layout layout = t->layout;
    if (tarn__layout_pack(&layout) != TARN_OK) return NULL;
    const tarn__place before = tarn__enter_place(t->manager, "state", TARN_KIND_ACTIVATION);
    tarn_tensor *copy = tarn__tensor_new(t->manager, &layout, TARN_UNINITIALIZED);
    tarn__leave_place(t->manager, before);
    if (copy == NULL) return NULL;
    tarn__observe_refusal(t->manager, "it carries the state of a recurrence to the next step");
    tarn__materialize(t);
    tarn__copy_strided(copy, t);
    return tarn_retain(tarn__adopt(copy));
}

tarn_status tarn_rnn_state_carry(tarn_rnn_state *carried, tarn_rnn_state next)
{
    if (carried == NULL || next.h == NULL) return TARN_EARG;
    tarn_rnn_state copy = { .h = copy_of(next.h) };
    if (copy.h != NULL && next.c != NULL) copy.c = copy_of(next.c);
    if (copy.h == NULL || (next.c != NULL && copy.c == NULL)) {
        tarn_rnn_state_release(&copy);
        return tarn_error_code(next.h->manager);
    }
    tarn_rnn_state_release(carried);
    *carried = copy;
    return TARN_OK;
}

void tarn_rnn_state_release(tarn_rnn_state *carried)
{
    if (carried == NULL) return;
    if (carried->h != NULL) tarn_release(carried->h);
    if (carried->c != NULL) tarn_release(carried->c);
    *carried = (tarn_rnn_state){ 0 };
}
