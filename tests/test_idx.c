/* SPDX-License-Identifier: MIT
 * test_idx.c - IDX files: what is written comes back, and no file, however bad, does harm. */
#define _GNU_SOURCE

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include <cmocka.h>

#include <tarn/tarn.h>

/* ---- faults of the system: calls of the C library that a test can let fail, go slowly, or be
 * interrupted */

enum { CALL_READ, CALL_WRITE, CALL_FSYNC, CALL_CLOSE, CALL_RENAME, CALLS };

static struct faults {
    bool armed; /* only while a function under test runs */
    int call;   /* which call fails */
    int at;     /* at its at-th time, from 1; 0: never */
    int error;  /* with this errno */
    int count[CALLS];
    bool slow; /* reads and writes move one byte, and every second one is interrupted instead */
    bool interrupted;
    char log[64]; /* the calls in their order, repetitions once */
} faults;

/* Counts a call and tells whether it is the one to fail. */
static bool strikes(int call)
{
    if (!faults.armed) return false;
    const size_t length = strlen(faults.log);
    const char letter = "rwscm"[call];
    if (length + 1 < sizeof faults.log && (length == 0 || faults.log[length - 1] != letter)) {
        faults.log[length] = letter;
        faults.log[length + 1] = '\0';
    }
    faults.count[call]++;
    if (call != faults.call || faults.count[call] != faults.at) return false;
    errno = faults.error;
    return true;
}

static bool interrupts(void)
{
    if (!faults.armed || !faults.slow) return false;
    faults.interrupted = !faults.interrupted;
    errno = EINTR;
    return faults.interrupted;
}

/* The C library's own function. */
#define REAL(name, function) *(void **)(&(function)) = dlsym(RTLD_NEXT, name)

ssize_t read(int fd, void *to, size_t n)
{
    ssize_t (*real)(int, void *, size_t);
    REAL("read", real);
    if (strikes(CALL_READ) || interrupts()) return -1;
    return real(fd, to, faults.armed && faults.slow && n > 1 ? 1 : n);
}

ssize_t write(int fd, const void *from, size_t n)
{
    ssize_t (*real)(int, const void *, size_t);
    REAL("write", real);
    if (strikes(CALL_WRITE) || interrupts()) return -1;
    return real(fd, from, faults.armed && faults.slow && n > 1 ? 1 : n);
}

int fsync(int fd)
{
    int (*real)(int);
    REAL("fsync", real);
    return strikes(CALL_FSYNC) ? -1 : real(fd);
}

/* A close that fails has closed all the same. */
int close(int fd)
{
    int (*real)(int);
    REAL("close", real);
    const bool fails = strikes(CALL_CLOSE);
    const int error = errno, result = real(fd);
    if (!fails) return result;
    errno = error;
    return -1;
}

int renameat(int from_directory, const char *from, int to_directory, const char *to)
{
    int (*real)(int, const char *, int, const char *);
    REAL("renameat", real);
    return strikes(CALL_RENAME) ? -1 : real(from_directory, from, to_directory, to);
}

static void arm(int call, int at, int error)
{
    memset(&faults, 0, sizeof faults);
    faults.call = call;
    faults.at = at;
    faults.error = error;
    faults.armed = true;
}

/* ---- files */

enum { FILE_BYTES = 64 * 1024 };

static char directory[128]; /* the working directory while a test runs */
static int here;            /* the working directory before */
static tarn_manager *tm;

typedef struct content {
    size_t n;
    unsigned char bytes[FILE_BYTES];
} content;

/* Writes a file and returns its name. */
static const char *put_file(const char *name, const void *bytes, size_t n)
{
    FILE *file = fopen(name, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, n, file), n);
    assert_int_equal(fclose(file), 0);
    return name;
}

static void get_file(const char *path, content *c)
{
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    c->n = fread(c->bytes, 1, sizeof c->bytes, file);
    assert_true(c->n < sizeof c->bytes);
    fclose(file);
}

