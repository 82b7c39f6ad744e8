/* SPDX-License-Identifier: MIT
 * hooks.c - functions that are told of gradients. (pass.c calls them.) */
#include <tarn/autograd.h>

#include "core/manager.h"

tarn_status tarn_on_gradient(tarn_tensor *t, tarn_gradient_hook hook, void *context)
{
    char text[TARN__DESCRIPTION_BYTES];
    if (t == NULL) return TARN_EARG;
    tarn_manager *tm = t->manager;
    if (!tarn__readable(t, "tarn_on_gradient")) return TARN_ESTALE;
    if (hook == NULL) return tarn__fail(tm, TARN_EARG, "tarn_on_gradient: the hook is NULL");
    if (!t->requires_grad)
        return tarn__fail(tm, TARN_ESTATE,
                          "tarn_on_gradient: %s requires no gradient, so that none will come: "
                          "tarn_require_grad makes a leaf of it",
                          tarn__describe(t, text));
    tarn__hook *record = tarn__record_take(tm, "tarn_on_gradient", sizeof(*record));
    if (record == NULL) return TARN_ENOMEM;
    *record = (tarn__hook){ .next = t->hooks,
                            .call = hook,
                            .context = context,
                            .last_use = t->hooks != NULL ? t->hooks->last_use : NULL };
    t->hooks = record;
    return TARN_OK;
}

void tarn_clear_hooks(tarn_tensor *t)
{
    if (t != NULL) tarn__hooks_end(t);
}
