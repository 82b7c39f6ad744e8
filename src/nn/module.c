/* SPDX-License-Identifier: MIT
 * module.c - trees of modules: their making, names, mode and end. */
#include "nn/module.h"

#include <stddef.h>
#include <string.h>

#include <tarn/autograd.h>

#include "core/assert.h"
#include "core/observer.h"
#include "core/random.h"
#include "core/size.h"

/* ---- names */

static bool is_taken(const tarn_module *module, const char *name)
{
    for (const tarn_module *c = module->first_child; c != NULL; c = c->next_sibling)
        if (strcmp(c->name, name) == 0) return true;
    for (const tarn__member *m = module->root->first_member; m != NULL; m = m->next)
        if (m->module == module && strcmp(m->name, name) == 0) return true;
    return false;
}

tarn_status tarn__module_check_name(const tarn_module *module, const char *name)
{
    tarn_manager *tm = module->object.manager;
    if (module->frozen)
        return tarn__fail(tm, TARN_ESTATE, "%s: it is frozen: add its parts before", module->label);
    if (name == NULL || name[0] == '\0')
        return tarn__fail(tm, TARN_EARG, "%s: a part of it needs a name", module->label);
    if (memchr(name, '\0', TARN__NAME_BYTES) == NULL)
        return tarn__fail(tm, TARN_EARG, "%s: name \"%.16s...\" is longer than %d bytes",
                          module->label, name, TARN__NAME_BYTES - 1);
    if (strchr(name, '.') != NULL)
        return tarn__fail(tm, TARN_EARG, "%s: name \"%s\" contains a dot", module->label, name);
    if (is_taken(module, name))
        return tarn__fail(tm, TARN_EARG, "%s: name \"%s\" is taken by another part of it",
                          module->label, name);
    return TARN_OK;
}

/* Copies a text without its NUL and returns the place after it. */
static char *append(char *at, const char *text)
{
    while (*text != '\0') *at++ = *text++;
    return at;
}

/* Bytes of a module's record with the texts that write_text writes. */
static bool record_size(const char *parent_path, const char *name, const char *kind, size_t *bytes)
{
    size_t path;
    return tarn__size_add(strlen(parent_path), strlen(name), &path) &&
           tarn__size_add(path, 1, &path) && tarn__size_mul(path, 2, bytes) &&
           tarn__size_add(*bytes, strlen(kind), bytes) &&
           tarn__size_add(*bytes, sizeof(tarn_module) + sizeof " \"\"" + 1, bytes);
}

/* Writes path and label behind the record, and the key that follows from the path. */
static void write_text(tarn_module *module, const char *parent_path, const char *name,
                       const char *kind)
{
    char *at = module->text;
    module->path = at;
    at = append(at, parent_path);
    if (parent_path[0] != '\0') *at++ = '.';
    module->name = at;
    at = append(at, name);
    *at++ = '\0';

    module->label = at;
    at = append(at, kind);
    if (name[0] != '\0') {
        at = append(at, " \"");
        at = append(at, module->path);
        *at++ = '"';
    }
    *at++ = '\0';
    TARN_ASSERT(at <= (char *)module + module->object.bytes);

    const uint64_t path = tarn__hash_bytes(TARN__HASH_START, module->path, strlen(module->path));
    module->key = tarn__random_key(module->root->number, path);
}

/* ---- records */

typedef struct tarn__record {
    struct tarn__record *next;
    size_t bytes; /* of the whole */
    max_align_t content[];
} tarn__record;

void *tarn__module_record(tarn_module *module, size_t bytes)
{
    tarn_manager *tm = module->object.manager;
    tarn__record *record = NULL;
    if (!tarn__size_add(bytes, offsetof(tarn__record, content), &bytes)) bytes = SIZE_MAX;
    else record = tarn__records_alloc(tm->pool, bytes);
    if (record == NULL) {
        (void)tarn__fail_memory(tm, module->label, bytes);
        return NULL;
    }
    record->bytes = bytes;
    record->next = module->records;
    module->records = record;
    return record->content;
}

static void free_records(tarn_module *module)
{
    while (module->records != NULL) {
        tarn__record *record = module->records;
        module->records = record->next;
        tarn__records_free(module->object.manager->pool, record, record->bytes);
    }
}

/* ---- making and ending */

/* Frees everything below a module whose members have ended, the deepest first child first. */
static void free_children(tarn_module *top)
{
    tarn_pool *pool = top->object.manager->pool;
    tarn_module *m = top;
    for (;;) {
        while (m->first_child != NULL) m = m->first_child;
        free_records(m);
        if (m == top) return;
        tarn_module *parent = m->parent;
        parent->first_child = m->next_sibling;
        tarn__records_free(pool, m, m->object.bytes);
        m = parent;
    }
}

static void destroy_root(tarn__object *object)
{
    tarn_module *root = (tarn_module *)object;
    while (root->watches != NULL) tarn__tree_watch_end(root->watches);
    tarn__places_forget(object->manager);
    tarn__module_end_members(root);
    free_children(root);
    tarn__object_free(object);
}

const tarn_module *tarn__module_of(const tarn__object *object)
{
    return object->destroy == destroy_root ? (const tarn_module *)object : NULL;
}

tarn_module *tarn_module_create(tarn_manager *tm)
{
    size_t bytes;
    if (tm == NULL || !record_size("", "", "module", &bytes)) return NULL;
    tarn_module *root = tarn__object_new(tm, bytes, destroy_root);
    if (root == NULL) return NULL;
    root->root = root;
    root->training = true;
    root->number = tm->n_modules++;
    write_text(root, "", "", "module");
    return root;
}

