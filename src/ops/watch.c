/* SPDX-License-Identifier: MIT
 * watch.c - looking at every operation.
 *
 * The check for numbers that are not finite looks at each result, forward and backward, so that the
 * first operation to produce one is named, not the loss in which it ends up. */
#include "ops/watch.h"

#include <math.h>
#include <string.h>

#include "ops/loop.h"

/* ---- ranges */

typedef struct range {
    double min, max; /* of the finite elements */
    int64_t nans, infinities, finite;
    int64_t first; /* place of the first element that is not finite, or -1 */
} range;

static void take(range *r, double x, int64_t place)
{
    if (isfinite(x)) {
        if (r->finite == 0 || x < r->min) r->min = x;
        if (r->finite == 0 || x > r->max) r->max = x;
        r->finite++;
        return;
    }
    if (r->first < 0) r->first = place;
    if (isnan(x)) r->nans++;
    else r->infinities++;
}

static bool is_float(const tarn_tensor *t)
{
    return t->layout.dtype == TARN_F32 || t->layout.dtype == TARN_F64;
}

static range range_of(tarn_tensor *t)
{
    range r = { .first = -1 };
    int64_t place = 0;
    tarn__loop loop;
    if (t->layout.numel == 0) return r;
    tarn__materialize(t);
    tarn__loop_begin(&loop, &t->layout, 1, (const tarn__layout *const[]){ &t->layout });
    do {
        const double *d = (const double *)t->data + loop.offset[0];
        const float *f = (const float *)t->data + loop.offset[0];
        for (int64_t i = 0; i < loop.n; i++, place++)
            take(&r,
                 t->layout.dtype == TARN_F64 ? d[i * loop.step[0]] : (double)f[i * loop.step[0]],
                 place);
    } while (tarn__loop_next(&loop));
    return r;
}

static bool is_finite(tarn_tensor *t)
{
    return !is_float(t) || t->data == NULL || range_of(t).first < 0;
}

/* `x "images" [32,784] from -1 to 3.5, 2 NaN`. */
static int describe(char *text, size_t room, const char *name, tarn_tensor *t)
{
    char what[TARN__DESCRIPTION_BYTES];
    const range r = range_of(t);
    int n = snprintf(text, room, "%s %s", name, tarn__describe(t, what));
    if (r.finite > 0 && (size_t)n < room)
        n += snprintf(text + n, room - (size_t)n, " from %g to %g", r.min, r.max);
    if (r.nans > 0 && (size_t)n < room)
        n += snprintf(text + n, room - (size_t)n, ", %lld NaN", (long long)r.nans);
    if (r.infinities > 0 && (size_t)n < room)
        n += snprintf(text + n, room - (size_t)n, ", %lld infinite", (long long)r.infinities);
    return (size_t)n < room ? n : (int)room - 1;
}

/* What may help where an operation was given numbers at the edge of its domain; "" for others, and
 * where what it was given is not finite itself. */
static const char *remedy_of(const char *op, bool was_finite)
{
    static const struct {
        const char *op, *text;
    } remedies[] = {
        { "log", "; tarn_clamp keeps x above 0 (tarn_log_softmax, tarn_bce_with_logits and "
                 "tarn_cross_entropy need no log)" },
        { "sqrt", "; tarn_clamp keeps x above 0, where the slope is infinite" },
        { "rsqrt", "; tarn_clamp keeps x above 0" },
        { "div", "; tarn_clamp keeps b from 0" },
        { "reciprocal", "; tarn_clamp keeps x from 0" },
        { "exp", "; tarn_clamp keeps x small (tarn_softmax and tarn_logsumexp need no exp)" },
    };
    if (!was_finite) return "; that was not finite before: look at what it comes from";
    for (size_t i = 0; i < sizeof(remedies) / sizeof(remedies[0]); i++)
        if (strcmp(remedies[i].op, op) == 0) return remedies[i].text;
    return "";
}

