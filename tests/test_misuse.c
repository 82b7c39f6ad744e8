/* SPDX-License-Identifier: MIT
 * test_misuse.c - wrong programs as a newcomer would write them: each gets a code and a message
 * that says what to change, changes nothing, and goes on after tarn_clear_error. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <tarn/tarn.h>

#include "check.h"

/* ---- the program around each mistake: a network for XOR that has made one step */

typedef struct program {
    check_fixture f;
    tarn_manager *tm;
    tarn_tensor *x, *y; /* (4, 2)  (4, 1) */
    tarn_module *net;
    tarn_linear l1, l2;
    tarn_optimizer *opt;
    uint64_t digest, steps;
} program;

static tarn_tensor *loss_of(program *p)
{
    tarn_tensor *hidden = tarn_tanh(tarn_linear_forward(&p->l1, p->x));
    return tarn_bce_with_logits(tarn_linear_forward(&p->l2, hidden), p->y);
}

/* A right step, which must succeed. */
static void good_step(program *p)
{
    TARN_SCOPE(p->tm);
    check_status(tarn_backward(loss_of(p)), TARN_OK);
    check_status(tarn_optimizer_step(p->opt), TARN_OK);
    p->digest = tarn_module_digest(p->net);
    p->steps = tarn_optimizer_steps(p->opt);
}

/* The error held is this one, and nothing was trained. Clears it. */
static void refused(program *p, tarn_status code, const char *message)
{
    check_error(p->tm, code, message);
    assert_true(tarn_module_digest(p->net) == p->digest);
    assert_int_equal(tarn_optimizer_steps(p->opt), p->steps);
    assert_int_equal(tarn_pool_check(p->f.pool), TARN_OK);
}

static int setup(void **state)
{
    static const float X[] = { 0, 0, 0, 1, 1, 0, 1, 1 }, Y[] = { 0, 1, 1, 0 };
    program *p = calloc(1, sizeof *p);
    if (p == NULL) return -1;
    check_begin(&p->f, NULL);
    p->tm = p->f.tm;
    p->x = tarn_from_array(p->tm, TARN_F32, TARN_SHAPE(4, 2), X);
    p->y = tarn_from_array(p->tm, TARN_F32, TARN_SHAPE(4, 1), Y);
    p->net = tarn_module_create(p->tm);
    p->l1 = tarn_linear_create(p->net, "l1", 2, 8);
    p->l2 = tarn_linear_create(p->net, "l2", 8, 1);
    p->opt = tarn_adam_create(p->net, NULL);
    good_step(p);
    *state = p;
    return 0;
}

/* Whatever was done wrong: the program goes on. */
static int teardown(void **state)
{
    program *p = *state;
    check_no_error(p->tm);
    const uint64_t before = p->digest;
    good_step(p);
    assert_true(p->digest != before);
    check_end(&p->f);
    free(p);
    return 0;
}

static const float numbers[64] = { 1, 2, 3 };

/* ---- training */

static void forgets_backward(void **state)
{
    program *p = *state;
    TARN_SCOPE(p->tm);
    (void)loss_of(p);
    check_status(tarn_optimizer_step(p->opt), TARN_ESTATE);
    refused(p, TARN_ESTATE,
            "adam: no parameter has received a gradient since the last step: was tarn_backward "
            "called, of a loss that they lead to? (An optimiser trains the parameters that its "
            "module had when it was made.)");
}

static void goes_back_twice(void **state)
{
    program *p = *state;
    TARN_SCOPE(p->tm);
    tarn_tensor *loss = loss_of(p);
    check_status(tarn_backward(loss), TARN_OK);
    check_status(tarn_backward(loss), TARN_ESTATE);
    refused(p, TARN_ESTATE,
            "tarn_backward: the operations that computed tensor [] were released by an earlier "
            "pass: set keep_graph in that pass, add the losses before one pass, or cut off what "
            "the earlier one computed (tarn_detach)");
}

static void goes_back_from_many_numbers(void **state)
{
    program *p = *state;
    TARN_SCOPE(p->tm);
    check_status(tarn_backward(tarn_linear_forward(&p->l1, p->x)), TARN_ESHAPE);
    refused(p, TARN_ESHAPE,
            "tarn_backward: the loss [4,8] has 32 elements: reduce it to one "
            "(tarn_mean), or give a gradient of its shape");
}

