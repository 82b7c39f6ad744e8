/* SPDX-License-Identifier: MIT
 * manager.h - the tensor manager as the library sees it. */
#ifndef TARN_CORE_MANAGER_H
#define TARN_CORE_MANAGER_H

#include <tarn/manager.h>

#include "core/cache.h"
#include "core/slab.h"
#include "core/tensor.h"

/* An open scope. frames[0] is the root scope. */
typedef struct tarn__frame {
    tarn_tensor *first; /* handles it owns, newest first */
    uint64_t tape_mark; /* the tape's position when it was opened */
    uint32_t serial;    /* tells scopes apart that had the same depth */
    bool no_grad;
} tarn__frame;

/* What the tape does for operations and scopes. Installed by the tape when the first leaf is made;
 * until then nothing is recorded. */
struct tarn__call;
struct tarn__draws;
struct tarn__observer;
struct tarn_operation_event;
typedef struct tarn__recorder {
    /* Records a call that is done. On failure (memory) nothing is recorded and the error is held.
     */
    tarn_status (*record)(const struct tarn__call *call);
    /* The same of a call that writes into its operand 0, call->out, which becomes its result. */
    tarn_status (*record_in_place)(struct tarn__call *call);
    uint64_t (*mark)(const tarn_manager *tm);
    /* Forgets what was recorded after `mark`, unless something it computed now belongs to a scope
     * above `depth`. */
    void (*truncate)(tarn_manager *tm, uint64_t mark, uint32_t depth);
    /* Told of a tensor to which only the recorded operation that made it still refers. */
    void (*orphan)(tarn_tensor *out);
    uint64_t (*length)(const tarn_manager *tm);
    void (*destroy)(tarn_manager *tm);
} tarn__recorder;

/* Something that lives as long as the manager unless destroyed before: modules, optimisers,
 * loaders. First member of each. */
typedef struct tarn__object {
    struct tarn__object *prev, *next;
    tarn_manager *manager;
    uint64_t serial;                              /* counts the objects ever made */
    size_t bytes;                                 /* of the whole record */
    void (*destroy)(struct tarn__object *object); /* ends what it owns, then calls
                                                     tarn__object_free */
} tarn__object;

/* Where what is made now comes from. The texts are compared by address. */
typedef struct tarn__place {
    const char *path;      /* of the module; "" outside modules */
    const char *operation; /* without tarn_ */
    uint8_t kind;          /* a tarn_kind */
} tarn__place;

enum { TARN__PLACES = 64, TARN__MAX_PHASES = 32, TARN__RECORD_SIZES = 7 };

/* An open phase: what the counters were at its begin. */
typedef struct tarn__open_phase {
    uint32_t row, serial;
    uint32_t peak_resets; /* of the cache */
    uint64_t begin_ns;
    uint64_t allocations, misses, requested, system_allocations;
    int64_t in_use;
    int64_t peak_usage, peak_in_use, peak_live; /* of the phase around it, so far */
} tarn__open_phase;

/* What was left after a step. */
typedef struct tarn__steady {
    bool known;
    uint64_t sequence; /* handles made so far */
    uint64_t handles, tape_length, system_allocations;
    int64_t usage, live;
} tarn__steady;

struct tarn_manager {
    tarn_pool *pool;
    tarn__cache *cache; /* owned */
    bool owns_pool;
    bool tags;       /* blocks get tags */
    bool scopes_own; /* options.auto_release */
    bool dry;        /* nothing is computed */
    bool time_calls, measure_phases;
    bool reuse_handles; /* not with full checking */
    bool zero_at_once;
    uint64_t acquire_ns, release_ns;
    uint64_t sequence; /* handles made so far */
    uint64_t adopted, peak_adopted, adopted_bytes, peak_adopted_bytes, ever_adopted;
    tarn__place place;
    struct {
        tarn__place place;
        uint32_t tag;
    } places[TARN__PLACES]; /* tags found before, by a hash of the addresses */

    tarn_phase_usage *phases; /* owned: (phase_room) */
    uint32_t n_phases, phase_room;
    tarn__open_phase open_phases[TARN__MAX_PHASES];
    uint32_t phase_depth, phase_serial;
    tarn__steady steady;

    unsigned watch; /* TARN__WATCH_* bits of ops/watch.h: who looks at every operation */
    void (*on_operation)(void *context, const struct tarn_operation_event *event);
    void *operation_context;
    tarn__hook *next_hook;     /* to be called after the one that runs now */
    struct tarn__draws *draws; /* noted or repeated now; NULL outside tarn_checkpoint */
    bool replaying;            /* a function of tarn_checkpoint runs for the second time */

    const struct tarn__observer *observer; /* of core/observer.h: NULL while nobody records */
    void *observed;                        /* the observer's own */
    uint64_t recording;      /* what the storages made now are marked with; 0: nobody records */
    uint64_t last_recording; /* the last such mark; the low 32 bits of marks are 0 */

    uint64_t seed;
    uint64_t n_modules; /* root modules made so far: each tree's creation number */

    tarn_status error;
    char message[768];
    const char *label; /* the layer in whose name operations run now, such as
                          linear "l1"; NULL outside layers */
    void (*on_error)(void *context, tarn_status code, const char *message);
    void (*on_unreleased)(void *context, const char *description);
    void *context;

    tarn__frame *frames; /* (n_frames): a record */
    uint32_t n_frames;
    uint32_t depth; /* of the innermost open scope */
    uint32_t held;  /* scopes up to this depth are those around a function of the program's that is
                       called now, which may not end them */
    uint32_t serial;
    tarn_tensor *retained; /* handles whose scope has ended */

    const tarn__recorder *recorder; /* NULL until a leaf exists */
    void *tape;                     /* the recorder's own */