tarn_module *tarn__module_add(tarn_module *parent, const char *name, const char *kind)
{
    if (parent == NULL || tarn__module_check_name(parent, name) != TARN_OK) return NULL;
    tarn_manager *tm = parent->object.manager;
    size_t bytes = SIZE_MAX;
    tarn_module *module = NULL;
    if (record_size(parent->path, name, kind, &bytes))
        module = tarn__records_alloc(tm->pool, bytes);
    if (module == NULL) {
        (void)tarn__fail_memory(tm, parent->label, bytes);
        return NULL;
    }
    module->object.manager = tm;
    module->object.bytes = bytes;
    module->root = parent->root;
    module->parent = parent;
    module->training = parent->training;
    write_text(module, parent->path, name, kind);

    if (parent->last_child == NULL) parent->first_child = module;
    else parent->last_child->next_sibling = module;
    parent->last_child = module;
    return module;
}

tarn_module *tarn_module_add_child(tarn_module *parent, const char *name)
{
    return tarn__module_add(parent, name, "module");
}

void tarn__module_discard(tarn_module *module)
{
    tarn_module *parent = module->parent, *before = NULL;
    TARN_ASSERT(parent != NULL);
    tarn__places_forget(module->object.manager);
    tarn__module_end_members(module);
    free_children(module);
    for (tarn_module *c = parent->first_child; c != module; c = c->next_sibling) before = c;
    if (before == NULL) parent->first_child = module->next_sibling;
    else before->next_sibling = module->next_sibling;
    if (parent->last_child == module) parent->last_child = before;
    tarn__records_free(module->object.manager->pool, module, module->object.bytes);
}

tarn_status tarn_module_destroy(tarn_module *module)
{
    if (module == NULL) return TARN_OK;
    if (module->parent != NULL)
        return tarn__fail(module->object.manager, TARN_ESTATE,
                          "%s: only the root of a tree can be destroyed", module->label);
    destroy_root(&module->object);
    return TARN_OK;
}

/* ---- watches */

void tarn__tree_watch_begin(tarn__tree_watch *watch, tarn_module *module)
{
    tarn_module *root = module->root;
    watch->root = root;
    watch->prev = NULL;
    watch->next = root->watches;
    if (root->watches != NULL) root->watches->prev = watch;
    root->watches = watch;
}

void tarn__tree_watch_end(tarn__tree_watch *watch)
{
    if (watch->root == NULL) return;
    if (watch->prev != NULL) watch->prev->next = watch->next;
    else watch->root->watches = watch->next;
    if (watch->next != NULL) watch->next->prev = watch->prev;
    *watch = (tarn__tree_watch){ 0 };
}

/* ---- what a module is */

bool tarn__module_contains(const tarn_module *top, const tarn_module *module)
{
    while (module != top && module != NULL) module = module->parent;
    return module != NULL;
}

const char *tarn_module_path(const tarn_module *module)
{
    return module == NULL ? "" : module->path;
}

const char *tarn_module_name(const tarn_module *module)
{
    return module == NULL ? "" : module->name;
}

tarn_module *tarn_module_parent(const tarn_module *module)
{
    return module == NULL ? NULL : module->parent;
}

int tarn_module_child_count(const tarn_module *module)
{
    int n = 0;
    if (module == NULL) return 0;
    for (const tarn_module *c = module->first_child; c != NULL; c = c->next_sibling) n++;
    return n;
}

tarn_module *tarn_module_child(const tarn_module *module, int i)
{
    if (module == NULL || i < 0) return NULL;
    tarn_module *c = module->first_child;
    while (c != NULL && i-- > 0) c = c->next_sibling;
    return c;
}

tarn_module *tarn__next_module(const tarn_module *top, const tarn_module *m)
{
    if (m->first_child != NULL) return m->first_child;
    while (m != top && m->next_sibling == NULL) m = m->parent;
    return m == top ? NULL : m->next_sibling;
}

void tarn_module_each(tarn_module *module, void (*visit)(void *context, tarn_module *module),
                      void *context)
{
    if (visit == NULL) return;
    for (tarn_module *m = module; m != NULL; m = tarn__next_module(module, m)) visit(context, m);
}

/* ---- mode */

static void set_training(tarn_module *top, bool training)
{
    if (top != NULL)
        tarn__observe_refusal(top->object.manager,
                              "it switches a module between training and evaluation");
    for (tarn_module *m = top; m != NULL; m = tarn__next_module(top, m))
        m->training = training && !m->frozen;
}

void tarn_module_train(tarn_module *module) { set_training(module, true); }

void tarn_module_eval(tarn_module *module) { set_training(module, false); }

bool tarn_module_is_training(const tarn_module *module)
{
    if (module == NULL) return false;
    tarn__observe_mode(module->object.manager, &module->training, &module->root->object);
    return module->training;
}

tarn_status tarn_module_freeze(tarn_module *module)
{
    if (module == NULL) return TARN_EARG;
    tarn_manager *tm = module->object.manager;
    if (!tarn_ok(tm)) return tm->error;
    tarn__observe_refusal(tm, "it freezes a module");
    for (tarn__member *m = module->root->first_member; m != NULL; m = m->next) {
        if (!tarn__module_contains(module, m->module) || m->tensor->frozen) continue;
        tarn__materialize(m->tensor);
        if (m->tensor->requires_grad) (void)tarn_stop_grad(m->tensor);
        m->tensor->frozen = m->tensor->storage->read_only = true;
    }
    for (tarn_module *m = module; m != NULL; m = tarn__next_module(module, m)) {
        m->frozen = true;
        m->training = false;
    }
    return TARN_OK;
}

bool tarn_module_is_frozen(const tarn_module *module) { return module != NULL && module->frozen; }
