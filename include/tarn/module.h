/* module.h - modules (trees of named parameters) and initial weights.
 *
 * Everything belongs to its module, and the module to its manager. */
#ifndef TARN_MODULE_H
#define TARN_MODULE_H

#include <stdbool.h>
#include <stdint.h>

#include "tarn/export.h"
#include "tarn/tensor.h"

TARN_BEGIN_DECLS

typedef struct tarn_module tarn_module;

/* ---- initial weights */

/* Xavier: Glorot and Bengio 2010. Kaiming: He et al. 2015; its gain of sqrt(2) is that of relu. */
typedef enum tarn_init_kind {
    TARN_INIT_DEFAULT,         /* Kaiming uniform for weights (two axes or more), zero for biases */
    TARN_INIT_CONSTANT,        /* a = the value */
    TARN_INIT_UNIFORM,         /* a, b = the bounds */
    TARN_INIT_NORMAL,          /* a = mean, b = standard deviation */
    TARN_INIT_XAVIER_UNIFORM,  /* U(-l, l), l = gain sqrt(6 / (fan_in + fan_out)) */
    TARN_INIT_XAVIER_NORMAL,   /* N(0, s), s = gain sqrt(2 / (fan_in + fan_out)) */
    TARN_INIT_KAIMING_UNIFORM, /* U(-l, l), l = gain sqrt(3 / fan_in) */
    TARN_INIT_KAIMING_NORMAL,  /* N(0, s), s = gain / sqrt(fan_in) */
    TARN_INIT_TRUNCATED_NORMAL, /* a = mean, b = deviation above 0: normal, given that it lies in
                                   [low, high] */
    TARN_INIT_ORTHOGONAL, /* gain times a matrix of orthonormal rows, or columns if these are fewer,
                             drawn evenly from all of them (Saxe et al. 2014); the first axis are
                             rows, all others together columns, of which two axes are needed */
    TARN_INIT_IDENTITY /* passes inputs on, times gain: in a matrix (O, I) the diagonal, in a filter
                          (O, I, ...) the same at its middle; 0 elsewhere; two axes are needed */
} tarn_init_kind;

typedef struct tarn_init {
    tarn_init_kind kind;
    double a, b;      /* see the kind */
    double gain;      /* 0: 1, but sqrt(2) for Kaiming */
    double low, high; /* of a truncated normal, perhaps infinite; both 0: a - 2 b and a + 2 b */
} tarn_init;

/* ---- modules */

/* The root of a tree of modules. NULL with the error held if memory is short. */
TARN_API tarn_module *tarn_module_create(tarn_manager *tm);

/* A module inside another, training if that one does. Fails also: TARN_EARG if the name is empty,
 * contains a dot, is longer than 63 bytes or is taken. */
TARN_API tarn_module *tarn_module_add_child(tarn_module *parent, const char *name);

/* A parameter of the module: a leaf that requires a gradient, initialised from the manager's seed,
 * the tree's creation number and the parameter's path, so that the order of creation does not
 * matter. fan_in is the product of all sizes but the first, fan_out of all but the second; NULL
 * init: the default, for which a parameter of two or more axes is a weight. F32 or F64. Fails as
 * tarn_module_add_child; TARN_EDTYPE for another type; TARN_EARG for an init of an unknown kind,
 * with bounds out of order, a negative deviation or gain, or numbers that the type cannot hold, or
 * one that needs more axes. */
TARN_API tarn_tensor *tarn_module_add_parameter(tarn_module *module, const char *name,
                                                tarn_dtype dtype, tarn_shape shape,
                                                const tarn_init *init);

/* A tensor that belongs to the module but is not trained, zeros at first. Fails as
 * tarn_module_add_parameter. */
TARN_API tarn_tensor *tarn_module_add_buffer(tarn_module *module, const char *name,
                                             tarn_dtype dtype, tarn_shape shape);

/* Ends a tree: parameters, buffers, gradients, modules; layers that point into it must not be used
 * any more. Optimisers made for it then refuse to step.
 * Only a root can be destroyed (TARN_ESTATE). NULL does nothing. The manager destroys the rest. */
TARN_API tarn_status tarn_module_destroy(tarn_module *module);

/* The path of a module inside its tree, such as "encoder.l1"; "" for a root. */
TARN_API const char *tarn_module_path(const tarn_module *module);