static void goes_back_from_an_evaluation(void **state)
{
    program *p = *state;
    TARN_NO_GRAD(p->tm);
    check_status(tarn_backward(loss_of(p)), TARN_ESTATE);
    refused(p, TARN_ESTATE,
            "tarn_backward: nothing that requires a gradient leads to the loss []: its operands "
            "were constants, detached, frozen, or used inside TARN_NO_GRAD (tarn_require_grad "
            "makes a leaf of a tensor)");
}

static void reads_logits_after_backward(void **state)
{
    program *p = *state;
    TARN_SCOPE(p->tm);
    tarn_tensor *logits = tarn_linear_forward(&p->l2, tarn_tanh(tarn_linear_forward(&p->l1, p->x)));
    tarn_tensor *labels = tarn_zeros(p->tm, TARN_I32, TARN_SHAPE(4));
    check_status(tarn_backward(tarn_bce_with_logits(logits, p->y)), TARN_OK);
    assert_true(isnan(tarn_accuracy(logits, labels)));
    refused(p, TARN_ESTALE,
            "tarn_count_correct: tensor [4,1] was given back by tarn_backward: "
            "keep it with tarn_keep before, or read it before");
    assert_null(tarn_sigmoid(logits));
    refused(p, TARN_ESTALE,
            "sigmoid: tensor [4,1] was given back by tarn_backward: keep it with "
            "tarn_keep before, or read it before");
}

static void trains_on_after_an_error(void **state)
{
    program *p = *state;
    tarn_tensor *three = tarn_from_array(p->tm, TARN_F32, TARN_SHAPE(4, 3), numbers);
    for (int step = 0; step < 3; step++) {
        TARN_SCOPE(p->tm);
        tarn_tensor *hidden = tarn_tanh(tarn_linear_forward(&p->l1, three));
        tarn_tensor *loss = tarn_bce_with_logits(tarn_linear_forward(&p->l2, hidden), p->y);
        tarn_backward(loss);
        tarn_optimizer_step(p->opt);
        assert_true(isnan(tarn_item(loss)));
    }
    refused(
        p, TARN_ESHAPE,
        "linear \"l1\": x [4,3], w \"l1.weight\" [8,2]: rows of x have 3 elements, and w takes 2");
}

static void steps_for_a_destroyed_module(void **state)
{
    program *p = *state;
    tarn_module *other = tarn_module_create(p->tm);
    tarn_linear layer = tarn_linear_create(other, "layer", 2, 2);
    tarn_optimizer *opt = tarn_sgd_create(other, NULL);
    {
        TARN_SCOPE(p->tm);
        check_status(tarn_backward(tarn_sum(tarn_linear_forward(&layer, p->x), TARN_ALL_AXES)),
                     TARN_OK);
    }
    check_status(tarn_module_destroy(other), TARN_OK);
    check_status(tarn_optimizer_step(opt), TARN_ESTATE);
    refused(p, TARN_ESTATE, "sgd: the module was destroyed");
    tarn_optimizer_zero_grad(opt);
    tarn_optimizer_destroy(opt);
}

static void chooses_impossible_rates(void **state)
{
    program *p = *state;
    assert_null(tarn_sgd_create(p->net, &(tarn_sgd_options){ .lr = -0.1 }));
    refused(p, TARN_EARG, "sgd: lr -0.1 is not in [0, inf)");
    assert_null(tarn_sgd_create(p->net, &(tarn_sgd_options){ .momentum = 1 }));
    refused(p, TARN_EARG, "sgd: momentum 1 is not in [0, 1)");
    assert_null(tarn_adam_create(p->net, &(tarn_adam_options){ .lr = NAN }));
    refused(p, TARN_EARG, "adam: lr nan is not in [0, inf)");
    check_status(tarn_optimizer_set_lr(p->opt, -1), TARN_EARG);
    refused(p, TARN_EARG, "adam: learning rate -1; a finite number from 0 on is needed");
    assert_true(isnan(tarn_clip_grad_norm(p->net, 0)));
    refused(p, TARN_EARG, "tarn_clip_grad_norm: max_norm 0 is not above 0");
    assert_null(tarn_adam_create(tarn_module_create(p->tm), NULL));
    refused(p, TARN_ESTATE, "adam: the module has no parameters: its layers are made first");
}

