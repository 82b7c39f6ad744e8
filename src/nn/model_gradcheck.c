/* SPDX-License-Identifier: MIT
 * model_gradcheck.c - the gradients of a model's parameters against differences. */
#include <tarn/debug.h>

#include "core/draws.h"
#include "nn/module.h"

/* What an evaluation needs. The first notes what dropout drew, the others repeat it. */
typedef struct subject {
    tarn_manager *tm;
    const tarn_model_pass *pass;
    tarn__draws draws;
} subject;

static tarn_tensor *evaluate(tarn_tensor *const *parameters, int n, void *context)
{
    subject *s = context;
    const tarn_model_pass *pass = s->pass;
    tarn__draws *const draws = s->tm->draws;
    const bool replaying = s->tm->replaying;
    (void)parameters, (void)n;
    s->draws.next = 0;
    s->tm->draws = &s->draws;
    s->tm->replaying = true; /* statistics and counts stay as they are */
    tarn_tensor *y = pass->forward(pass->inputs.items, pass->inputs.n, pass->context);
    s->tm->draws = draws;
    s->tm->replaying = replaying;
    s->draws.repeating = true;
    return y;
}

/* Counts the parameters that learn and writes them to `list`, unless it is NULL. */
static int collect(const tarn_module *module, tarn_tensor **list)
{
    int n = 0;
    tarn__member *p = NULL;
    while ((p = tarn__next_parameter(module, p)) != NULL) {
        if (!p->tensor->requires_grad) continue;
        if (list != NULL) list[n] = p->tensor;
        n++;
    }
    return n;
}

static tarn_status check_types(tarn_tensor *const *parameters, int n)
{
    char text[TARN__DESCRIPTION_BYTES];
    for (int i = 0; i < n; i++)
        if (parameters[i]->layout.dtype != TARN_F64)
            return tarn__fail(parameters[i]->manager, TARN_EDTYPE,
                              "tarn_model_gradcheck: %s is float32, in which differences are too "
                              "coarse: make the model with dtype TARN_F64",
                              tarn__describe(parameters[i], text));
    return TARN_OK;
}

tarn_status tarn_model_gradcheck(tarn_module *module, const tarn_model_pass *pass,
                                 const tarn_gradcheck_options *options,
                                 tarn_gradcheck_report *report)
{
    if (report != NULL) *report = (tarn_gradcheck_report){ 0 };
    if (module == NULL || pass == NULL || pass->forward == NULL) return TARN_EARG;
    tarn_manager *tm = module->object.manager;
    subject s = { .tm = tm, .pass = pass };
    const int n = collect(module, NULL);
    if (!tarn_ok(tm)) return tarn_error_code(tm);
    if (n == 0)
        return tarn__fail(tm, TARN_ESTATE, "tarn_model_gradcheck: %s has no parameter that learns",
                          module->label);
    const size_t bytes = (size_t)n * sizeof(tarn_tensor *);
    tarn_tensor **parameters = tarn__records_alloc(tm->pool, bytes);
    if (parameters == NULL) return tarn__fail_memory(tm, "tarn_model_gradcheck", bytes);
    (void)collect(module, parameters);
    tarn_status status = check_types(parameters, n);
    if (status == TARN_OK) status = tarn_gradcheck(evaluate, parameters, n, &s, options, report);
    tarn__draws_end(tm, &s.draws);
    tarn__records_free(tm->pool, parameters, bytes);
    return status;
}
