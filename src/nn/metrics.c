/* SPDX-License-Identifier: MIT
 * metrics.c - how good an answer is. Reads values only; nothing is recorded or allocated. */
#include <math.h>

#include <tarn/metrics.h>

#include "core/manager.h"
#include "core/observer.h"
#include "core/values.h"

/* Holds the error if the two cannot be compared; B rows, C classes. */
static tarn_status check(tarn_tensor *logits, tarn_tensor *labels)
{
    tarn_manager *tm = logits->manager;
    if (!tarn__readable(logits, "tarn_count_correct")) return tm->error;
    if (!tarn__readable(labels, "tarn_count_correct")) return labels->manager->error;
    if (labels->manager != tm)
        return tarn__fail(tm, TARN_ESTATE, "tarn_count_correct: operands of two managers");

    const tarn__layout *x = &logits->layout, *y = &labels->layout;
    char x_text[TARN__DESCRIPTION_BYTES], y_text[TARN__DESCRIPTION_BYTES];
    if (x->ndim != 2 || y->ndim != 1 || x->dims[0] != y->dims[0])
        return tarn__fail(tm, TARN_ESHAPE,
                          "tarn_count_correct: logits %s, labels %s: (B, C) and (B) are needed",
                          tarn__describe(logits, x_text), tarn__describe(labels, y_text));
    if (x->dtype != TARN_F32 && x->dtype != TARN_F64)
        return tarn__fail(tm, TARN_EDTYPE, "tarn_count_correct: logits of type %s",
                          tarn_dtype_name((tarn_dtype)x->dtype));
    if (y->dtype == TARN_F32 || y->dtype == TARN_F64)
        return tarn__fail(tm, TARN_EDTYPE,
                          "tarn_count_correct: labels are %s; int32, int64 or uint8 is needed",
                          tarn_dtype_name((tarn_dtype)y->dtype));
    return TARN_OK;
}

#define TARN_KERNELS "nn/metrics.inc"
#include "ops/for_each_float.h"

/* The element that lies so many elements after the first. */
static const void *element(const tarn_tensor *t, int64_t offset)
{
    return (const char *)t->data + offset * (int64_t)tarn__dtype_size(t->layout.dtype);
}

int64_t tarn_count_correct(tarn_tensor *logits, tarn_tensor *labels)
{
    if (logits == NULL || labels == NULL) {
        const tarn_tensor *given = logits != NULL ? logits : labels;
        if (given != NULL)
            (void)tarn__fail(given->manager, TARN_EARG, "tarn_count_correct: %s are NULL",
                             logits == NULL ? "logits" : "labels");
        return -1;
    }
    if (check(logits, labels) != TARN_OK) return -1;
    if (logits->layout.numel == 0 || logits->manager->dry) return 0;
    tarn__observe_refusal(logits->manager, "it counts correct answers with tarn_count_correct");
    tarn__materialize(logits);
    tarn__materialize(labels);

    const tarn__layout *x = &logits->layout, *y = &labels->layout;
    int64_t correct = 0;
    for (int64_t i = 0; i < x->dims[0]; i++) {
        const void *row = element(logits, i * x->strides[0]);
        const int64_t answer = x->dtype == TARN_F32 ? largest_f32(row, x->dims[1], x->strides[1])
                                                    : largest_f64(row, x->dims[1], x->strides[1]);
        const double label = tarn__load(element(labels, i * y->strides[0]), (tarn_dtype)y->dtype);
        if (answer >= 0 && (double)answer == label) correct++;
    }
    return correct;
}

double tarn_accuracy(tarn_tensor *logits, tarn_tensor *labels)
{
    const int64_t correct = tarn_count_correct(logits, labels);
    if (correct < 0 || labels->layout.numel == 0) return NAN;
    return (double)correct / (double)labels->layout.numel;
}