/* ---- shapes */

static void feeds_rows_of_the_wrong_width(void **state)
{
    program *p = *state;
    TARN_SCOPE(p->tm);
    tarn_tensor *three = tarn_from_array(p->tm, TARN_F32, TARN_SHAPE(4, 3), numbers);
    assert_null(tarn_linear_forward(&p->l1, three));
    refused(
        p, TARN_ESHAPE,
        "linear \"l1\": x [4,3], w \"l1.weight\" [8,2]: rows of x have 3 elements, and w takes 2");
    assert_null(tarn_linear_forward(&p->l1, tarn_full(p->tm, TARN_F32, TARN_SCALAR, 1)));
    refused(p, TARN_ESHAPE,
            "linear \"l1\": x [] and w \"l1.weight\" [8,2]; x (..., I) and w (O, "
            "I) are needed");
}

static void confuses_rows_and_columns(void **state)
{
    program *p = *state;
    TARN_SCOPE(p->tm);
    tarn_tensor *a = tarn_zeros(p->tm, TARN_F32, TARN_SHAPE(2, 3));
    assert_null(tarn_matmul(a, a));
    refused(p, TARN_ESHAPE,
            "matmul: a [2,3], b [2,3]: rows of a have 3 elements, and columns of b 2 "
            "(tarn_transpose(b, -2, -1) makes it [3,2])");
    assert_null(tarn_matmul(a, tarn_zeros(p->tm, TARN_F32, TARN_SHAPE(2))));
    refused(p, TARN_ESHAPE,
            "matmul: a [2,3], b [2]: rows of a have 3 elements, and columns of b 2");
    assert_null(tarn_add(a, tarn_zeros(p->tm, TARN_F32, TARN_SHAPE(2))));
    refused(p, TARN_ESHAPE,
            "add: a [2,3], b [2]: sizes 3 and 2 of the last axis do not broadcast; they must be "
            "equal, or one of them 1 (tarn_unsqueeze(b, -1) makes it [2,1])");
    assert_null(tarn_bce_with_logits(p->y, tarn_reshape(p->y, TARN_SHAPE(4))));
    refused(p, TARN_ESHAPE,
            "bce_with_logits: x [4,1], y [4]: one shape is needed (tarn_reshape(y, TARN_SHAPE(4, "
            "1)) makes it [4,1])");
    assert_null(tarn_mse(p->x, p->y));
    refused(p, TARN_ESHAPE, "mse: x [4,2], y [4,1]: one shape is needed");
}

static void asks_for_impossible_shapes(void **state)
{
    program *p = *state;
    assert_null(tarn_zeros(p->tm, TARN_F32, TARN_SHAPE(4, -2)));
    refused(p, TARN_ESHAPE, "tarn_zeros: shape [4,-2] has a negative size");
    const tarn_shape nine = { .ndim = 9, .dims = { 1, 1, 1, 1, 1, 1, 1, 1 } };
    assert_null(tarn_ones(p->tm, TARN_F32, nine));
    refused(p, TARN_ELIMIT, "tarn_ones: 9 dimensions; 0 to 8 are possible");
    assert_null(tarn_reshape(p->x, nine));
    refused(p, TARN_ELIMIT, "reshape: 9 dimensions; 0 to 8 are possible");
    assert_null(tarn_zeros(p->tm, TARN_F32, TARN_SHAPE(INT64_MAX / 2, 4)));
    refused(p, TARN_EOVERFLOW, "tarn_zeros: shape [4611686018427387903,4] holds too many bytes");
    assert_null(tarn_zeros(p->tm, (tarn_dtype)17, TARN_SHAPE(4)));
    refused(p, TARN_EDTYPE, "tarn_zeros: 17 is no element type");
    assert_null(tarn_from_array(p->tm, TARN_F32, TARN_SHAPE(4), NULL));
    refused(p, TARN_EARG, "tarn_from_array: values is NULL");
    assert_null(tarn_arange(p->tm, TARN_F32, 0, 10, 0));
    refused(p, TARN_EARG, "tarn_arange: from 0 to 10 in steps of 0 is no range");
    assert_null(tarn_random_uniform(p->tm, TARN_F32, TARN_SHAPE(4), 1, -1, 0));
    refused(p, TARN_EARG, "tarn_random_uniform: [1, -1) is no interval");
    assert_null(tarn_random_normal(p->tm, TARN_I32, TARN_SHAPE(4), 0, 1, 0));
    refused(p, TARN_EDTYPE, "tarn_random_normal: element type int32; float32 or float64 is needed");
}

