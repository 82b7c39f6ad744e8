/* SPDX-License-Identifier: MIT
 * jacobian.c - products of Jacobians and Hessians with vectors, as gradients of gradients. */
#include <tarn/autograd.h>

#include "core/manager.h"

/* An array of n pointers, zeroed; NULL with the error held. */
static tarn_tensor **take(tarn_manager *tm, const char *name, int n)
{
    tarn_tensor **array = tarn__record_take(tm, name, (size_t)n * sizeof(tarn_tensor *));
    for (int i = 0; i < n && array != NULL; i++) array[i] = NULL;
    return array;
}

static void give(tarn_manager *tm, tarn_tensor **array, int n)
{
    tarn__record_give(tm, array, (size_t)n * sizeof(tarn_tensor *));
}

static tarn_manager *manager_of(tarn_list list)
{
    return list.n > 0 && list.items != NULL && list.items[0] != NULL ? list.items[0]->manager
                                                                     : NULL;
}

/* One vector, which is multiplied with the derivative by an input. */
static tarn_status check_vector(tarn_manager *tm, const char *name, int i, const tarn_tensor *input,
                                const tarn_tensor *vector)
{
    char text[TARN__DESCRIPTION_BYTES], other[TARN__DESCRIPTION_BYTES];
    if (input == NULL || vector == NULL)
        return tarn__fail(tm, TARN_EARG, "%s: %s %d is NULL", name,
                          input == NULL ? "input" : "the vector of input", i);
    const bool same_type = vector->layout.dtype == input->layout.dtype;
    if (same_type && tarn__same_shape(&vector->layout, &input->layout)) return TARN_OK;
    return tarn__fail(
        tm, same_type ? TARN_ESHAPE : TARN_EDTYPE,
        "%s: the vector of input %d is %s %s, the input %s %s", name, i,
        tarn_dtype_name((tarn_dtype)vector->layout.dtype), tarn__describe(vector, text),
        tarn_dtype_name((tarn_dtype)input->layout.dtype), tarn__describe(input, other));
}

/* Inputs and vectors exist and fit. */
static tarn_status check(tarn_manager *tm, const char *name, tarn_list inputs,
                         tarn_tensor *const *vectors)
{
    tarn_status status = TARN_OK;
    if (inputs.n < 1 || inputs.items == NULL || vectors == NULL)
        return tarn__fail(tm, TARN_EARG, "%s: no inputs or no vectors are given", name);
    for (int i = 0; i < inputs.n && status == TARN_OK; i++)
        status = check_vector(tm, name, i, inputs.items[i], vectors[i]);
    return status;
}

/* Leaves of zeros, of the shapes of the outputs. */
static tarn_status make_dual(tarn_list outputs, tarn_tensor **dual)
{
    for (int k = 0; k < outputs.n; k++) {
        tarn_tensor *t = outputs.items[k];
        if (t == NULL)
            return tarn__fail(manager_of(outputs), TARN_EARG, "tarn_jvp: output %d is NULL", k);
        if (!tarn__readable(t, "tarn_jvp")) return TARN_ESTALE;
        dual[k] = tarn_require_grad(
            tarn_zeros(t->manager, (tarn_dtype)t->layout.dtype, tarn_get_shape(t)));
        if (dual[k] == NULL) return tarn_error_code(t->manager);
    }
    return TARN_OK;
}

tarn_status tarn_jvp(tarn_list outputs, tarn_list inputs, tarn_tensor *const *tangents,
                     tarn_tensor **products)
{
    tarn_manager *tm = manager_of(outputs);
    if (tm == NULL || products == NULL)
        return tarn__fail(tm, TARN_EARG, "tarn_jvp: no outputs or no products are given");
    for (int k = 0; k < outputs.n; k++) products[k] = NULL;
    if (!tarn_ok(tm)) return tarn_error_code(tm);
    tarn_status status = check(tm, "tarn_jvp", inputs, tangents);
    if (status != TARN_OK) return status;
    tarn_tensor **dual = take(tm, "tarn_jvp", outputs.n);
    tarn_tensor **g = dual != NULL ? take(tm, "tarn_jvp", inputs.n) : NULL;
    status = g != NULL ? make_dual(outputs, dual) : tarn_error_code(tm);
    if (status == TARN_OK)
        status = tarn_grad(outputs, inputs, g,
                           &(tarn_grad_options){ .gradients = dual, .create_graph = true });
    if (status == TARN_OK)
        status = tarn_grad((tarn_list){ inputs.n, g }, (tarn_list){ outputs.n, dual }, products,
                           &(tarn_grad_options){ .gradients = tangents, .keep_graph = true });
    give(tm, g, inputs.n);
    give(tm, dual, outputs.n);
    return status;
}

tarn_status tarn_hvp(tarn_tensor *loss, tarn_list inputs, tarn_tensor *const *vectors,
                     tarn_tensor **products)
{
    if (loss == NULL || products == NULL)
        return tarn__fail(loss != NULL ? loss->manager : NULL, TARN_EARG,
                          "tarn_hvp: no loss or no products are given");
    tarn_manager *tm = loss->manager;
    for (int i = 0; i < inputs.n; i++) products[i] = NULL;
    if (!tarn_ok(tm)) return tarn_error_code(tm);
    tarn_status status = check(tm, "tarn_hvp", inputs, vectors);
    if (status != TARN_OK) return status;
    tarn_tensor **g = take(tm, "tarn_hvp", inputs.n);
    if (g == NULL) return tarn_error_code(tm);
    status = tarn_grad(TARN_LIST(loss), inputs, g, &(tarn_grad_options){ .create_graph = true });
    if (status == TARN_OK)
        status = tarn_grad((tarn_list){ inputs.n, g }, inputs, products,
                           &(tarn_grad_options){ .gradients = vectors, .keep_graph = true });
    give(tm, g, inputs.n);
    return status;
}
