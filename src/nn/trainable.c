/* SPDX-License-Identifier: MIT
 * trainable.c - which parameters are trained. */
#include <stdio.h>
#include <string.h>

#include <tarn/autograd.h>

#include "nn/module.h"
#include "nn/pattern.h"

/* The next parameter that fits; the first for NULL. */
static tarn__member *next_match(const tarn_module *module, const char *pattern,
                                const tarn__member *member)
{
    tarn__member *p = tarn__next_parameter(module, member);
    while (p != NULL && !tarn__pattern_matches(pattern, module, p))
        p = tarn__next_parameter(module, p);
    return p;
}

/* The path of a parameter relative to the module, as far as names go. */
static const char *path_below(const tarn_module *module, const tarn__member *p)
{
    const char *path = tarn_name(p->tensor);
    const size_t above = strlen(module->path);
    return above > 0 && strlen(path) > above ? path + above + 1 : path;
}

static tarn_status fail_match(const tarn_module *module, const char *pattern)
{
    enum { NAMED = 3 };
    char text[256] = "it has none";
    size_t n = 0;
    int i = 0;
    tarn__member *p = NULL;
    while ((p = tarn__next_parameter(module, p)) != NULL && i++ < NAMED)
        n += (size_t)snprintf(text + n, sizeof text - n, "%s%s", i == 1 ? "" : ", ",
                              path_below(module, p));
    if (p != NULL) (void)snprintf(text + n, sizeof text - n, ", ...");
    return tarn__fail(module->object.manager, TARN_EARG,
                      "%s: no parameter fits \"%.64s\"; their paths: %s", module->label, pattern,
                      text);
}

/* Holds the error if the switch may not be made. */
static tarn_status check_switch(const tarn_module *module, const char *pattern, bool trainable)
{
    tarn_manager *tm = module->object.manager;
    if (!tarn_ok(tm)) return tarn_error_code(tm);
    if (pattern == NULL)
        return tarn__fail(tm, TARN_EARG, "%s: the pattern of paths is NULL", module->label);
    tarn__member *p = next_match(module, pattern, NULL);
    if (p == NULL) return fail_match(module, pattern);
    for (; trainable && p != NULL; p = next_match(module, pattern, p)) {
        char text[TARN__DESCRIPTION_BYTES];
        if (p->tensor->frozen)
            return tarn__fail(tm, TARN_ESTATE,
                              "%s: %s is frozen for good and cannot be trained any more",
                              module->label, tarn__describe(p->tensor, text));
    }
    return TARN_OK;
}

int tarn_module_set_trainable(tarn_module *module, const char *pattern, bool trainable)
{
    if (module == NULL || check_switch(module, pattern, trainable) != TARN_OK) return 0;
    int n = 0;
    tarn__member *p = NULL;
    while ((p = next_match(module, pattern, p)) != NULL) {
        n++;
        if (trainable) (void)tarn_require_grad(p->tensor);
        else (void)tarn_stop_grad(p->tensor);
    }
    return n;
}