static void names_axes_that_are_not_there(void **state)
{
    program *p = *state;
    assert_null(tarn_sum(p->x, TARN_AXES(2)));
    refused(p, TARN_EARG, "sum: x [4,2] has no axis 2");
    assert_null(tarn_mean(p->x, TARN_AXES(1, -1)));
    refused(p, TARN_EARG, "mean: axis -1 of x [4,2] is named twice");
    assert_null(tarn_softmax(p->x, 2));
    refused(p, TARN_EARG, "softmax: x [4,2] has no axis 2");
    assert_null(tarn_max(tarn_zeros(p->tm, TARN_F32, TARN_SHAPE(0, 3)), TARN_AXES(0)));
    refused(p, TARN_ESHAPE, "max: axis 0 of x [0,3] has no elements");
}

static void reads_one_number_of_many(void **state)
{
    program *p = *state;
    assert_true(isnan(tarn_item(p->x)));
    refused(p, TARN_ESHAPE, "tarn_item: [4,2] has 8 elements, not one");
}

static void copies_the_wrong_number_of_bytes(void **state)
{
    program *p = *state;
    float eight[8];
    check_status(tarn_copy_to(p->x, eight, 8), TARN_EARG); /* elements, not bytes */
    refused(p, TARN_EARG, "tarn_copy_to: [4,2] holds 32 bytes, the array 8");
    check_status(tarn_copy_from(p->l1.weight, numbers, sizeof numbers), TARN_EARG);
    refused(p, TARN_EARG, "tarn_copy_from: \"l1.weight\" [8,2] holds 64 bytes, the array 256");
    check_status(tarn_copy_from(p->x, NULL, 32), TARN_EARG);
    refused(p, TARN_EARG, "tarn_copy_from: [4,2] holds 32 bytes, the array 32; it is NULL");
}

/* ---- types and labels */

static void has_labels_out_of_range(void **state)
{
    program *p = *state;
    TARN_SCOPE(p->tm);
    static const int32_t from_one[] = { 1, 2, 3, 1 }, minus[] = { 0, -1, 0, 0 };
    tarn_tensor *logits = tarn_linear_forward(&p->l1, p->x); /* (4, 8) */
    tarn_tensor *three = tarn_slice(logits, 1, 0, 3);
    assert_null(
        tarn_cross_entropy(three, tarn_from_array(p->tm, TARN_I32, TARN_SHAPE(4), from_one)));
    refused(p, TARN_EARG,
            "cross_entropy: label 3 of row 2 is not in [0, 3), the classes of logits [4,3]");
    assert_null(tarn_cross_entropy(logits, tarn_from_array(p->tm, TARN_I32, TARN_SHAPE(4), minus)));
    refused(p, TARN_EARG,
            "cross_entropy: label -1 of row 1 is not in [0, 8), the classes of logits [4,8] (rows "
            "with the ignore_index of the options are left out)");
}