/* The last part of that path, and the module around it; "" and NULL for a root. */
TARN_API const char *tarn_module_name(const tarn_module *module);
TARN_API tarn_module *tarn_module_parent(const tarn_module *module);

/* The modules right inside it, in the order of creation: how many, and the i-th (NULL out of
 * range). */
TARN_API int tarn_module_child_count(const tarn_module *module);
TARN_API tarn_module *tarn_module_child(const tarn_module *module, int i);

/* Calls visit for the module and all below it, parents first. It may read and write what they hold,
 * and change their mode, but not the tree. */
TARN_API void tarn_module_each(tarn_module *module,
                               void (*visit)(void *context, tarn_module *module), void *context);

/* The parameters of the module and all below it, in the order of creation: how many, the i-th (NULL
 * out of range), by path relative to the module (buffers too; NULL if there is none), and how many
 * numbers they hold in all. */
TARN_API int tarn_module_parameter_count(const tarn_module *module);
TARN_API tarn_tensor *tarn_module_parameter(const tarn_module *module, int i);
TARN_API tarn_tensor *tarn_module_find(const tarn_module *module, const char *path);
TARN_API int64_t tarn_module_numel(const tarn_module *module);

/* The same of buffers: how many, and the i-th. */
TARN_API int tarn_module_buffer_count(const tarn_module *module);
TARN_API tarn_tensor *tarn_module_buffer(const tarn_module *module, int i);

/* Switches the module and all below it between training (the state at creation) and evaluation, in
 * which dropout passes everything. */
TARN_API void tarn_module_train(tarn_module *module);
TARN_API void tarn_module_eval(tarn_module *module);
TARN_API bool tarn_module_is_training(const tarn_module *module);

/* Freezes the module and all below it, for good: parameters and buffers can no longer be written or
 * trained, gradients are let go, and the mode is eval. From then on every thread may read them:
 * an operation on a frozen operand runs in the manager of the others (see also tarn_borrow). The
 * module must outlive its readers. A call on it that gets NULL for its only other operand returns
 * NULL without an error, since it cannot know whose error it would be. Fails: TARN_EARG for NULL;
 * any error that the manager holds. */
TARN_API tarn_status tarn_module_freeze(tarn_module *module);
TARN_API bool tarn_module_is_frozen(const tarn_module *module);

/* Switches whether parameters are trained, for those whose path, relative to the module, fits a
 * pattern; returns how many there are. As in a shell, * stands for any text, dots included, ? for
 * one character, [a-z] for one of a set, [!a-z] for one outside of it, and \ makes the next an
 * ordinary one: "encoder.*" are all parts of the encoder, "*.bias" all biases below the module. A
 * parameter that is not trained lets its gradient go and receives none (tarn_stop_grad); optimisers
 * skip it, and go on with the state they have of it when it is trained again. Fails, with 0 and
 * nothing changed: TARN_EARG if no parameter fits (the message names some paths) or for a NULL
 * pattern; TARN_ESTATE if one that is to be trained is frozen for good; any error already held. */
TARN_API int tarn_module_set_trainable(tarn_module *module, const char *pattern, bool trainable);

/* Empties every gradient of the module and all below it. */
TARN_API void tarn_module_zero_grad(tarn_module *module);

/* Scales all gradients together so that their norm is at most max_norm, and returns the norm
 * before; NaN on failure, with the error held and nothing scaled: TARN_EARG unless max_norm > 0,
 * TARN_ENUMERIC if the norm is not finite (the message names the parameter), an error already held.
 * An infinite max_norm only measures. Gradients that are empty or consumed by a step count as zero
 * and stay. */
TARN_API double tarn_clip_grad_norm(tarn_module *module, double max_norm);

/* Cuts every element of the gradients that have arrived to [-limit, limit], infinite ones, too.
 * Fails, with the error held and nothing changed: TARN_EARG unless limit > 0; TARN_ENUMERIC if an
 * element is NaN (the message names the parameter); an error already held. */
TARN_API tarn_status tarn_clip_grad_value(tarn_module *module, double limit);

/* A 64-bit hash (FNV-1a) of the bytes of all parameters in order: equal digests, equal weights.
 * 0 for NULL. */
TARN_API uint64_t tarn_module_digest(const tarn_module *module);

TARN_END_DECLS

#endif
