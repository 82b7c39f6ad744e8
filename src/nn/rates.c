/* SPDX-License-Identifier: MIT
 * rates.c - the numbers of optimisers and of their groups: defaults and ranges. */
#include <math.h>
#include <stdio.h>

#include "nn/optimizer.h"

static double *number_in(tarn__rates *rates, const tarn__number *number)
{
    return (double *)((char *)rates + number->offset);
}

static bool check(tarn_manager *tm, const char *who, const char *name, double value, double below)
{
    if (value >= 0 && value < below) return true;
    (void)tarn__fail(tm, TARN_EARG, "%s: %s %g is not in [0, %g)", who, name, value, below);
    return false;
}

bool tarn__rates_resolve(tarn_manager *tm, const tarn__optimizer_family *family, tarn__rates *rates)
{
    const tarn__number *number = family->numbers;
    for (int i = 0; i < TARN__MAX_NUMBERS && number->name != NULL; i++, number++) {
        double *value = number_in(rates, number);
        *value = tarn__meant(*value, number->usual);
        if (!check(tm, family->name, number->name, *value, number->below)) return false;
    }
    return true;
}

/* ---- groups */

/* The number that a group may have of its own, by its place among all numbers. */
static const struct {
    size_t from, to; /* in the group and in the rates */
    const char *name;
} own_numbers[] = {
#define OWN(field)                                                                  \
    {                                                                               \
        offsetof(tarn_optimizer_group, field), offsetof(tarn__rates, field), #field \
    }
    OWN(weight_decay),
    OWN(momentum),
    OWN(beta1),
    OWN(beta2),
#undef OWN
};

static const tarn__number *find_number(const tarn__optimizer_family *family, size_t offset)
{
    const tarn__number *number = family->numbers;
    for (int i = 0; i < TARN__MAX_NUMBERS && number->name != NULL; i++, number++)
        if (number->offset == offset) return number;
    return NULL;
}

/* Lets a number of a group replace that of its optimiser; 0 does not. */
static bool replace(tarn_manager *tm, const tarn__optimizer_family *family, const char *who,
                    double value, size_t k, tarn__rates *rates)
{
    if (value == 0) return true;
    const tarn__number *number = find_number(family, own_numbers[k].to);
    if (number == NULL) {
        (void)tarn__fail(tm, TARN_EARG, "%s: %s has no %s", who, family->name, own_numbers[k].name);
        return false;
    }
    value = tarn__meant(value, 0);
    *number_in(rates, number) = value;
    return check(tm, who, number->name, value, number->below);
}

bool tarn__group_resolve(tarn_manager *tm, const tarn__optimizer_family *family,
                         const tarn__rates *rates, const tarn_optimizer_group *from, size_t i,
                         tarn__group *group)
{
    char who[128];
    if (from->pattern == NULL) {
        (void)tarn__fail(tm, TARN_EARG, "%s: group %zu has no pattern", family->name, i);
        return false;
    }
    (void)snprintf(who, sizeof who, "%s: group %zu (\"%.64s\")", family->name, i, from->pattern);
    *group = (tarn__group){ .rates = *rates, .lr_factor = tarn__meant(from->lr_factor, 1) };
    if (!check(tm, who, "lr_factor", group->lr_factor, INFINITY)) return false;
    for (size_t k = 0; k < sizeof own_numbers / sizeof own_numbers[0]; k++) {
        const double value = *(const double *)((const char *)from + own_numbers[k].from);
        if (!replace(tm, family, who, value, k, &group->rates)) return false;
    }
    group->kind = family->choose(&group->rates);
    return true;
}