static void has_labels_of_the_wrong_kind(void **state)
{
    program *p = *state;
    TARN_SCOPE(p->tm);
    tarn_tensor *logits = tarn_linear_forward(&p->l1, p->x); /* (4, 8) */
    assert_null(tarn_cross_entropy(logits, tarn_zeros(p->tm, TARN_F32, TARN_SHAPE(4))));
    refused(
        p, TARN_EDTYPE,
        "cross_entropy: labels is float32; int32, int64 or uint8 is needed (tarn_cast converts)");
    assert_null(
        tarn_cross_entropy(logits, tarn_zeros(p->tm, TARN_I32, TARN_SHAPE(4, 8)))); /* one-hot */
    refused(p, TARN_ESHAPE,
            "cross_entropy: logits [4,8], labels [4,8]; logits (B, C) and labels (B) are needed "
            "(tarn_argmax(labels, TARN_AXES(1)) gives the classes)");
    assert_null(tarn_cross_entropy(logits, tarn_zeros(p->tm, TARN_I32, TARN_SHAPE(4, 1))));
    refused(p, TARN_ESHAPE,
            "cross_entropy: logits [4,8], labels [4,1]; logits (B, C) and labels (B) are needed "
            "(tarn_squeeze(labels, 1) leaves the axis out)");
    assert_null(tarn_cross_entropy(logits, tarn_zeros(p->tm, TARN_I32, TARN_SHAPE(3))));
    refused(p, TARN_ESHAPE, "cross_entropy: logits [4,8], labels [3]: 4 and 3 rows differ");
    assert_int_equal(tarn_count_correct(logits, p->y), -1);
    refused(p, TARN_ESHAPE,
            "tarn_count_correct: logits [4,8], labels [4,1]: (B, C) and (B) are "
            "needed");
    assert_int_equal(tarn_count_correct(logits, tarn_zeros(p->tm, TARN_F32, TARN_SHAPE(4))), -1);
    refused(p, TARN_EDTYPE,
            "tarn_count_correct: labels are float32; int32, int64 or uint8 is needed");
}

static void computes_with_integers(void **state)
{
    program *p = *state;
    TARN_SCOPE(p->tm);
    tarn_tensor *whole = tarn_zeros(p->tm, TARN_I32, TARN_SHAPE(4, 2));
    assert_null(tarn_linear_forward(&p->l1, whole));
    refused(p, TARN_EDTYPE,
            "linear \"l1\": x is int32; float32 or float64 is needed (tarn_cast converts)");
    assert_null(tarn_cross_entropy(whole, tarn_zeros(p->tm, TARN_I32, TARN_SHAPE(4))));
    refused(p, TARN_EDTYPE,
            "cross_entropy: logits is int32; float32 or float64 is needed (tarn_cast converts)");
    assert_null(tarn_require_grad(whole));
    refused(p, TARN_EDTYPE, "tarn_require_grad: [4,2] is int32; gradients need float32 or float64");
    assert_null(tarn_add(p->x, whole));
    refused(p, TARN_EDTYPE, "add: b is int32; float32 or float64 is needed (tarn_cast converts)");
}

static void mixes_float_and_double(void **state)
{
    program *p = *state;
    TARN_SCOPE(p->tm);
    tarn_tensor *x = tarn_zeros(p->tm, TARN_F64, TARN_SHAPE(4, 2));
    assert_null(tarn_linear_forward(&p->l1, x));
    refused(p, TARN_EDTYPE,
            "linear \"l1\": x is float64, w is float32; one type is needed "
            "(tarn_cast converts)");
    assert_null(tarn_mul(p->x, x));
    refused(p, TARN_EDTYPE,
            "mul: a is float32, b is float64; one type is needed (tarn_cast "
            "converts)");
}

/* ---- objects */

static void ignores_a_layer_that_could_not_be_made(void **state)
{
    program *p = *state;
    tarn_linear broken = tarn_linear_create(p->net, "broken", 0, 8);
    assert_null(broken.module);
    assert_null(broken.weight);
    assert_null(tarn_tanh(tarn_linear_forward(&broken, p->x)));
    check_status(tarn_optimizer_step(p->opt), TARN_ESHAPE);
    refused(p, TARN_ESHAPE,
            "linear \"broken\": 0 inputs and 8 outputs; at least 1 of each is needed");
    assert_null(tarn_linear_forward(&broken, p->x)); /* and after the error was cleared */
    refused(p, TARN_EARG, "linear: the layer is NULL: was it ever made?");
    assert_null(tarn_linear_forward(&p->l1, NULL));
    refused(p, TARN_EARG, "linear \"l1\": x is NULL");
    assert_null(tarn_mul(p->x, NULL));
    refused(p, TARN_EARG, "mul: operand b is NULL, but no call before failed: was it ever made?");
}

