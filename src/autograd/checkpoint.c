/* SPDX-License-Identifier: MIT
 * checkpoint.c - tarn_checkpoint: a function that runs without being recorded, and once more, now
 * recorded, when backward comes to it.
 *
 * The tape holds one node for the whole function. It saves the inputs; intermediates are gone when
 * the function returns. In backward the function runs on leaves that stand for its inputs, and a
 * pass of its own goes from its output to those leaves and to whatever leaves it used besides. */
#include "autograd/checkpoint.h"

#include <tarn/autograd.h>

#include "core/draws.h"
#include "core/observer.h"

struct tarn__segment {
    tarn_function function;
    void *context;
    int n;
    tarn__draws draws;
};

void tarn__segment_free(tarn_manager *tm, tarn__segment *segment)
{
    tarn__draws_end(tm, &segment->draws);
    tarn__record_give(tm, segment, sizeof(*segment));
}

/* ---- running the function */

/* What running it sets aside. */
typedef struct outside {
    const char *label;
    tarn__place place;
    tarn__draws *draws;
    bool replaying;
    uint32_t held;
} outside;

static outside enter(tarn_manager *tm, tarn__draws *draws, bool repeat)
{
    const outside before = { tm->label, tm->place, tm->draws, tm->replaying, tm->held };
    draws->repeating = repeat;
    draws->outer = repeat ? NULL : tm->draws;
    draws->next = 0;
    tm->draws = draws;
    tm->replaying = tm->replaying || repeat;
    tm->held = tm->depth;
    tm->label = NULL;
    tm->place.path = "";
    return before;
}

static void leave(tarn_manager *tm, outside before)
{
    tm->label = before.label;
    tm->place = before.place;
    tm->draws = before.draws;
    tm->replaying = before.replaying;
    tm->held = before.held;
}

/* Runs it without recording; its output belongs to the scope around. NULL with the error held. */
static tarn_tensor *run_unrecorded(tarn_manager *tm, tarn__segment *s, tarn_tensor *const *inputs)
{
    const tarn_scope scope = tarn_no_grad_begin(tm);
    const outside before = enter(tm, &s->draws, false);
    tarn_tensor *y = tarn_ok(tm) ? s->function(inputs, s->n, s->context) : NULL;
    if (y == NULL && tarn_ok(tm))
        (void)tarn__fail(tm, TARN_EARG, "tarn_checkpoint: the function returned NULL");
    const bool fresh =
        y != NULL && y->owner == TARN__OWNER_SCOPE && y->scope == tm->depth && !y->requires_grad;
    if (y != NULL && !fresh) y = tarn_alias(y); /* an input or parameter itself */
    y = tarn_escape(y);
    leave(tm, before);
    tarn_scope_end(scope);
    return tarn_ok(tm) ? y : NULL;
}

/* ---- forward */

static tarn_status infer_nothing(const tarn__call *call, tarn__layout *out, int64_t *offset)
{
    (void)offset;
    *out = call->out->layout;
    return TARN_OK;
}

/* A node's operation by name and arity; the node's segment does the rest. */
#define USES_ALL \
    (TARN__USES_IN0 | TARN__USES_IN1 | TARN__USES_IN2 | TARN__USES_IN3 | TARN__USES_IN4)
#define OPERATION(n)                                                                         \
    {                                                                                        \
        .name = "checkpoint",                                                                \
        .operands = { "input 0", "input 1", "input 2", "input 3", "input 4" }, .arity = (n), \
        .any_dtype = 31, .layout = TARN__STRIDED,                                            \
        .uses = { USES_ALL, USES_ALL, USES_ALL, USES_ALL, USES_ALL }, .infer = infer_nothing \
    }
static const tarn__op operations[TARN__MAX_OPERANDS] = { OPERATION(1), OPERATION(2), OPERATION(3),
                                                         OPERATION(4), OPERATION(5) };

/* Every input is saved, whether or not it wants a gradient: all are needed to run again. */
static void save_all(tarn__node *node)
{
    for (int i = 0; i < node->op->arity; i++) {
        if ((node->saved >> i & 1) != 0) continue;
        node->saved |= (uint8_t)(1u << i);
        tarn__node_save(node, i);
    }
}

static tarn_tensor *record(tarn_manager *tm, tarn__segment *s, tarn_tensor *const *inputs,
                           tarn_tensor *y)
{
    tarn__call call = { .op = &operations[s->n - 1], .manager = tm, .out = y };
    for (int i = 0; i < s->n; i++) {
        call.in[i] = inputs[i];
        call.wanted |= (uint8_t)(inputs[i]->requires_grad << i);
    }
    if (tm->recorder->record(&call) != TARN_OK) return NULL;
    y->node->segment = s;
    save_all(y->node);
    return y;
}

static tarn_status check_inputs(tarn_manager *tm, tarn_list inputs)
{
    if (inputs.n < 1 || inputs.n > TARN__MAX_OPERANDS)
        return tarn__fail(tm, TARN_EARG, "tarn_checkpoint: %d inputs; 1 to %d are possible",
                          inputs.n, TARN__MAX_OPERANDS);
    for (int i = 0; i < inputs.n; i++) {
        if (inputs.items[i] == NULL)
            return tarn__fail(tm, TARN_EARG, "tarn_checkpoint: input %d is NULL", i);
        if (inputs.items[i]->manager != tm)
            return tarn__fail(tm, TARN_ESTATE,
                              "tarn_checkpoint: input %d belongs to another manager than input 0",
                              i);
        if (!tarn__readable(inputs.items[i], "tarn_checkpoint")) return TARN_ESTALE;
    }
    return TARN_OK;
}

