/* SPDX-License-Identifier: MIT
 * run_kernel.c - kernels over several threads. */
#include "ops/run_kernel.h"

#include <stdatomic.h>

#include "core/threads.h"

typedef struct shared_call {
    tarn__kernel kernel;
    const tarn__call *whole;
    int64_t n; /* elements */
    atomic_int status;
} shared_call;

/* A tensor's elements from `first` on, n of them, as a tensor of one axis. */
static tarn_tensor *slice(const tarn_tensor *t, int64_t first, int64_t n, tarn_tensor *to)
{
    if (t == NULL) return NULL;
    *to = *t;
    if (t->data != NULL)
        to->data = (char *)t->data + (size_t)first * tarn__dtype_size(t->layout.dtype);
    to->layout.ndim = 1;
    to->layout.dims[0] = to->layout.numel = n;
    to->layout.strides[0] = 1;
    to->layout.contiguous = true;
    return to;
}

static void run_part(void *context, int part, int parts)
{
    enum { LINE = 64 }; /* elements that borders are multiples of: whole lines of the cache */
    shared_call *s = context;
    const int64_t first = tarn__part_begin(s->n, LINE, part, parts);
    const int64_t n = tarn__part_begin(s->n, LINE, part + 1, parts) - first;
    tarn_tensor tensors[2 * TARN__MAX_OPERANDS + 2];
    tarn__call call = *s->whole;
    if (n == 0) return;
    for (int i = 0; i < TARN__MAX_OPERANDS; i++) {
        call.in[i] = slice(call.in[i], first, n, &tensors[i]);
        call.din[i] = slice(call.din[i], first, n, &tensors[TARN__MAX_OPERANDS + i]);
    }
    call.out = slice(call.out, first, n, &tensors[2 * TARN__MAX_OPERANDS]);
    call.dout = slice(call.dout, first, n, &tensors[2 * TARN__MAX_OPERANDS + 1]);
    const tarn_status status = s->kernel(&call);
    if (status != TARN_OK) atomic_store(&s->status, (int)status);
}

tarn_status tarn__run_shared(tarn__kernel kernel, const tarn__call *call)
{
    const tarn_tensor *result = call->dout != NULL ? call->dout : call->out;
    shared_call s = { .kernel = kernel, .whole = call, .n = result->layout.numel };
    const int64_t bytes = s.n * (int64_t)tarn__dtype_size(result->layout.dtype);
    bool alike = true;
    for (int i = 0; i < call->op->arity; i++)
        alike = alike && call->in[i] != NULL && call->in[i]->layout.contiguous &&
                call->in[i]->layout.numel == s.n;
    const int parts = alike ? tarn__parts_for((1 + call->op->arity) * bytes) : 1;
    if (parts == 1) return kernel(call);
    tarn__parallel(run_part, &s, parts);
    return (tarn_status)atomic_load(&s.status);
}