static void has_no_manager(void **state)
{
    (void)state;
    tarn_manager *tm = NULL; /* tarn_manager_create failed, and nobody looked */
    tarn_tensor *x = tarn_from_array(tm, TARN_F32, TARN_SHAPE(4), numbers);
    tarn_module *net = tarn_module_create(tm);
    tarn_linear layer = tarn_linear_create(net, "l1", 4, 1);
    tarn_optimizer *opt = tarn_adam_create(net, NULL);
    {
        TARN_SCOPE(tm);
        tarn_tensor *loss = tarn_mse(tarn_linear_forward(&layer, x), x);
        check_status(tarn_backward(loss), TARN_EARG);
        check_status(tarn_optimizer_step(opt), TARN_EARG);
        assert_true(isnan(tarn_item(loss)));
    }
    assert_false(tarn_ok(tm));
    assert_int_equal(tarn_error_code(tm), TARN_EARG);
    assert_string_equal(tarn_error_message(tm),
                        "no manager: tarn_manager_create returned NULL or was not called");
    assert_int_equal(tarn_manager_destroy(tm), 0);
}

static void uses_two_managers(void **state)
{
    program *p = *state;
    tarn_manager *other = tarn_manager_create(NULL);
    tarn_tensor *x = tarn_ones(other, TARN_F32, TARN_SHAPE(4, 2));
    assert_null(tarn_linear_forward(&p->l1, x));
    check_error(other, TARN_ESTATE,
                "linear \"l1\": operand w belongs to another manager than the "
                "first operand (tarn_module_freeze lets every manager read a module)");
    assert_null(tarn_add(p->x, x));
    refused(p, TARN_ESTATE,
            "add: operand b belongs to another manager than the first operand "
            "(tarn_module_freeze lets every manager read a module)");
    assert_null(tarn_loader_create(p->x, x, NULL));
    refused(p, TARN_ESTATE, "tarn_loader_create: targets of another manager");
    assert_int_equal(tarn_manager_destroy(other), 0);
}

static void releases_what_belongs_to_others(void **state)
{
    program *p = *state;
    tarn_release(p->l1.weight);
    refused(p, TARN_ESTATE,
            "tarn_release: \"l1.weight\" [8,2] belongs to its module, loader or "
            "leaf and was not retained");
    tarn_release(tarn_grad_of(p->l1.weight));
    refused(p, TARN_ESTATE,
            "tarn_release: [8,2] belongs to its module, loader or leaf and was "
            "not retained");
    tarn_loader *loader = tarn_loader_create(p->x, NULL, NULL);
    tarn_tensor *batch;
    assert_true(tarn_loader_next(loader, &batch, NULL));
    tarn_release(batch);
    refused(p, TARN_ESTATE,
            "tarn_release: [4,2] belongs to its module, loader or leaf and was "
            "not retained");
    assert_ptr_equal(tarn_escape(batch), batch); /* stays where it is */
    tarn_release(NULL);
}

static void names_things_twice(void **state)
{
    program *p = *state;
    assert_null(tarn_linear_create(p->net, "l1", 2, 2).module);
    refused(p, TARN_EARG, "module: name \"l1\" is taken by another part of it");
    assert_null(tarn_linear_create(p->net, "block.l1", 2, 2).module);
    refused(p, TARN_EARG, "module: name \"block.l1\" contains a dot");
    assert_null(tarn_linear_create(p->net, "", 2, 2).module);
    refused(p, TARN_EARG, "module: a part of it needs a name");
    assert_null(tarn_module_add_child(p->net, NULL));
    refused(p, TARN_EARG, "module: a part of it needs a name");
    check_status(tarn_module_destroy(p->l1.module), TARN_ESTATE);
    refused(p, TARN_ESTATE, "linear \"l1\": only the root of a tree can be destroyed");
    assert_null(tarn_mlp_create(p->net, "mlp", (const int64_t[]){ 4 }, 1, NULL).module);
    refused(p, TARN_EARG, "module: an mlp needs at least two sizes");
    assert_null(tarn_dropout_create(p->net, "drop", 1.5).module);
    refused(p, TARN_EARG, "module: dropout of probability 1.5; 0 to 1 is possible");
    assert_null(tarn_dropout(p->x, -0.1, 0));
    refused(p, TARN_EARG, "dropout: p is -0.1; 0 to 1 is possible");
}

