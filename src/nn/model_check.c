/* SPDX-License-Identifier: MIT
 * model_check.c - parameters that do not learn. */
#include <math.h>

#include <tarn/debug.h>

#include "core/manager.h"
#include "core/observer.h"
#include "core/size.h"
#include "nn/module.h"

/* ---- the parameters of all modules of a manager */

/* Counts the parameters that learn, and writes them to `list` unless it is NULL. */
static int collect(const tarn_manager *tm, tarn_tensor **list)
{
    int n = 0;
    for (const tarn__object *object = tm->objects; object != NULL; object = object->next) {
        tarn__member *p = NULL;
        const tarn_module *root = tarn__module_of(object);
        while (root != NULL && (p = tarn__next_parameter(root, p)) != NULL) {
            if (!p->tensor->requires_grad) continue;
            if (list != NULL) list[n] = p->tensor;
            n++;
        }
    }
    return n;
}

/* ---- judging */

static double value_at(const tarn_tensor *t, int64_t i)
{
    return t->layout.dtype == TARN_F64 ? ((const double *)t->data)[i]
                                       : (double)((const float *)t->data)[i];
}

/* What is wrong with a gradient; NULL: nothing. */
static const char *verdict(tarn_tensor *gradient)
{
    bool zero = true;
    if (gradient == NULL)
        return "no gradient reaches it: the loss does not depend on it. Is its layer used, and not "
               "detached or inside TARN_NO_GRAD?";
    tarn__observe_refusal(gradient->manager, "it checks a model");
    tarn__materialize(gradient);
    for (int64_t i = 0; i < gradient->layout.numel; i++) {
        const double g = value_at(gradient, i);
        if (!isfinite(g))
            return "its gradient is not finite: tarn_check_finite names the operation that made it "
                   "so";
        zero = zero && g == 0;
    }
    if (zero)
        return "its gradient is all zeros: units that are all off (relu), a multiplication by "
               "zero, "
               "or saturation";
    return NULL;
}

static int judge(tarn_tensor **parameters, tarn_tensor **gradients, int n, FILE *stream)
{
    char text[TARN__DESCRIPTION_BYTES];
    int found = 0;
    for (int i = 0; i < n; i++) {
        const char *wrong = verdict(gradients[i]);
        if (wrong == NULL) continue;
        found++;
        if (stream != NULL) fprintf(stream, "%s: %s\n", tarn__describe(parameters[i], text), wrong);
    }
    return found;
}

int tarn_model_check(tarn_tensor *loss, FILE *stream)
{
    if (loss == NULL) return -1;
    tarn_manager *tm = loss->manager;
    const int n = collect(tm, NULL);
    if (!tarn_ok(tm)) return -1;
    if (n == 0 || tm->dry) return 0;
    const size_t bytes = 2 * (size_t)n * sizeof(tarn_tensor *);
    tarn_tensor **parameters = tarn__records_alloc(tm->pool, bytes);
    if (parameters == NULL) {
        (void)tarn__fail_memory(tm, "tarn_model_check", bytes);
        return -1;
    }
    TARN_SCOPE(tm);
    (void)collect(tm, parameters);
    tarn_tensor **gradients = parameters + n;
    int found = -1;
    if (tarn_grad(TARN_LIST(loss), (tarn_list){ n, parameters }, gradients,
                  &(tarn_grad_options){ .keep_graph = true, .unused_is_null = true }) == TARN_OK)
        found = judge(parameters, gradients, n, stream);
    tarn__records_free(tm->pool, parameters, bytes);
    return found;
}
