/* SPDX-License-Identifier: MIT
 * gradcheck.c - gradients against central differences. */
#include <math.h>
#include <string.h>

#include <tarn/autograd.h>
#include <tarn/ops.h>

#include "autograd/leaf.h"
#include "core/manager.h"
#include "core/random.h"
#include "core/values.h"
#include "ops/op.h"

typedef struct check {
    tarn_manager *tm;
    tarn_function function;
    tarn_tensor *const *inputs;
    int n;
    void *context;
    tarn_gradcheck_options options;
    tarn_gradcheck_report report;
    double worst; /* the largest error or, once one was too large, excess over the tolerance */
} check;

static bool is_checked(const tarn_tensor *t)
{
    return t != NULL && t->requires_grad && t->layout.dtype == TARN_F64;
}

static tarn_tensor *evaluate(const check *c)
{
    tarn_tensor *y = c->function(c->inputs, c->n, c->context);
    if (y == NULL) (void)tarn__fail(c->tm, TARN_EARG, "tarn_gradcheck: the function returned NULL");
    else if (y->layout.dtype != TARN_F64)
        (void)tarn__fail(c->tm, TARN_EDTYPE,
                         "tarn_gradcheck: the function returned %s; float64 is needed",
                         tarn_dtype_name((tarn_dtype)y->layout.dtype));
    return tarn_ok(c->tm) ? y : NULL;
}

/* The values of the function now, in memory of their own: a view would change with the inputs. */
static tarn_tensor *evaluate_copy(const check *c)
{
    tarn_tensor *y = evaluate(c);
    if (y == NULL) return NULL;
    tarn_tensor *copy = tarn_empty(c->tm, TARN_F64, tarn_get_shape(y));
    if (copy == NULL) return NULL;
    tarn__materialize(y);
    tarn__copy_strided(copy, y);
    return copy;
}

/* The cotangent: uniform in [-1, 1), the same at each call. */
static tarn_tensor *make_cotangent(const check *c, const tarn_tensor *y)
{
    tarn_tensor *v = tarn_empty(c->tm, TARN_F64, tarn_get_shape(y));
    const uint64_t key =
        tarn__random_key(tarn__random_key(c->options.seed, TARN__RANDOM_CHECK), c->tm->seed);
    if (v != NULL && !c->tm->dry)
        tarn__fill_uniform_f64(v->data, tarn__elements(v), -1.0, 1.0, key);
    return v;
}

/* One forward and backward pass from empty gradients. */
static tarn_status differentiate(const check *c)
{
    TARN_SCOPE(c->tm);
    for (int i = 0; i < c->n; i++)
        if (is_checked(c->inputs[i])) tarn__leaf_empty(c->inputs[i]);
    tarn_tensor *y = evaluate(c);
    if (y == NULL) return tarn_error_code(c->tm);
    tarn_tensor *v = make_cotangent(c, y);
    if (v == NULL) return tarn_error_code(c->tm);
    return tarn_backward_with(y, &(tarn_backward_options){ .gradient = v });
}

/* sum(v * function(inputs)) with *x moved to either side, divided by the distance. The difference
 * is taken element by element before it is summed, so that large results do not drown it. */
static tarn_status difference(const check *c, tarn_tensor *input, double *x, double *out)
{
    TARN_SCOPE(c->tm); /* recorded, since the function may itself differentiate */
    const double at = *x, h = c->options.step * fmax(1.0, fabs(at));
    const double high = at + h, low = at - h;
    *x = high;
    tarn__touch(input, false);
    tarn_tensor *above = evaluate_copy(c);
    *x = low;
    tarn__touch(input, false);
    tarn_tensor *below = above != NULL ? evaluate_copy(c) : NULL;
    *x = at;
    tarn__touch(input, false);
    tarn_tensor *v = below != NULL ? make_cotangent(c, below) : NULL;
    if (v == NULL) return tarn_error_code(c->tm);
    const double *a = tarn_data(above), *b = tarn_data(below), *w = tarn_data(v);
    double sum = 0;
    for (int64_t i = 0; i < v->layout.numel; i++) sum += w[i] * (a[i] - b[i]);
    *out = sum / (high - low);
    return TARN_OK;
}

static void compare(check *c, int input, int64_t element, double analytic, double numeric)
{
    const double error = fabs(analytic - numeric);
    const double tolerance =
        c->options.absolute + c->options.relative * fmax(fabs(analytic), fabs(numeric));
    const bool passes = error <= tolerance && error < INFINITY; /* false for NaN */
    double measure = passes ? error : error - tolerance;
    if (measure != measure) measure = INFINITY;
    c->report.checked++;
    c->report.failed += !passes;
    if (passes && c->report.failed > 0) return; /* one that passes never hides one that fails */
    const bool first = passes ? c->report.checked == 1 : c->report.failed == 1;
    if (!first && !(measure > c->worst)) return;
    c->worst = measure;
    c->report.input = input;
    c->report.element = element;
    c->report.analytic = analytic;
    c->report.numeric = numeric;
    c->report.error = error;
}