static void ends_things_too_early_or_twice(void **state)
{
    program *p = *state;
    check_status(tarn_pool_destroy(p->f.pool), TARN_ESTATE); /* the manager uses it */
    tarn_scope outer = tarn_scope_begin(p->tm), inner = tarn_scope_begin(p->tm);
    tarn_tensor *t = tarn_retain(tarn_ones(p->tm, TARN_F32, TARN_SHAPE(2)));
    tarn_scope_end(outer); /* with the forgotten one */
    tarn_scope_end(inner);
    tarn_scope_end(outer);
    tarn_scope_end((tarn_scope){ 0 });
    tarn_scope again = tarn_scope_begin(p->tm); /* of the same depth as outer, which is over */
    tarn_tensor *u = tarn_ones(p->tm, TARN_F32, TARN_SHAPE(2));
    tarn_scope_end(outer);
    assert_non_null(tarn_data(u));
    assert_non_null(tarn_data(t));
    tarn_scope_end(again);
    tarn_release(t);
    assert_true(tarn_ok(p->tm));
}

static void forgets_to_release(void **state)
{
    program *p = *state;
    tarn_tensor *here = tarn_retain(tarn_ones(p->tm, TARN_F32, TARN_SHAPE(2)));
    assert_int_equal(tarn_manager_get_stats(p->tm).retained, 1);
    for (int i = 0; i < 10; i++) (void)tarn_square(p->x); /* no scope: the root scope fills */
    assert_true(tarn_manager_get_stats(p->tm).root_handles >= 13);
    tarn_tensor *there = NULL;
    {
        TARN_SCOPE(p->tm);
        there = tarn_retain(tarn_ones(p->tm, TARN_F32, TARN_SHAPE(2)));
    }
    assert_int_equal(tarn_manager_get_stats(p->tm).retained, 2);
    tarn_release(here);
    tarn_release(there);
    assert_int_equal(tarn_manager_get_stats(p->tm).retained, 0);
}

static char unreleased[256];

static void note_unreleased(void *context, const char *description)
{
    (void)context;
    (void)snprintf(unreleased, sizeof unreleased, "%s", description);
}

static void is_told_what_it_forgot(void **state)
{
    (void)state;
    tarn_manager *tm =
        tarn_manager_create(&(tarn_manager_options){ .on_unreleased = note_unreleased });
    (void)tarn_set_name(tarn_retain(tarn_ones(tm, TARN_F32, TARN_SHAPE(2, 3))), "mine");
    assert_int_equal(tarn_manager_destroy(tm), 1);
    assert_string_equal(unreleased,
                        "float32 \"mine\" [2,3] by ones (data), retained and not released");
}

/* ---- data */

static void loads_batches_wrongly(void **state)
{
    program *p = *state;
    tarn_loader *large =
        tarn_loader_create(p->x, p->y, &(tarn_loader_options){ .batch_size = 100 });
    tarn_tensor *x, *y;
    assert_true(tarn_loader_next(large, &x, &y)); /* a batch larger than the data is all of it */
    assert_int_equal(tarn_dim(x, 0), 4);
    assert_false(tarn_loader_next(large, &x, &y));
    assert_null(x);
    assert_null(tarn_loader_create(p->x, p->y, &(tarn_loader_options){ .batch_size = -1 }));
    refused(p, TARN_EARG, "tarn_loader_create: batch size -1; 1 or more is needed, 0 is 32");
    tarn_tensor *rows = tarn_slice(p->y, 0, 0, 3);
    assert_null(tarn_loader_create(p->x, rows, NULL));
    refused(p, TARN_ESHAPE,
            "tarn_loader_create: inputs [4,2], targets [3,1]: the numbers of rows "
            "differ");
    assert_null(tarn_loader_create(NULL, p->y, NULL));
    refused(p, TARN_EARG, "tarn_loader_create: inputs are NULL");
    assert_null(tarn_loader_create(tarn_full(p->tm, TARN_F32, TARN_SCALAR, 1), NULL, NULL));
    refused(p, TARN_ESHAPE, "tarn_loader_create: inputs [] have no rows");
    assert_null(tarn_loader_create(p->x, p->y, &(tarn_loader_options){ .dtype = TARN_U8 }));
    refused(p, TARN_EARG, "tarn_loader_create: batches of uint8; float32 or float64 is needed");
    check_status(tarn_loader_seek(large, -1), TARN_EARG);
    refused(p, TARN_EARG, "tarn_loader_seek: epoch -1; they count from 0");
    assert_null(tarn_idx_load(p->tm, "/nonexistent/train-images"));
    refused(p, TARN_EIO,
            "tarn_idx_load: \"/nonexistent/train-images\" cannot be opened: No such "
            "file or directory");
}