/* Appends one gzip member holding n bytes. */
static void add_member(content *c, const void *bytes, size_t n)
{
    z_stream z = { 0 };
    assert_int_equal(deflateInit2(&z, 9, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
    z.next_in = (unsigned char *)(uintptr_t)bytes;
    z.avail_in = (uInt)n;
    z.next_out = c->bytes + c->n;
    z.avail_out = (uInt)(sizeof c->bytes - c->n);
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    c->n = sizeof c->bytes - z.avail_out;
    deflateEnd(&z);
}

static int entries(void)
{
    DIR *stream = opendir(".");
    int n = 0;
    assert_non_null(stream);
    for (struct dirent *entry; (entry = readdir(stream)) != NULL;) {
        n += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
    }
    closedir(stream);
    return n;
}

static int open_descriptors(void)
{
    int n = 0;
    for (int fd = 0; fd < 256; fd++) n += fcntl(fd, F_GETFD) >= 0;
    return n;
}

/* ---- fixture: an empty directory and a manager for each test */

static int set_up(void **state)
{
    (void)state;
    const char *base = getenv("TMPDIR");
    snprintf(directory, sizeof directory, "%s/tarn-idx-XXXXXX",
             base != NULL && base[0] != '\0' ? base : "/tmp");
    memset(&faults, 0, sizeof faults);
    tm = tarn_manager_create(NULL);
    here = open(".", O_RDONLY | O_DIRECTORY);
    return tm != NULL && here >= 0 && mkdtemp(directory) != NULL ? chdir(directory) : -1;
}

static void empty_directory(void)
{
    DIR *stream = opendir(".");
    for (struct dirent *entry; stream != NULL && (entry = readdir(stream)) != NULL;) {
        if (unlink(entry->d_name) != 0) rmdir(entry->d_name);
    }
    if (stream != NULL) closedir(stream);
}

static int tear_down(void **state)
{
    (void)state;
    faults.armed = false;
    empty_directory();
    rmdir(directory);
    const int back = fchdir(here);
    close(here);
    return tarn_manager_destroy(tm) == 0 ? back : -1;
}

/* ---- expectations */

/* What holds after every failure: the error with its code and a text, an empty pool, no descriptor
 * left open. */
static void expect_error(tarn_status code, int descriptors)
{
    assert_string_equal(tarn_status_name(tarn_error_code(tm)), tarn_status_name(code));
    assert_true(strlen(tarn_error_message(tm)) > 10);
    assert_int_equal(open_descriptors(), descriptors);
    assert_int_equal(tarn_pool_check(tarn_manager_pool(tm)), TARN_OK);
    tarn_clear_error(tm);
}

static void expect_no_load(const char *path, tarn_status code)
{
    const int descriptors = open_descriptors();
    assert_null(tarn_idx_load(tm, path));
    faults.armed = false;
    const tarn_pool_stats stats = tarn_pool_get_stats(tarn_manager_pool(tm));
    assert_int_equal(stats.current_usage, 0);
    assert_int_equal(stats.live_blocks, 0);
    expect_error(code, descriptors);
}

/* A refusal must come before memory is taken. */
static void expect_refusal(const char *path, tarn_status code)
{
    const uint64_t before = tarn_pool_get_stats(tarn_manager_pool(tm)).allocations;
    expect_no_load(path, code);
    assert_int_equal(tarn_pool_get_stats(tarn_manager_pool(tm)).allocations, before);
}

static void expect_no_save(tarn_tensor *t, const char *path, tarn_status code)
{
    const int descriptors = open_descriptors(), before = entries();
    assert_int_equal(tarn_idx_save(t, path), code);
    faults.armed = false;
    assert_int_equal(entries(), before);
    expect_error(code, descriptors);
}

static void expect_equal(tarn_tensor *a, tarn_tensor *b)
{
    unsigned char va[4096], vb[4096];
    const size_t bytes = (size_t)tarn_numel(a) * tarn_dtype_size(tarn_get_dtype(a));
    assert_int_equal(tarn_ndim(a), tarn_ndim(b));
    for (int i = 0; i < tarn_ndim(a); i++) assert_int_equal(tarn_dim(a, i), tarn_dim(b, i));
    assert_int_equal(tarn_get_dtype(a), tarn_get_dtype(b));
    assert_true(bytes <= sizeof va);
    assert_int_equal(tarn_copy_to(a, va, bytes), TARN_OK);
    assert_int_equal(tarn_copy_to(b, vb, bytes), TARN_OK);
    assert_memory_equal(va, vb, bytes);
}

static void expect_round_trip(tarn_tensor *t)
{
    static const char *const names[] = { "plain", "packed.gz" };
    for (int i = 0; i < 2; i++) {
        TARN_SCOPE(tm);
        const char *path = names[i];
        assert_int_equal(tarn_idx_save(t, path), TARN_OK);
        tarn_tensor *back = tarn_idx_load(tm, path);
        assert_string_equal(tarn_error_message(tm), "");
        expect_equal(t, back);
        assert_true(tarn_is_contiguous(back));
    }
    assert_int_equal(entries(), 2);
}

/* Values of any bits: what is stored is not interpreted. */
static tarn_tensor *random_bits(tarn_dtype dtype, tarn_shape shape)
{
    tarn_tensor *t = tarn_empty(tm, dtype, shape);
    unsigned char *bytes = tarn_data_mut(t);
    const size_t n = (size_t)tarn_numel(t) * tarn_dtype_size(dtype);
    uint32_t x = 12345;
    for (size_t i = 0; i < n; i++) {
        x = x * 1664525 + 1013904223;
        bytes[i] = (unsigned char)(x >> 24);
    }
    return t;
}

/* A small file: bytes of shape (2, 3). */
static const unsigned char small[] = { 0, 0, 8, 2, 0, 0, 0, 2, 0, 0, 0, 3, 1, 2, 3, 250, 251, 252 };

/* ---- what is written comes back */

static void test_round_trips(void **state)
{
    (void)state;
    static const tarn_dtype dtypes[] = { TARN_U8, TARN_I32, TARN_F32, TARN_F64 };
    const tarn_shape shapes[] = {
        TARN_SCALAR,         TARN_SHAPE(1),       TARN_SHAPE(0),
        TARN_SHAPE(3, 0, 2), TARN_SHAPE(5),       TARN_SHAPE(300),
        TARN_SHAPE(2, 3, 4), TARN_SHAPE(1, 1, 1), TARN_SHAPE(2, 1, 2, 1, 2, 1, 2, 3),
    };
    for (size_t d = 0; d < 4; d++) {
        for (size_t s = 0; s < sizeof shapes / sizeof shapes[0]; s++) {
            TARN_SCOPE(tm);
            expect_round_trip(random_bits(dtypes[d], shapes[s]));
        }
    }
}

/* Larger than every buffer on the way. */
static void test_long_round_trips(void **state)
{
    (void)state;
    tarn_tensor *t = random_bits(TARN_F64, TARN_SHAPE(3, 50001));
    const char *names[] = { "plain", "packed.gz" };
    const uint8_t *values = tarn_data(t);
    for (int i = 0; i < 2; i++) {
        TARN_SCOPE(tm);
        assert_int_equal(tarn_idx_save(t, names[i]), TARN_OK);
        tarn_tensor *back = tarn_idx_load(tm, names[i]);
        assert_memory_equal(values, tarn_data(back), 3 * 50001 * sizeof(double));
    }
}

static void test_views(void **state)
{
    (void)state;
    static const tarn_dtype dtypes[] = { TARN_U8, TARN_I32, TARN_F32, TARN_F64 };
    for (size_t d = 0; d < 4; d++) {
        TARN_SCOPE(tm);
        tarn_tensor *t = random_bits(dtypes[d], TARN_SHAPE(4, 3, 5));
        expect_round_trip(tarn_transpose(t, 0, 2));
        expect_round_trip(tarn_transpose(tarn_slice(t, 1, 1, 3), 1, 2));
        expect_round_trip(tarn_slice(t, 2, 2, 2));
        expect_round_trip(tarn_expand(tarn_slice(t, 0, 3, 4), TARN_SHAPE(6, 3, 5)));
    }
    expect_round_trip(tarn_zeros(tm, TARN_F32, TARN_SHAPE(7)));
}

static void test_bytes_of_a_file(void **state)
{
    (void)state;
    static const unsigned char expected[] = {
        0, 0, 0x0D, 2, 0, 0, 0, 1, 0, 0, 0, 2, 0x3F, 0x80, 0, 0, 0xC0, 0x49, 0x0F, 0xDB,
    };
    content c;
    tarn_tensor *t =
        tarn_from_array(tm, TARN_F32, TARN_SHAPE(1, 2), (const float[]){ 1, -3.14159265F });
    assert_int_equal(tarn_idx_save(t, "pi"), TARN_OK);
    get_file("pi", &c);
    assert_int_equal(c.n, sizeof expected);
    assert_memory_equal(c.bytes, expected, sizeof expected);
}

static void test_small_integers_are_widened(void **state)
{
    (void)state;
    static const unsigned char bytes[] = { 0, 0, 9, 1, 0, 0, 0, 4, 0, 127, 128, 255 };
    static const unsigned char shorts[] = { 0, 0, 11,   1,    0,    0, 0,    4,
                                            0, 1, 0x7F, 0xFF, 0x80, 0, 0xFF, 0xFE };
    static const int32_t of_bytes[] = { 0, 127, -128, -1 }, of_shorts[] = { 1, 32767, -32768, -2 };
    tarn_tensor *t = tarn_idx_load(tm, put_file("bytes", bytes, sizeof bytes));
    expect_equal(t, tarn_from_array(tm, TARN_I32, TARN_SHAPE(4), of_bytes));
    t = tarn_idx_load(tm, put_file("shorts", shorts, sizeof shorts));
    expect_equal(t, tarn_from_array(tm, TARN_I32, TARN_SHAPE(4), of_shorts));
}

/* ---- damaged files */

/* Takes a good file, cuts it everywhere and flips every bit of it. */
static void expect_damage_found(const char *path, bool packed)
{
    content c;
    get_file(path, &c);
    for (size_t n = 0; n < c.n; n++) expect_no_load(put_file("cut", c.bytes, n), TARN_ECORRUPT);

    tarn_tensor *whole = tarn_idx_load(tm, path);
    for (size_t bit = 0; bit < 8 * c.n; bit++) {
        TARN_SCOPE(tm);
        c.bytes[bit / 8] ^= (unsigned char)(1 << bit % 8);
        tarn_tensor *t = tarn_idx_load(tm, put_file("flipped", c.bytes, c.n));
        c.bytes[bit / 8] ^= (unsigned char)(1 << bit % 8);
        if (t != NULL && packed) {
            expect_equal(t,
                         whole); /* a part of gzip's header that says nothing, such as the time */
        } else if (t != NULL) {
            assert_true(bit / 8 >= 12 || bit == 16); /* an element, or byte became signed byte */
        } else {
            const tarn_status code = tarn_error_code(tm);
            assert_true(code == TARN_ECORRUPT || code == TARN_ELIMIT);
            tarn_clear_error(tm);
        }
        assert_true(tarn_ok(tm));
    }
}

static void test_damage(void **state)
{
    (void)state;
    {
        TARN_SCOPE(tm);
        tarn_tensor *t = random_bits(TARN_U8, TARN_SHAPE(12, 9));
        assert_int_equal(tarn_idx_save(t, "good"), TARN_OK);
        assert_int_equal(tarn_idx_save(t, "good.gz"), TARN_OK);
    }
    for (int packed = 0; packed < 2; packed++) {
        TARN_SCOPE(tm);
        const char *path = packed ? "good.gz" : "good";
        expect_damage_found(path, packed != 0);
    }
}

static void test_huge_claims(void **state)
{
    (void)state;
    for (int ndim = 1; ndim <= 255; ndim++) {
        unsigned char header[4 + 4 * 255 + 16];
        memset(header, 0xFF, sizeof header);
        for (unsigned type = 8; type <= 14; type++) {
            if (type == 10) continue;
            memcpy(header, (unsigned char[]){ 0, 0, (unsigned char)type, (unsigned char)ndim }, 4);
            const tarn_status code = ndim > TARN_MAX_DIMS ? TARN_ELIMIT : TARN_ECORRUPT;
            expect_refusal(put_file("huge", header, sizeof header), code);
            content c = { 0 };
            add_member(&c, header, sizeof header);
            expect_refusal(put_file("huge.gz", c.bytes, c.n), code);
        }
    }
    /* More than deflate can make of the file, but not by much. */
    unsigned char claim[] = { 0, 0, 8, 1, 0, 0, 0, 0 };
    content c = { 0 };
    add_member(&c, claim, sizeof claim);
    const size_t n = 1500 * c.n;
    claim[6] = (unsigned char)(n >> 8);
    claim[7] = (unsigned char)n;
    c.n = 0;
    add_member(&c, claim, sizeof claim);
    expect_refusal(put_file("claim.gz", c.bytes, c.n), TARN_ECORRUPT);

    /* Two sizes whose product wraps around to the bytes that there are. */
    static const unsigned char wraps[] = {
        0, 0, 8, 4, 0x80, 0, 0, 0, 0x80, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 1,
    };
    expect_refusal(put_file("wraps", wraps, sizeof wraps), TARN_ECORRUPT);
}

static void test_not_idx(void **state)
{
    (void)state;
    expect_refusal(put_file("empty", "", 0), TARN_ECORRUPT);
    expect_refusal(put_file("text", "label,pixel0,pixel1\n", 20), TARN_ECORRUPT);
    expect_refusal(put_file("magic", "\x1f\x8b", 2), TARN_ECORRUPT);
    unsigned char bytes[sizeof small];
    for (unsigned type = 0; type < 256; type++) {
        memcpy(bytes, small, sizeof small);
        bytes[2] = (unsigned char)type;
        if (type == 8 || type == 9) continue;
        expect_refusal(put_file("type", bytes, sizeof bytes), TARN_ECORRUPT);
    }
}

static void test_garbage_after_the_end(void **state)
{
    (void)state;
    content c = { 0 };
    memcpy(c.bytes, small, sizeof small);
    memcpy(c.bytes + sizeof small, small, sizeof small);
    expect_refusal(put_file("one byte", c.bytes, sizeof small + 1), TARN_ECORRUPT);
    expect_refusal(put_file("joined", c.bytes, 2 * sizeof small), TARN_ECORRUPT);

    static const char *const tails[] = { "\0",   "\0\0\0\0\0\0\0\0", "x",
                                         "\x1f", "\x1f\x8b",         "\x1f\x8b\x08garbage" };
    static const size_t lengths[] = { 1, 8, 1, 1, 2, 10 };
    for (int i = 0; i < 6; i++) {
        c.n = 0;
        add_member(&c, small, sizeof small);
        memcpy(c.bytes + c.n, tails[i], lengths[i]);
        expect_no_load(put_file("tail.gz", c.bytes, c.n + lengths[i]), TARN_ECORRUPT);
    }
    c.n = 0;
    add_member(&c, small, sizeof small);
    add_member(&c, small, sizeof small);
    expect_no_load(put_file("joined.gz", c.bytes, c.n), TARN_ECORRUPT);
    c.n = 0;
    add_member(&c, "not an array", 12);
    expect_refusal(put_file("other.gz", c.bytes, c.n), TARN_ECORRUPT);
}

/* A gzip file is a series of members, of which some may be empty. */
static void test_members(void **state)
{
    (void)state;
    content c = { 0 };
    tarn_tensor *whole = tarn_idx_load(tm, put_file("whole", small, sizeof small));
    for (size_t cut = 0; cut <= sizeof small; cut++) {
        TARN_SCOPE(tm);
        c.n = 0;
        add_member(&c, "", 0);
        add_member(&c, small, cut);
        add_member(&c, small + cut, sizeof small - cut);
        add_member(&c, "", 0);
        tarn_tensor *t = tarn_idx_load(tm, put_file("members.gz", c.bytes, c.n));
        assert_string_equal(tarn_error_message(tm), "");
        expect_equal(t, whole);
    }
}

/* A megabyte of zeros in a kilobyte: no more is unpacked than the header promised. */
static void test_bombs(void **state)
{
    (void)state;
    enum { N = 1 << 20 };
    static const unsigned char promises[2][8] = { { 0, 0, 8, 1, 0, 0, 0, 9 },
                                                  { 0, 0, 8, 1, 0, 15, 255, 248 } };
    unsigned char *bytes = calloc(1, N);
    content c = { 0 };
    assert_non_null(bytes);
    memcpy(bytes, promises[0], 8);
    add_member(&c, bytes, N);
    expect_no_load(put_file("bomb.gz", c.bytes, c.n), TARN_ECORRUPT);
    assert_true(tarn_pool_get_stats(tarn_manager_pool(tm)).peak_usage <= 9);

    c.n = 0;
    memcpy(bytes, promises[1], 8);
    add_member(&c, bytes, N);
    assert_true(c.n < 2000);
    assert_int_equal(tarn_numel(tarn_idx_load(tm, put_file("honest.gz", c.bytes, c.n))), N - 8);
    free(bytes);
}

/* ---- what is no file */

static void test_no_files(void **state)
{
    (void)state;
    expect_refusal(NULL, TARN_EARG);
    expect_refusal("", TARN_EIO);
    expect_refusal("missing", TARN_EIO);
    expect_refusal("missing/too", TARN_EIO);
    expect_refusal(directory, TARN_EIO);
    expect_refusal("/dev/zero", TARN_EIO);
    if (access("/proc/self/status", R_OK) == 0) expect_refusal("/proc/self/status", TARN_ECORRUPT);

    const char *fifo = "fifo", *loop = "loop";
    assert_int_equal(mkfifo(fifo, 0600), 0);
    expect_refusal(fifo, TARN_EIO);
    assert_int_equal(symlink(loop, loop), 0);
    expect_refusal(loop, TARN_EIO);

    const char *closed = put_file("unreadable", small, sizeof small);
    assert_int_equal(chmod(closed, 0), 0);
    if (access(closed, R_OK) != 0)
        expect_refusal(closed, TARN_EIO); /* the superuser reads everything */
    assert_null(tarn_idx_load(NULL, closed));
}

static void test_messages(void **state)
{
    (void)state;
    assert_null(tarn_idx_load(tm, "no\nsuch\x1b[31m\"file\""));
    assert_string_equal(tarn_error_message(tm),
                        "tarn_idx_load: \"no\\x0asuch\\x1b[31m\\x22file\\x22\" cannot be opened: "
                        "No such file or directory");
    tarn_clear_error(tm);

    /* Of a long path the end is shown. */
    char path[5000];
    memset(path, '\n', sizeof path);
    snprintf(path + 4000, 1000, "/the-end");
    assert_null(tarn_idx_load(tm, path));
    assert_non_null(strstr(tarn_error_message(tm), "/the-end\" cannot be opened"));
    assert_null(strchr(tarn_error_message(tm), '\n'));
    tarn_clear_error(tm);

    assert_null(tarn_idx_load(tm, put_file("%s%n", "", 0)));
    assert_non_null(strstr(tarn_error_message(tm), "%s%n\" has 0 bytes"));
    tarn_clear_error(tm);
}

static void test_lack_of_memory(void **state)
{
    (void)state;
    const char *path = put_file("small", small, sizeof small);
    (void)tarn_pool_inject_faults(tarn_manager_pool(tm), &(tarn_faults){ .nth = 1 });
    expect_no_load(path, TARN_ENOMEM);
    assert_int_equal(tarn_numel(tarn_idx_load(tm, path)), 6);
}

/* ---- a reading system that fails */

static void test_reading_slowly(void **state)
{
    (void)state;
    content c = { 0 };
    add_member(&c, small, sizeof small);
    const char *paths[] = { put_file("small", small, sizeof small),
                            put_file("small.gz", c.bytes, c.n) };
    for (int i = 0; i < 2; i++) {
        arm(CALL_READ, 0, 0);
        faults.slow = true;
        tarn_tensor *t = tarn_idx_load(tm, paths[i]);
        faults.armed = false;
        assert_int_equal(tarn_numel(t), 6);
        assert_memory_equal(tarn_data(t), small + 12, 6);
        assert_true(faults.count[CALL_READ] > (int)sizeof small);
    }
}

static void test_reading_errors(void **state)
{
    (void)state;
    content c = { 0 };
    add_member(&c, small, sizeof small);
    const char *paths[] = { put_file("small", small, sizeof small),
                            put_file("small.gz", c.bytes, c.n) };
    for (int i = 0; i < 2; i++) {
        int reads = 0;
        arm(CALL_READ, 0, 0);
        {
            TARN_SCOPE(tm);
            assert_non_null(tarn_idx_load(tm, paths[i]));
            reads = faults.count[CALL_READ];
        }
        for (int at = 1; at <= reads; at++) {
            arm(CALL_READ, at, EIO);
            expect_no_load(paths[i], TARN_EIO);
        }
    }
}

/* ---- a file appears whole or not at all */

static void test_saving_where_nothing_can_be(void **state)
{
    (void)state;
    tarn_tensor *t = random_bits(TARN_U8, TARN_SHAPE(5));
    expect_no_save(t, "missing/file", TARN_EIO);
    expect_no_save(t, directory, TARN_EIO);
    expect_no_save(t, "./", TARN_EIO);
    expect_no_save(t, ".", TARN_EIO);
    expect_no_save(t, "", TARN_EIO);
    expect_no_save(t, NULL, TARN_EARG);
    assert_int_equal(tarn_idx_save(NULL, "file"), TARN_EARG);

    char name[300];
    memset(name, 'x', sizeof name);
    name[299] = '\0';
    expect_no_save(t, name, TARN_EIO);

    const char *fifo = "fifo";
    struct stat info;
    assert_int_equal(mkfifo(fifo, 0600), 0);
    expect_no_save(t, fifo, TARN_EIO);
    assert_int_equal(stat(fifo, &info), 0);
    assert_true(S_ISFIFO(info.st_mode));
}

static void test_saving_what_idx_cannot_hold(void **state)
{
    (void)state;
    expect_no_save(tarn_zeros(tm, TARN_I64, TARN_SHAPE(2)), "file", TARN_EDTYPE);
    const int64_t beyond = INT64_C(1) << 32;
    expect_no_save(tarn_zeros(tm, TARN_U8, TARN_SHAPE(beyond, 0)), "file", TARN_ELIMIT);
    tarn_tensor *one = tarn_zeros(tm, TARN_U8, TARN_SHAPE(1));
    expect_no_save(tarn_expand(one, TARN_SHAPE(beyond)), "file", TARN_ELIMIT);
}

static void test_saving_with_an_error_held(void **state)
{
    (void)state;
    tarn_tensor *t = random_bits(TARN_U8, TARN_SHAPE(5));
    assert_null(tarn_zeros(tm, TARN_U8, TARN_SHAPE(-1)));
    expect_no_save(t, "file", TARN_ESHAPE);
}

/* Lets each call that saving makes fail in turn: the old file stays as it was, and nothing else. */
static void test_failing_saves(void **state)
{
    (void)state;
    static const int calls[] = { CALL_WRITE, CALL_FSYNC, CALL_CLOSE, CALL_RENAME };
    static const int errors[] = { ENOSPC, EIO, EIO, EACCES };
    static const char *const names[] = { "file", "file.gz" };
    tarn_tensor *t = random_bits(TARN_F32, TARN_SHAPE(40, 300)); /* several buffers */
    content before, after;
    for (int i = 0; i < 2; i++) {
        const char *path = put_file(names[i], small, sizeof small);
        get_file(path, &before);
        for (int k = 0; k < 4; k++) {
            /* The second fsync and the second close come after the file has its name. */
            arm(CALL_READ, 0, 0);
            assert_int_equal(tarn_idx_save(t, "counted"), TARN_OK);
            const int times = k == 0 ? faults.count[CALL_WRITE] : 1;
            faults.armed = false;
            unlink("counted");
            for (int at = 1; at <= times; at++) {
                arm(calls[k], at, errors[k]);
                expect_no_save(t, path, TARN_EIO);
                get_file(path, &after);
                assert_int_equal(after.n, before.n);
                assert_memory_equal(after.bytes, before.bytes, before.n);
            }
        }
    }
}

/* Data is on the disk before the name is, and the name before the call returns: write, sync, close,
 * move, sync, close. */
static void test_order_of_saving(void **state)
{
    (void)state;
    tarn_tensor *t = random_bits(TARN_U8, TARN_SHAPE(5));
    const char *path = "file";
    arm(CALL_READ, 0, 0);
    assert_int_equal(tarn_idx_save(t, path), TARN_OK);
    faults.armed = false;
    assert_string_equal(faults.log, "wscmsc");

    arm(CALL_FSYNC, 2, EIO);
    expect_no_save(t, path, TARN_EIO);
    arm(CALL_FSYNC, 2, EINVAL); /* a file system that cannot synchronise directories */
    assert_int_equal(tarn_idx_save(t, path), TARN_OK);
}

static void test_saving_slowly(void **state)
{
    (void)state;
    static const char *const names[] = { "file", "file.gz" };
    tarn_tensor *t = random_bits(TARN_I32, TARN_SHAPE(3, 4));
    for (int i = 0; i < 2; i++) {
        arm(CALL_READ, 0, 0);
        faults.slow = true;
        assert_int_equal(tarn_idx_save(t, names[i]), TARN_OK);
        faults.armed = false;
        expect_equal(tarn_idx_load(tm, names[i]), t);
    }
}

static void test_replacing(void **state)
{
    (void)state;
    struct stat info;
    char stale[64];
    const char *path = "file";
    snprintf(stale, sizeof stale, ".tarn-%ld-0.tmp", (long)getpid());
    put_file(stale, "left behind", 11);

    const mode_t mask = umask(027);
    tarn_tensor *t = random_bits(TARN_U8, TARN_SHAPE(5));
    assert_int_equal(tarn_idx_save(t, path), TARN_OK);
    umask(mask);
    expect_equal(tarn_idx_load(tm, path), t);
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(info.st_mode & 0777, 0640);
    assert_int_equal(tarn_idx_save(t, path), TARN_OK);
    assert_int_equal(entries(), 2); /* the stale file is another's and stays */
}

/* The file that is there keeps its permissions, whatever the mask: none is added, none taken. */
static void test_permissions(void **state)
{
    (void)state;
    static const mode_t masks[] = { 0, 022, 077 };
    static const char *const names[] = { "file", "file.gz" };
    static const mode_t modes[] = { 0600, 0640, 0644, 0666, 0755, 0444, 0400, 0 };
    struct stat info;
    tarn_tensor *t = random_bits(TARN_U8, TARN_SHAPE(5));
    for (size_t i = 0; i < 2 * 3 * sizeof modes / sizeof modes[0]; i++) {
        const char *path = put_file("old", "old", 3), *name = names[i % 2];
        const mode_t mode = modes[i / 6], before = umask(masks[i / 2 % 3]);
        assert_int_equal(chmod(path, mode), 0);
        assert_int_equal(rename(path, name), 0);
        assert_int_equal(tarn_idx_save(t, name), TARN_OK);
        umask(before);
        assert_int_equal(stat(name, &info), 0);
        assert_int_equal(info.st_mode & 07777, mode);
        assert_int_equal(chmod(name, 0600), 0);
        expect_equal(tarn_idx_load(tm, name), t);
    }
}

/* What a link leads to, over other links and in another directory, is replaced; the links stay. */
static void test_links(void **state)
{
    (void)state;
    struct stat info;
    const char *target = "inside/file", *second = "inside/second", *first = "first.gz";
    tarn_tensor *t = random_bits(TARN_U8, TARN_SHAPE(5));
    assert_int_equal(mkdir("inside", 0700), 0);
    put_file(target, "old", 3);
    assert_int_equal(chmod(target, 0600), 0);
    assert_int_equal(symlink("file", second), 0);
    assert_int_equal(symlink(second, first), 0);
    for (int i = 0; i < 2; i++) {
        const char *path = i == 0 ? second : first;
        content c;
        assert_int_equal(tarn_idx_save(t, path), TARN_OK);
        assert_int_equal(lstat(path, &info), 0);
        assert_true(S_ISLNK(info.st_mode));
        assert_int_equal(lstat(target, &info), 0);
        assert_true(S_ISREG(info.st_mode));
        assert_int_equal(info.st_mode & 0777, 0600);
        expect_equal(tarn_idx_load(tm, target), t);
        get_file(target, &c);
        assert_int_equal(c.bytes[0], i == 0 ? 0 : 0x1f); /* the name given says whether to pack */
    }
    assert_int_equal(entries(), 2);

    /* A fault leaves target and links as they were. */
    arm(CALL_RENAME, 1, EACCES);
    expect_no_save(tarn_zeros(tm, TARN_U8, TARN_SHAPE(2)), first, TARN_EIO);
    expect_equal(tarn_idx_load(tm, target), t);
    assert_int_equal(unlink(target), 0);
    expect_no_save(t, first, TARN_EIO); /* it leads to nothing now, over two steps */
    assert_int_equal(unlink(second), 0);
    assert_int_equal(rmdir("inside"), 0); /* nothing else was left there */
}

static void expect_unsaved_link(tarn_tensor *t, const char *link, const char *says)
{
    struct stat info;
    assert_int_equal(tarn_idx_save(t, link), TARN_EIO);
    assert_non_null(strstr(tarn_error_message(tm), says));
    tarn_clear_error(tm);
    expect_no_save(t, link, TARN_EIO);
    assert_int_equal(lstat(link, &info), 0);
    assert_true(S_ISLNK(info.st_mode));
}

static void test_links_to_no_file(void **state)
{
    (void)state;
    tarn_tensor *t = random_bits(TARN_U8, TARN_SHAPE(5));
    assert_int_equal(symlink("missing", "dangling"), 0);
    assert_int_equal(symlink("loop", "loop"), 0);
    assert_int_equal(symlink(".", "directory"), 0);
    assert_int_equal(symlink("/dev/null", "device"), 0);
    expect_unsaved_link(t, "dangling", "\"dangling\" cannot be written: it is a symbolic link to");
    expect_unsaved_link(t, "loop", "\"loop\" cannot be written: ");
    expect_unsaved_link(t, "directory", "\"directory\" cannot be written: it is a directory");
    expect_unsaved_link(t, "device", "cannot be written: ");
    assert_int_equal(entries(), 4);
    assert_int_equal(tarn_idx_save(t, "directory/file"), TARN_OK);
    expect_equal(tarn_idx_load(tm, "file"), t);
}

/* Files of others stay, even when they have taken every name that could be tried. */
static void test_every_temporary_name_taken(void **state)
{
    (void)state;
    enum { NAMES = 1000 };
    char name[64];
    tarn_tensor *t = random_bits(TARN_U8, TARN_SHAPE(5));
    for (int i = 0; i < NAMES; i++) {
        snprintf(name, sizeof name, ".tarn-%ld-%d.tmp", (long)getpid(), i);
        put_file(name, "another's", 9);
    }
    expect_no_save(t, "file", TARN_EIO);
    expect_no_save(t, "file.gz", TARN_EIO);
    assert_int_equal(entries(), NAMES);
    assert_int_equal(unlink(name), 0); /* the last of them */
    assert_int_equal(tarn_idx_save(t, "file"), TARN_OK);
    assert_int_equal(entries(), NAMES);
}

/* The other tests use names in the working directory. */
static void test_names_with_a_directory(void **state)
{
    (void)state;
    char path[256];
    tarn_tensor *t = random_bits(TARN_U8, TARN_SHAPE(5));
    assert_int_equal(mkdir("inside", 0700), 0);
    assert_int_equal(tarn_idx_save(t, "inside/file"), TARN_OK);
    expect_equal(tarn_idx_load(tm, "./inside/../inside/file"), t);
    snprintf(path, sizeof path, "%s/inside/file", directory);
    assert_int_equal(tarn_idx_save(tarn_zeros(tm, TARN_U8, TARN_SHAPE(2)), path), TARN_OK);
    assert_int_equal(tarn_numel(tarn_idx_load(tm, path)), 2);
    unlink(path);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_round_trips),
        TEST(test_long_round_trips),
        TEST(test_views),
        TEST(test_bytes_of_a_file),
        TEST(test_small_integers_are_widened),
        TEST(test_damage),
        TEST(test_huge_claims),
        TEST(test_not_idx),
        TEST(test_garbage_after_the_end),
        TEST(test_members),
        TEST(test_bombs),
        TEST(test_no_files),
        TEST(test_messages),
        TEST(test_lack_of_memory),
        TEST(test_reading_slowly),
        TEST(test_reading_errors),
        TEST(test_saving_where_nothing_can_be),
        TEST(test_saving_what_idx_cannot_hold),
        TEST(test_saving_with_an_error_held),
        TEST(test_failing_saves),
        TEST(test_order_of_saving),
        TEST(test_saving_slowly),
        TEST(test_replacing),
        TEST(test_permissions),
        TEST(test_links),
        TEST(test_links_to_no_file),
        TEST(test_every_temporary_name_taken),
        TEST(test_names_with_a_directory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
