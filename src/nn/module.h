/* SPDX-License-Identifier: MIT
 * module.h - trees of modules as the library sees them.
 *
 * All records of a tree end with its root. The root has one list of all parameters and buffers, in
 * the order of creation; those of a part are the ones whose module lies in it. */
#ifndef TARN_NN_MODULE_H
#define TARN_NN_MODULE_H

#include <tarn/module.h>

#include "core/manager.h"
#include "core/tensor.h"

enum { TARN__NAME_BYTES = 64 }; /* of a module, parameter or buffer, with the final NUL */

/* A parameter or buffer. */
typedef struct tarn__member {
    struct tarn__member *next;
    tarn_module *module;
    tarn_tensor *tensor; /* owned */
    bool is_buffer;
    char name[TARN__NAME_BYTES];
} tarn__member;

/* What an object that outlives a tree knows it by: `root` becomes NULL when the tree ends. */
typedef struct tarn__tree_watch {
    struct tarn__tree_watch *prev, *next;
    tarn_module *root;
} tarn__tree_watch;

struct tarn_module {
    tarn__object object; /* of a root; of others only manager and bytes are set */
    tarn_module *root;   /* of a root: itself */
    tarn_module *parent; /* of a root: NULL */
    tarn_module *first_child, *last_child, *next_sibling;

    /* Of a root only. */
    tarn__member *first_member, *last_member;
    tarn__tree_watch *watches;
    uint64_t number; /* the tree's creation number */

    uint64_t key;   /* of random draws: the tree's creation number and the path */
    uint64_t calls; /* of a dropout layer: how often it drew */
    bool training;
    bool frozen;

    struct tarn__record *records; /* owned: what a layer keeps for its users, newest first */

    const char *name, *path; /* the last part of the path, and the whole */
    const char *label;       /* such as linear "l1": in whose name operations run */
    char text[];             /* path and label */
};

/* The root that an object of a manager is; NULL if it is something else. */
const tarn_module *tarn__module_of(const tarn__object *object);

/* tarn_module_add_child, for a child that calls itself `kind` in messages. */
tarn_module *tarn__module_add(tarn_module *parent, const char *name, const char *kind);

/* Ends a module that is no root and everything below it: for layers that could not be completed. */
void tarn__module_discard(tarn_module *module);

/* Gives the module a zeroed record that ends with it. NULL with TARN_ENOMEM held. */
void *tarn__module_record(tarn_module *module, size_t bytes);

/* The module after m in the tree below top, parents before children; NULL after the last. */
tarn_module *tarn__next_module(const tarn_module *top, const tarn_module *m);

/* True if `module` is `top` or below it. */
bool tarn__module_contains(const tarn_module *top, const tarn_module *module);

/* Holds TARN_EARG unless `name` may be given to a child, parameter or buffer of the module. */
tarn_status tarn__module_check_name(const tarn_module *module, const char *name);

/* Ends the parameters and buffers of the module and all below it. */
void tarn__module_end_members(tarn_module *module);

/* Begins to watch the tree of a module; ends it, if the tree still lives. */
void tarn__tree_watch_begin(tarn__tree_watch *watch, tarn_module *module);
void tarn__tree_watch_end(tarn__tree_watch *watch);

/* The parameter of the module, or of a module below it, that was made after `member`; the first for
 * NULL; NULL after the last. A NULL module has none. */
tarn__member *tarn__next_parameter(const tarn_module *module, const tarn__member *member);

/* The same of parameters and buffers. */
tarn__member *tarn__next_member(const tarn_module *module, const tarn__member *member);

#endif