/* The k-th of the elements of an input that are looked at, of n. */
static int64_t sample(const check *c, int input, int64_t k, int64_t n)
{
    const uint64_t key = tarn__random_key(tarn__random_key(c->options.seed, TARN__RANDOM_CHECK),
                                          (uint64_t)input + 1);
    return (int64_t)(tarn__random_key(key, (uint64_t)k) % (uint64_t)n);
}

/* One input: the gradient of a first pass is in `first`, that of the second in the leaf. */
static tarn_status check_input(check *c, int i, const double *first)
{
    tarn_tensor *x = c->inputs[i];
    const double *second = tarn_data(tarn_grad_of(x));
    if (second == NULL) return tarn_error_code(c->tm);
    if (tarn__elements(x) > 0 && memcmp(first, second, tarn__bytes(x)) != 0)
        return tarn__fail(
            c->tm, TARN_ENUMERIC,
            "tarn_gradcheck: a second pass gave other bits for the gradient of input %d", i);
    double *data = tarn_data_mut(x);
    if (data == NULL) return tarn_error_code(c->tm);
    const int64_t samples = c->options.samples, numel = x->layout.numel;
    const bool all = samples == 0 || samples >= numel;
    const int64_t most = c->tm->dry ? 1 : INT64_MAX; /* to see what memory it takes */
    for (int64_t k = 0; k < (all ? numel : samples) && k < most; k++) {
        const int64_t e = all ? k : sample(c, i, k, numel);
        double numeric = NAN;
        const tarn_status status =
            difference(c, x, &data[tarn__offset_of(&x->layout, e)], &numeric);
        if (status != TARN_OK) return status;
        compare(c, i, e, first[e], numeric);
    }
    return TARN_OK;
}

static tarn_status run_check(check *c)
{
    TARN_SCOPE(c->tm);
    tarn_status status = differentiate(c);
    /* Copies of all gradients before anything is perturbed; each input's in a tensor of the
     * scope. */
    tarn_tensor *firsts = NULL;
    int64_t total = 0, at = 0;
    for (int i = 0; i < c->n; i++)
        total += is_checked(c->inputs[i]) ? c->inputs[i]->layout.numel : 0;
    if (status == TARN_OK) firsts = tarn_empty(c->tm, TARN_F64, TARN_SHAPE(total));
    if (firsts == NULL) return tarn_error_code(c->tm);
    double *first = firsts->data;
    for (int i = 0; i < c->n; i++) {
        if (!is_checked(c->inputs[i])) continue;
        const double *grad = tarn_data(tarn_grad_of(c->inputs[i]));
        if (grad == NULL) return tarn_error_code(c->tm);
        if (tarn__elements(c->inputs[i]) > 0 && !c->tm->dry)
            memcpy(first + at, grad, tarn__bytes(c->inputs[i]));
        at += c->inputs[i]->layout.numel;
    }
    status = differentiate(c);
    at = 0;
    for (int i = 0; i < c->n && status == TARN_OK; i++) {
        if (!is_checked(c->inputs[i])) continue;
        status = check_input(c, i, first + at);
        at += c->inputs[i]->layout.numel;
    }
    for (int i = 0; i < c->n; i++)
        if (is_checked(c->inputs[i])) tarn__leaf_empty(c->inputs[i]);
    return status;
}

tarn_status tarn_gradcheck(tarn_function function, tarn_tensor *const *inputs, int n, void *context,
                           const tarn_gradcheck_options *options, tarn_gradcheck_report *report)
{
    check c = { .function = function, .inputs = inputs, .n = n, .context = context };
    if (options != NULL) c.options = *options;
    if (c.options.step == 0) c.options.step = 1e-5;
    if (c.options.absolute == 0 && c.options.relative == 0) {
        c.options.absolute = 1e-9;
        c.options.relative = 1e-7;
    }
    for (int i = 0; i < n && inputs != NULL && c.tm == NULL; i++) c.tm = tarn_manager_of(inputs[i]);
    if (report != NULL) *report = (tarn_gradcheck_report){ 0 };
    if (function == NULL || c.tm == NULL) return TARN_EARG;
    if (c.options.samples < 0)
        return tarn__fail(c.tm, TARN_EARG, "tarn_gradcheck: %lld samples",
                          (long long)c.options.samples);
    if (!tarn_ok(c.tm)) return tarn_error_code(c.tm);
    tarn_status status = run_check(&c);
    if (report != NULL) *report = c.report;
    if (status != TARN_OK || c.report.failed == 0) return status;
    const char *name = tarn_name(inputs[c.report.input]);
    return tarn__fail(
        c.tm, TARN_ENUMERIC,
        "tarn_gradcheck: %lld of %lld derivatives are out of tolerance; the worst, "
        "element %lld of input %d%s%s%s, is %.17g by backward and %.17g by differences",
        (long long)c.report.failed, (long long)c.report.checked, (long long)c.report.element,
        c.report.input, name[0] != '\0' ? " \"" : "", name, name[0] != '\0' ? "\"" : "",
        c.report.analytic, c.report.numeric);
}