tarn_tensor *tarn_checkpoint(tarn_function function, tarn_list inputs, void *context)
{
    tarn_manager *tm = NULL;
    for (int i = 0; i < inputs.n && tm == NULL && inputs.items != NULL; i++)
        if (inputs.items[i] != NULL) tm = inputs.items[i]->manager;
    if (tm == NULL || !tarn_ok(tm) || check_inputs(tm, inputs) != TARN_OK) return NULL;
    if (function == NULL) {
        (void)tarn__fail(tm, TARN_EARG, "tarn_checkpoint: the function is NULL");
        return NULL;
    }
    if (!tarn__recording(tm)) return function(inputs.items, inputs.n, context);
    tarn__segment *s = tarn__record_take(tm, "tarn_checkpoint", sizeof(*s));
    if (s == NULL) return NULL;
    *s = (tarn__segment){ .function = function, .context = context, .n = inputs.n };
    tarn_tensor *y = run_unrecorded(tm, s, inputs.items);
    const bool no_gradient =
        y != NULL && y->layout.dtype != TARN_F32 && y->layout.dtype != TARN_F64;
    if (y != NULL && !no_gradient && record(tm, s, inputs.items, y) != NULL) return y;
    tarn__segment_free(tm, s);
    return no_gradient ? y : NULL;
}

/* ---- backward */

/* A leaf on the elements of an input, whose gradient is din, or no leaf if that is NULL. */
static tarn_tensor *stand_in(tarn_tensor *input, tarn_tensor *din, bool add)
{
    /* The handle may have ended, but its elements were saved. */
    tarn_tensor *leaf = tarn__adopt(tarn__tensor_view(input, &input->layout, 0));
    if (leaf == NULL || din == NULL || tarn_require_grad(leaf) == NULL) return leaf;
    leaf->target = TARN__TARGET_ITSELF;
    leaf->grad = din;
    din->storage->is_gradient = true;
    leaf->grad_state = add ? TARN__GRAD_ARRIVED : TARN__GRAD_EMPTY;
    return leaf;
}

/* Whether din[i] holds what is to be added to. Where parts arrive in any order, of an input that is
 * named twice or of a leaf that the function may use besides, it begins as zeros. */
static bool begin_gradient(const tarn__pass *p, const tarn__call *call, const tarn__node *node,
                           int i)
{
    tarn_tensor *t = node->in[i], *din = call->din[i];
    bool shared = t->node == NULL;
    for (int j = i + 1; j < call->op->arity; j++) shared = shared || node->in[j] == t;
    if (din == NULL || call->add[i] || !shared) return call->add[i];
    tarn__make_zero(din);
    tarn__materialize(din);
    if (t->node != NULL || !tarn__keeps_gradient(p, t)) return true;
    if (p->tm->observer != NULL) p->tm->observer->leaf(p->tm, t, true);
    t->grad_state = TARN__GRAD_ARRIVED;
    return true;
}

/* Takes din back; it reads as zeros if nothing arrived. */
static void take_back(tarn_tensor *leaf, tarn_tensor *din, bool add)
{
    if (leaf == NULL || leaf->grad == NULL || leaf->grad != din) return;
    leaf->grad = NULL;
    if (leaf->grad_state == TARN__GRAD_ARRIVED || add || din->manager->dry) return;
    tarn__make_zero(din);
    tarn__materialize(din);
}

static tarn_status run_again(const tarn__pass *p, const tarn__call *call, tarn__segment *s,
                             tarn_tensor *const *leaves)
{
    tarn_manager *tm = call->manager;
    const uint64_t before = p->tape->position;
    char now[TARN__DESCRIPTION_BYTES], first[TARN__DESCRIPTION_BYTES];
    tarn_tensor *y = tarn_ok(tm) ? s->function(leaves, s->n, s->context) : NULL;
    if (!tarn_ok(tm)) return tarn_error_code(tm);
    if (y == NULL || y->layout.dtype != call->out->layout.dtype ||
        !tarn__same_shape(&y->layout, &call->out->layout))
        return tarn__fail(
            tm, TARN_ESTATE,
            "tarn_checkpoint: the function gives %s now and gave %s first: it must do "
            "the same each time",
            y == NULL ? "NULL" : tarn__describe(y, now), tarn__describe(call->out, first));
    return tarn__backward_inside(p, before, y, call->dout);
}

tarn_status tarn__segment_backward(const tarn__pass *p, const tarn__call *call,
                                   const tarn__node *node)
{
    tarn_manager *tm = call->manager;
    tarn__segment *s = node->segment;
    tarn_tensor *leaves[TARN__MAX_OPERANDS] = { NULL };
    bool add[TARN__MAX_OPERANDS] = { false };
    const tarn_scope scope = tarn_scope_begin(tm);
    const outside before = enter(tm, &s->draws, true);
    for (int i = 0; i < s->n; i++) {
        add[i] = begin_gradient(p, call, node, i);
        leaves[i] = stand_in(node->in[i], call->din[i], add[i]);
    }
    const tarn_status status = run_again(p, call, s, leaves);
    for (int i = 0; i < s->n; i++) take_back(leaves[i], call->din[i], add[i]);
    leave(tm, before);
    tarn_scope_end(scope);
    return status;
}
