/* SPDX-License-Identifier: MIT
 * lbfgs.c - making and ending optimisers of the family of L-BFGS. */
#include "nn/lbfgs.h"

#include <math.h>

#include <tarn/lbfgs.h>

#include "core/size.h"

enum { MAX_HISTORY = 1 << 20 };

static const tarn__optimizer_kind no_kind = { 0 };

static const tarn__optimizer_kind *choose(const tarn__rates *rates)
{
    (void)rates;
    return &no_kind;
}

static void end_lbfgs(tarn_optimizer *o)
{
    tarn__lbfgs *b = o->own;
    for (size_t i = 0; i < o->n; i++)
        if (b->pieces[i].vectors != NULL)
            tarn__tensor_end(b->pieces[i].vectors, TARN__ENDED_BY_OWNER);
    tarn__records_free(o->object.manager->pool, b, b->bytes);
}

static const tarn__optimizer_family lbfgs = {
    .name = "lbfgs",
    .numbers = { TARN__NUMBER(lr, 1, INFINITY), TARN__NUMBER(tolerance_grad, 1e-7, INFINITY),
                 TARN__NUMBER(tolerance_change, 1e-9, INFINITY) },
    .choose = choose,
    .step = "tarn_lbfgs_step",
    .end = end_lbfgs
};

/* The record of an optimiser with n parameters and room for n_places pairs, or NULL with
 * TARN_ENOMEM held. */
static tarn__lbfgs *allocate(tarn_manager *tm, size_t n, size_t n_places)
{
    size_t pieces, numbers, bytes = SIZE_MAX;
    tarn__lbfgs *b = NULL;
    if (tarn__size_mul(n, sizeof(tarn__piece), &pieces) &&
        tarn__size_mul(n_places, 2 * sizeof(double), &numbers) &&
        tarn__size_add(pieces, numbers, &bytes) &&
        tarn__size_add(bytes, sizeof(tarn__lbfgs), &bytes))
        b = tarn__records_alloc(tm->pool, bytes);
    if (b == NULL) {
        (void)tarn__fail_memory(tm, lbfgs.name, bytes);
        return NULL;
    }
    b->bytes = bytes;
    b->n_places = n_places;
    b->rho = (double *)(void *)&b->pieces[n];
    b->alpha = b->rho + n_places;
    return b;
}

/* Acquires the vectors of one parameter. False with the error held. */
static bool fill_piece(tarn_manager *tm, const tarn__lbfgs *b, tarn_tensor *parameter,
                       tarn__piece *piece)
{
    tarn__layout layout;
    const tarn_shape shape =
        TARN_SHAPE((int64_t)tarn__vector_s(b->n_places), parameter->layout.numel);
    if (parameter->frozen) return true;
    const tarn_status status =
        tarn__layout_make(&layout, (tarn_dtype)parameter->layout.dtype, &shape);
    if (status != TARN_OK) {
        (void)tarn__fail(tm, status, "lbfgs: %zu pairs of history: %s", b->history,
                         tarn_status_text(status));
        return false;
    }
    const uint32_t tag = tarn__tag_like(parameter, TARN_KIND_OPTIMIZER);
    piece->vectors = tarn__own(tarn__tensor_new_tagged(tm, &layout, TARN_UNINITIALIZED, tag));
    return piece->vectors != NULL;
}

/* Whether the options that are no numbers of the family are in order; the error is held otherwise.
 */
static bool check_options(const tarn_module *module, const tarn_lbfgs_options *options)
{
    const bool known = options->line_search == TARN_LINE_SEARCH_STRONG_WOLFE ||
                       options->line_search == TARN_LINE_SEARCH_NONE;
    if (module == NULL || (known && options->history <= MAX_HISTORY)) return true;
    if (!known)
        (void)tarn__fail(module->object.manager, TARN_EARG, "lbfgs: there is no line search %d",
                         (int)options->line_search);
    else
        (void)tarn__fail(module->object.manager, TARN_EARG, "lbfgs: history %zu; at most %d",
                         options->history, MAX_HISTORY);
    return false;
}

tarn_optimizer *tarn_lbfgs_create(tarn_module *module, const tarn_lbfgs_options *options)
{
    const tarn_lbfgs_options given = options == NULL ? (tarn_lbfgs_options){ 0 } : *options;
    const tarn__rates rates = { .lr = given.lr,
                                .tolerance_grad = given.tolerance_grad,
                                .tolerance_change = given.tolerance_change };
    if (!check_options(module, &given)) return NULL;
    tarn_optimizer *o = tarn__optimizer_create(module, &lbfgs, &rates, NULL, 0);
    if (o == NULL) return NULL;
    const size_t history = given.history == 0 ? 10 : given.history;
    tarn__lbfgs *b = o->own = allocate(o->object.manager, o->n, history + 1);
    if (b != NULL) {
        b->history = history;
        b->max_iter = given.max_iter == 0 ? 20 : given.max_iter;
        b->max_eval = given.max_eval != 0 ? given.max_eval : b->max_iter + b->max_iter / 4;
        b->searches = given.line_search == TARN_LINE_SEARCH_STRONG_WOLFE;
        size_t i = 0;
        while (i < o->n && fill_piece(o->object.manager, b, o->slots[i].parameter, &b->pieces[i]))
            i++;
        if (i == o->n) return o;
    }
    tarn_optimizer_destroy(o);
    return NULL;
}