/* ---- gradients */

static void asks_for_gradients_that_are_not_there(void **state)
{
    program *p = *state;
    TARN_SCOPE(p->tm);
    assert_null(tarn_grad_of(p->x));
    refused(p, TARN_ESTATE,
            "tarn_grad_of: [4,2] requires no gradient: tarn_require_grad before the forward pass");
    tarn_tensor *hidden = tarn_linear_forward(&p->l1, p->x);
    assert_null(tarn_grad_of(hidden));
    refused(p, TARN_ESTATE,
            "tarn_grad_of: [4,8] was computed by an operation: only leaves keep a gradient "
            "(tarn_grad and tarn_on_gradient give those of others)");
    check_status(tarn_stop_grad(hidden), TARN_ESTATE);
    refused(p, TARN_ESTATE,
            "tarn_stop_grad: [4,8] was computed by an operation: only leaves keep a gradient "
            "(tarn_grad and tarn_on_gradient give those of others)");
}

static void overwrites_what_backward_needs(void **state)
{
    program *p = *state;
    TARN_SCOPE(p->tm);
    tarn_tensor *loss = loss_of(p);
    check_status(tarn_fill_with(p->x, 0.5), TARN_OK);
    check_status(tarn_backward(loss), TARN_ESTATE);
    refused(p, TARN_ESTATE,
            "tarn_backward: x [4,2], which affine saved for backward, was changed "
            "since: change it after tarn_backward, or change a copy");
}

static void trains_on_infinities(void **state)
{
    program *p = *state;
    {
        TARN_SCOPE(p->tm);
        tarn_tensor *w = p->l1.weight;
        check_status(tarn_backward(tarn_sum(tarn_log(tarn_mul_scalar(w, 0)), TARN_ALL_AXES)),
                     TARN_OK);
    }
    assert_true(isnan(tarn_clip_grad_norm(p->net, 1)));
    refused(p, TARN_ENUMERIC,
            "tarn_clip_grad_norm: the norm of the gradient of \"l1.weight\" [8,2] is not finite: "
            "tarn_check_finite names the operation that made it so");
    tarn_module_zero_grad(p->net);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(forgets_backward),
        TEST(goes_back_twice),
        TEST(goes_back_from_many_numbers),
        TEST(goes_back_from_an_evaluation),
        TEST(reads_logits_after_backward),
        TEST(trains_on_after_an_error),
        TEST(steps_for_a_destroyed_module),
        TEST(chooses_impossible_rates),
        TEST(feeds_rows_of_the_wrong_width),
        TEST(confuses_rows_and_columns),
        TEST(asks_for_impossible_shapes),
        TEST(names_axes_that_are_not_there),
        TEST(reads_one_number_of_many),
        TEST(copies_the_wrong_number_of_bytes),
        TEST(has_labels_out_of_range),
        TEST(has_labels_of_the_wrong_kind),
        TEST(computes_with_integers),
        TEST(mixes_float_and_double),
        TEST(ignores_a_layer_that_could_not_be_made),
        TEST(has_no_manager),
        TEST(uses_two_managers),
        TEST(releases_what_belongs_to_others),
        TEST(names_things_twice),
        TEST(ends_things_too_early_or_twice),
        TEST(forgets_to_release),
        TEST(is_told_what_it_forgot),
        TEST(loads_batches_wrongly),
        TEST(asks_for_gradients_that_are_not_there),
        TEST(overwrites_what_backward_needs),
        TEST(trains_on_infinities),
    };
    return cmocka_run_group_tests_name("misuse", tests, NULL, NULL);
}