    tarn__slab tensors, storages, names;
    tarn__slab records[TARN__RECORD_SIZES]; /* of 64 bytes, 128 ... */
    tarn__object *objects;                  /* newest first */
    uint64_t objects_made, objects_ended;

    tarn_manager_stats stats;
};

/* For functions that a program without mistakes never calls: what leads to them stands apart from
 * the path of an operation. */
#define TARN__COLD __attribute__((cold))

/* Holds an error, if none is held yet, and tells the callback; the text is printf's, without a
 * final newline. Returns code. */
TARN__COLD tarn_status tarn__fail(tarn_manager *tm, tarn_status code, const char *format, ...)
    TARN_PRINTF(3, 4);

/* Holds TARN_ENOMEM with the pool's figures: "what: 400 bytes not to be had (in use ..., cached
 * ..., cap ...)". */
TARN__COLD tarn_status tarn__fail_memory(tarn_manager *tm, const char *what, size_t bytes);

/* A handle whose layout is indeterminate, to be completed or cancelled; NULL with TARN_ENOMEM held.
 */
static inline tarn_tensor *tarn__tensor_begin(tarn_manager *tm)
{
    tarn_tensor *t = tarn__slab_take(&tm->tensors);
    if (t != NULL) {
        t->manager = tm;
        t->refs = 0;
        return t;
    }
    (void)tarn__fail_memory(tm, "tensor", sizeof(tarn_tensor));
    return NULL;
}

static inline bool tarn__recording(const tarn_manager *tm)
{
    return tm->recorder != NULL && !tm->frames[tm->depth].no_grad;
}

/* The tag of a place that is not at hand: found by its texts, and kept at hand in that slot. */
uint32_t tarn__tag_find(tarn_manager *tm, const tarn__place *place, size_t slot);

/* The tag of a place; 0 where nobody counts by tag. */
static inline uint32_t tarn__tag_of(tarn_manager *tm, const char *path, const char *operation,
                                    tarn_kind kind)
{
    if (!tm->tags) return 0;
    const uintptr_t mixed = (uintptr_t)path / 8 ^ (uintptr_t)operation / 4 ^
                            (uintptr_t)operation / 256 ^ (uintptr_t)kind * 11;
    const size_t slot = mixed % TARN__PLACES;
    const tarn__place *known = &tm->places[slot].place;
    if (known->path == path && known->operation == operation && known->kind == kind)
        return tm->places[slot].tag;
    const tarn__place place = { path, operation, (uint8_t)kind };
    return tarn__tag_find(tm, &place, slot);
}

/* The same for what is made now. */
static inline uint32_t tarn__tag_here(tarn_manager *tm)
{
    return tarn__tag_of(tm, tm->place.path, tm->place.operation, (tarn_kind)tm->place.kind);
}

/* Forgets the addresses of texts that are about to end. */
void tarn__places_forget(tarn_manager *tm);

/* Says where what is made from now on comes from, until tarn__leave_place with what it returned. */
static inline tarn__place tarn__enter_place(tarn_manager *tm, const char *operation, tarn_kind kind)
{
    const tarn__place before = tm->place;
    tm->place.operation = operation;
    tm->place.kind = (uint8_t)kind;
    return before;
}

static inline void tarn__leave_place(tarn_manager *tm, tarn__place before) { tm->place = before; }

/* Tells the observer that the storage of t changes. */
void tarn__tell_touched(tarn_tensor *t);

/* Marks the storage as changed; pending zeros are forgotten if `overwritten`, else written. */
static inline void tarn__touch(tarn_tensor *t, bool overwritten)
{
    if (!overwritten) tarn__materialize(t);
    t->storage->zero_pending = false;
    t->storage->version++;
    if (t->manager->observer != NULL) tarn__tell_touched(t);
}

/* The tag of what t's memory was made as, with another kind; 0 where nobody counts by tag. */
uint32_t tarn__tag_like(const tarn_tensor *t, tarn_kind kind);

/* Gives t's memory this kind, if it was an activation. */
void tarn__mark_saved(tarn_tensor *t);

/* Opens and ends a phase by itself, if the manager measures them. */
tarn_phase tarn__phase_open(tarn_manager *tm, const char *name);
static inline tarn_phase tarn__phase_auto(tarn_manager *tm, const char *name)
{
    return tm->measure_phases ? tarn__phase_open(tm, name) : (tarn_phase){ 0 };
}
static inline void tarn__phase_close(tarn_phase phase)
{
    if (phase.manager != NULL) (void)tarn_phase_end(phase);
}

/* One step of the manager, for its pool. */
static inline void tarn__manager_step(tarn_manager *tm) { tarn__cache_step(tm->cache); }

/* Told of the end of a manager, in case it is the default one. */
void tarn__default_manager_ends(const tarn_manager *tm);

/* A record that lives for a step or less, with indeterminate contents: memory of any size, kept for
 * reuse up to 4 KiB. NULL with TARN_ENOMEM held, in the name of `what`. */
void *tarn__record_take(tarn_manager *tm, const char *what, size_t bytes);
void tarn__record_give(tarn_manager *tm, void *record, size_t bytes);

/* The beginning and the end of all such records. */
void tarn__records_begin(tarn_manager *tm);
void tarn__records_end(tarn_manager *tm);

/* A zeroed object of `bytes` bytes registered with the manager, or NULL with TARN_ENOMEM held. */
void *tarn__object_new(tarn_manager *tm, size_t bytes, void (*destroy)(tarn__object *));
/* Unregisters it and frees its record. */
void tarn__object_free(tarn__object *object);
/* Whether the object with this serial still lives. */
bool tarn__object_lives(const tarn_manager *tm, const tarn__object *object, uint64_t serial);

#endif