/* ---- the check */

/* Holds the error: what is not finite, and what it was computed from. */
static tarn_status report(const tarn__call *call, const char *what, tarn_tensor *result,
                          tarn_tensor *const *in)
{
    char text[440];
    const range r = range_of(result);
    bool was_finite = call->dout == NULL || is_finite(call->dout) || result == call->dout;
    int n = 0;
    if (call->dout != NULL && call->dout->data != NULL && result != call->dout)
        n += describe(text, sizeof(text), "dy", call->dout);
    for (int i = 0; i < call->op->arity; i++) {
        if (in[i] == NULL || in[i]->data == NULL || !is_float(in[i])) continue;
        if (n > 0 && (size_t)n + 3 < sizeof(text))
            n += snprintf(text + n, sizeof(text) - (size_t)n, "; ");
        n += describe(text + n, sizeof(text) - (size_t)n, call->op->operands[i], in[i]);
        was_finite = was_finite && is_finite(in[i]);
    }
    if (n == 0) (void)snprintf(text, sizeof(text), "operands that are given back already");
    return tarn__call_fail(
        call, TARN_ENUMERIC,
        "%s is not finite: %lld NaN and %lld infinite, the first at %lld, from %s%s", what,
        (long long)r.nans, (long long)r.infinities, (long long)r.first, text,
        remedy_of(call->op->name, was_finite));
}

/* An operand whose memory was given back has no elements to look at. */
tarn_status tarn__watch_forward(const tarn__call *call)
{
    tarn_manager *tm = call->manager;
    if ((tm->watch & TARN__WATCH_OPERATIONS) != 0) {
        const tarn_operation_event event = { .name = call->op->name,
                                             .layer = tm->label != call->op->name ? tm->label : "",
                                             .operands = call->in,
                                             .n_operands = call->op->arity,
                                             .result = call->out };
        tm->on_operation(tm->operation_context, &event);
    }
    if ((tm->watch & TARN__WATCH_FINITE) == 0 || tm->dry || call->op->is_view ||
        is_finite(call->out))
        return TARN_OK;
    return report(call, "the result", call->out, call->in);
}

tarn_status tarn__watch_backward(const tarn__call *call, tarn_tensor *const *in)
{
    tarn_manager *tm = call->manager;
    if ((tm->watch & TARN__WATCH_OPERATIONS) != 0) {
        const tarn_operation_event event = { .name = call->op->name,
                                             .layer = "",
                                             .backward = true,
                                             .operands = in,
                                             .n_operands = call->op->arity,
                                             .result = call->out,
                                             .gradient = call->dout,
                                             .gradients = call->din };
        tm->on_operation(tm->operation_context, &event);
    }
    if ((tm->watch & TARN__WATCH_FINITE) == 0 || tm->dry) return TARN_OK;
    for (int i = 0; i < call->op->arity; i++) {
        char what[80];
        if (call->din[i] == NULL || is_finite(call->din[i])) continue;
        (void)snprintf(what, sizeof(what), "in backward, the gradient of %s",
                       call->op->operands[i]);
        return report(call, what, call->din[i], in);
    }
    return TARN_OK;
}

/* ---- switches */

tarn_status tarn_check_finite(tarn_manager *tm, bool on)
{
    if (tm == NULL) return TARN_EARG;
    tm->watch = on ? tm->watch | TARN__WATCH_FINITE : tm->watch & ~(unsigned)TARN__WATCH_FINITE;
    return TARN_OK;
}

tarn_status tarn_on_operation(tarn_manager *tm, tarn_operation_hook hook, void *context)
{
    if (tm == NULL) return TARN_EARG;
    tm->on_operation = hook;
    tm->operation_context = context;
    tm->watch = hook != NULL ? tm->watch | TARN__WATCH_OPERATIONS
                             : tm->watch & ~(unsigned)TARN__WATCH_OPERATIONS;
    return TARN_OK;
}
