/* SPDX-License-Identifier: MIT
 * test_trace.c - traces as files: each format is what it claims to be, says what happened, and
 * appears whole or not at all. */
#define _GNU_SOURCE

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <tarn/tarn.h>

#include "check.h"

static const tarn_trace_format formats[] = { TARN_TRACE_CHROME, TARN_TRACE_PICKLE, TARN_TRACE_CSV,
                                             TARN_TRACE_HTML };
enum { N_FORMATS = 4 };

/* ---- fixture: an empty directory, a pool that keeps events, and a network that was trained */

enum { ALL_EVENTS = 1 << 16, FEW_EVENTS = 50, STEPS = 6 };

/* What JSON, CSV and UTF-8 could trip over. */
static const char awkward[] = "a \"b\" \\ c,\n\xC3\xA9 \xFF";

typedef struct trained {
    check_fixture f;
    char directory[64];
    int here; /* the working directory before */
} trained;

static void train(tarn_manager *tm)
{
    static const float X[] = { 0, 0, 0, 1, 1, 0, 1, 1 }, Y[] = { 0, 1, 1, 0 };
    tarn_tensor *x = tarn_from_array(tm, TARN_F32, TARN_SHAPE(4, 2), X);
    tarn_tensor *y = tarn_from_array(tm, TARN_F32, TARN_SHAPE(4, 1), Y);
    tarn_module *net = tarn_module_create(tm);
    tarn_linear l1 = tarn_linear_create(net, "l1", 2, 8);
    tarn_linear l2 = tarn_linear_create(net, "l2", 8, 1);
    tarn_optimizer *opt = tarn_adam_create(net, &(tarn_adam_options){ .lr = 0.05 });
    for (int step = 0; step < STEPS; step++) {
        TARN_SCOPE(tm);
        tarn_phase all = tarn_phase_begin(tm, "step");
        tarn_phase forward = tarn_phase_begin(tm, awkward);
        tarn_tensor *hidden = tarn_relu(tarn_linear_forward(&l1, x));
        tarn_tensor *loss = tarn_bce_with_logits(tarn_linear_forward(&l2, hidden), y);
        tarn_phase_end(forward);
        tarn_backward(loss);
        check_status(tarn_optimizer_step(opt), TARN_OK);
        tarn_phase_end(all);
    }
    check_no_error(tm);
}

/* The network stays, so that blocks are in use at the end. */
static int set_up(void **state, size_t events)
{
    trained *t = calloc(1, sizeof *t);
    if (t == NULL) return -1;
    strcpy(t->directory, "/tmp/tarn-trace-XXXXXX");
    t->here = open(".", O_RDONLY | O_DIRECTORY);
    if (t->here < 0 || mkdtemp(t->directory) == NULL || chdir(t->directory) != 0) return -1;
    check_begin(&t->f, &(tarn_pool_options){ .trace_events = events });
    train(t->f.tm);
    *state = t;
    return 0;
}

static int set_up_all(void **state) { return set_up(state, ALL_EVENTS); }
static int set_up_few(void **state) { return set_up(state, FEW_EVENTS); }
static int set_up_none(void **state) { return set_up(state, 0); }

static int entries(void)
{
    DIR *stream = opendir(".");
    int n = 0;
    assert_non_null(stream);
    for (struct dirent *entry; (entry = readdir(stream)) != NULL;)
        n += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
    closedir(stream);
    return n;
}

static int tear_down(void **state)
{
    trained *t = *state;
    check_end(&t->f);
    unlink("trace");
    const int left = entries(), back = fchdir(t->here);
    rmdir(t->directory);
    close(t->here);
    free(t);
    return left == 0 ? back : -1;
}

/* ---- what was written */

typedef struct content {
    size_t n;
    char *bytes; /* owned; with a NUL behind it */
} content;

static content read_all(FILE *stream)
{
    content c = { 0 };
    assert_int_equal(fseek(stream, 0, SEEK_END), 0);
    c.n = (size_t)ftell(stream);
    rewind(stream);
    c.bytes = calloc(c.n + 1, 1);
    assert_non_null(c.bytes);
    assert_int_equal(fread(c.bytes, 1, c.n, stream), c.n);
    return c;
}

static content written(const tarn_pool *pool, tarn_trace_format format)
{
    FILE *stream = tmpfile();
    assert_non_null(stream);
    check_status(tarn_pool_write_trace(pool, stream, format), TARN_OK);
    const content c = read_all(stream);
    fclose(stream);
    return c;
}

static content saved(const char *path)
{
    FILE *stream = fopen(path, "rb");
    assert_non_null(stream);
    const content c = read_all(stream);
    fclose(stream);
    return c;
}

static size_t count(const content *c, const char *part)
{
    size_t n = 0;
    for (const char *at = c->bytes; (at = strstr(at, part)) != NULL; at += strlen(part)) n++;
    return n;
}

/* Shortest forms, no halves of surrogate pairs. */
static bool is_utf8(const content *c)
{
    for (size_t i = 0; i < c->n;) {
        const unsigned char *s = (const unsigned char *)c->bytes + i;
        static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
        const size_t n = s[0] < 0x80 ? 1 : s[0] >> 5 == 6 ? 2 : s[0] >> 4 == 14 ? 3 : 4;
        if (n == 4 && s[0] >> 3 != 30) return false;
        uint32_t code = n == 1 ? s[0] : s[0] & (0x7Fu >> n);
        for (size_t k = 1; k < n; k++) {
            if (s[k] >> 6 != 2) return false; /* the NUL at the end is none either */
            code = code << 6 | (s[k] & 0x3Fu);
        }
        if (code < least[n] || code > 0x10FFFF || (code >= 0xD800 && code < 0xE000)) return false;
        i += n;
    }
    return true;
}

/* ---- JSON: each function returns the first character behind what it read, or NULL */

static const char *skip_space(const char *s) { return s + strspn(s, " \t\r\n"); }

static const char *json_string(const char *s)
{
    if (*s++ != '"') return NULL;
    for (; *s != '"'; s++) {
        if ((unsigned char)*s < 0x20) return NULL;
        if (*s != '\\') continue;
        s++;
        if (*s == 'u') {
            if (strspn(s + 1, "0123456789abcdefABCDEF") < 4) return NULL;
            s += 4;
        } else if (*s == '\0' || strchr("\"\\/bfnrt", *s) == NULL) {
            return NULL;
        }
    }
    return s + 1;
}

static const char *json_number(const char *s)
{
    s += *s == '-';
    const size_t whole = strspn(s, "0123456789");
    if (whole == 0 || (*s == '0' && whole > 1)) return NULL;
    s += whole;
    if (*s == '.') {
        const size_t n = strspn(s + 1, "0123456789");
        if (n == 0) return NULL;
        s += 1 + n;
    }
    return s;
}

static const char *json_value(const char *s);

static const char *json_items(const char *s, bool is_object)
{
    const char end = is_object ? '}' : ']';
    s = skip_space(s + 1);
    if (*s == end) return s + 1;
    for (;;) {
        if (is_object) {
            s = json_string(s);
            if (s == NULL) return NULL;
            s = skip_space(s);
            if (*s++ != ':') return NULL;
        }
        s = json_value(s);
        if (s == NULL) return NULL;
        s = skip_space(s);
        if (*s == end) return s + 1;
        if (*s != ',') return NULL;
        s = skip_space(s + 1);
    }
}

static const char *json_value(const char *s)
{
    s = skip_space(s);
    if (*s == '{' || *s == '[') return json_items(s, *s == '{');
    if (*s == '"') return json_string(s);
    if (strncmp(s, "true", 4) == 0 || strncmp(s, "null", 4) == 0) return s + 4;
    if (strncmp(s, "false", 5) == 0) return s + 5;
    return json_number(s);
}

static bool is_json(const content *c)
{
    const char *end = json_value(c->bytes);
    return end != NULL && *skip_space(end) == '\0' && strlen(c->bytes) == c->n;
}

static void expect_chrome(const content *c)
{
    assert_true(is_json(c));
    assert_true(is_utf8(c));
    assert_int_equal(count(c, "\"traceEvents\":["), 1);
    assert_int_equal(count(c, "\"ph\":\"b\""), count(c, "\"ph\":\"e\""));
    assert_true(count(c, "\"ph\":\"b\"") > 0);
    assert_true(count(c, "\"name\":\"memory\"") > 0);
    assert_true(count(c, "\"name\":\"reserved\"") > 0);
    assert_true(count(c, "\"name\":\"in use by kind\"") > 0);
    assert_int_equal(count(c, "\"name\":\"process_name\""), 1);
}

static void test_chrome(void **state)
{
    const trained *t = *state;
    content c = written(t->f.pool, TARN_TRACE_CHROME);
    expect_chrome(&c);
    assert_int_equal(count(&c, "\"dropped\":0}"), 1);
    assert_int_equal(count(&c, "earlier events were dropped"), 0);
    assert_int_equal(count(&c, "\"name\":\"step\""), 2 * STEPS); /* as phases, and as steps */
    assert_int_equal(count(&c, "\"name\":\"a \\\"b\\\" \\\\ c,\\u000a\xC3\xA9 \xEF\xBF\xBD\""),
                     STEPS);
    assert_true(count(&c, "l1 affine") > 0);
    assert_true(count(&c, "optimizer\"") > 0);
    free(c.bytes);
}

static void test_chrome_of_the_last_events(void **state)
{
    const trained *t = *state;
    content c = written(t->f.pool, TARN_TRACE_CHROME);
    expect_chrome(&c);
    assert_int_equal(count(&c, "\"otherData\":{\"events\":50,\"dropped\":"), 1);
    assert_int_equal(count(&c, "earlier events were dropped"), 1);
    free(c.bytes);
}

/* ---- CSV */

enum { N_COLUMNS = 13, MAX_LIVE = 4096 };
enum { EVENT = 1, ID = 2, CAPACITY = 4, IN_USE = 6, OPERATION = 11 };

/* Splits the line at *at into its fields, quotes taken away, and moves to the next. */
static size_t split(char **at, char *fields[N_COLUMNS])
{
    size_t n = 0;
    for (char *from = *at, *to = from;; n++) {
        bool quoted = *from == '"';
        if (n < N_COLUMNS) fields[n] = to;
        for (from += quoted; *from != '\0'; from++) {
            if (quoted && *from == '"') {
                if (from[1] != '"') {
                    quoted = false;
                    continue;
                }
                from++;
            } else if (!quoted && (*from == ',' || *from == '\n')) {
                break;
            }
            *to++ = *from;
        }
        const char end = *from;
        *to++ = '\0';
        *at = ++from;
        if (end != ',') return n + 1;
    }
}

typedef struct replay {
    size_t lines, early, live, in_use, last_in_use, dropped;
    size_t phases, steps, failures;
    size_t capacity[MAX_LIVE]; /* by id; 0: not in use */
} replay;

static void replay_line(replay *r, char *fields[N_COLUMNS])
{
    const char *event = fields[EVENT];
    const size_t id = strtoul(fields[ID], NULL, 10);
    assert_true(id < MAX_LIVE);
    if (strcmp(event, "early") == 0 || strcmp(event, "acquire") == 0) {
        assert_true(id > 0 && r->capacity[id] == 0);
        r->capacity[id] = strtoul(fields[CAPACITY], NULL, 10);
        r->in_use += r->capacity[id];
        r->live++;
    } else if (strcmp(event, "release") == 0) {
        assert_true(id > 0 && r->capacity[id] > 0);
        r->in_use -= r->capacity[id];
        r->capacity[id] = 0;
        r->live--;
    }
    r->early += strcmp(event, "early") == 0;
    r->steps += strcmp(event, "step") == 0;
    r->failures += strcmp(event, "fail") == 0;
    r->phases += strcmp(event, "phase_begin") == 0;
    if (strcmp(event, "dropped") == 0) r->dropped = strtoul(fields[OPERATION], NULL, 10);
    if (fields[IN_USE][0] != '\0') assert_int_equal(strtoul(fields[IN_USE], NULL, 10), r->in_use);
}

/* Reads a trace and follows it. What remains is what the pool says. */
static replay *replayed(const trained *t)
{
    static replay r;
    static const char header[] =
        "ns,event,id,bytes,capacity,address,in_use,reserved,thread,hit,path,operation,kind\n";
    const tarn_pool_stats stats = tarn_pool_get_stats(t->f.pool);
    content c = written(t->f.pool, TARN_TRACE_CSV);
    r = (replay){ 0 };
    assert_true(is_utf8(&c));
    assert_int_equal(strncmp(c.bytes, header, sizeof header - 1), 0);
    for (char *at = c.bytes + sizeof header - 1; *at != '\0'; r.lines++) {
        char *fields[N_COLUMNS] = { 0 };
        assert_int_equal(split(&at, fields), N_COLUMNS);
        replay_line(&r, fields);
    }
    assert_int_equal(r.live, stats.live_blocks);
    assert_int_equal(r.in_use, stats.in_use);
    free(c.bytes);
    return &r;
}

static void test_csv(void **state)
{
    const trained *t = *state;
    const replay *r = replayed(t);
    assert_int_equal(r->early, 0);
    assert_int_equal(r->dropped, 0);
    assert_int_equal(r->steps, STEPS);
    assert_int_equal(r->phases, 2 * STEPS);
    assert_int_equal(r->failures, 0);
}

static void test_csv_of_the_last_events(void **state)
{
    const trained *t = *state;
    const replay *r = replayed(t);
    assert_true(r->early > 0);
    assert_true(r->dropped > 0);
    assert_int_equal(r->lines, r->early + 1 + FEW_EVENTS);
}

static void test_failures_are_events(void **state)
{
    const trained *t = *state;
    tarn_block block;
    check_fail_acquisition(t->f.pool, 1);
    check_status(tarn_pool_acquire(t->f.pool, 12345, TARN_UNINITIALIZED, &block), TARN_ENOMEM);
    assert_int_equal(replayed(t)->failures, 1);
    content c = written(t->f.pool, TARN_TRACE_CHROME);
    expect_chrome(&c);
    assert_int_equal(count(&c, "acquisition failed\",\"args\":{\"bytes\":12345,"), 1);
    free(c.bytes);
}

/* ---- pickles: a machine that only counts what lies on its stack */

typedef struct machine {
    const unsigned char *at, *end;
    size_t depth, marks[32], n_marks;
    bool known[1 << 16]; /* what has a number */
} machine;

static uint32_t argument(machine *m, size_t n)
{
    uint32_t value = 0;
    assert_true((size_t)(m->end - m->at) >= n);
    for (size_t i = 0; i < n; i++) value |= (uint32_t)*m->at++ << (8 * i);
    return value;
}

static void pass(machine *m, size_t n)
{
    assert_true((size_t)(m->end - m->at) >= n);
    m->at += n;
}

static void memo(machine *m, uint32_t number, bool put)
{
    assert_true(number < sizeof m->known);
    if (put) {
        assert_true(m->depth > 0);
        m->known[number] = true;
    } else {
        assert_true(m->known[number]);
        m->depth++;
    }
}

/* Does what one opcode says; false at the end. */
static bool run(machine *m)
{
    const int opcode = (int)argument(m, 1);
    switch (opcode) {
    case '}':
    case ']':
    case 0x88:
    case 0x89: m->depth++; break;
    case '(':
        assert_true(m->n_marks < 32);
        m->marks[m->n_marks++] = m->depth;
        break;
    case 'u':
        assert_true(m->n_marks > 0);
        assert_true(m->marks[m->n_marks - 1] > 0 && m->depth >= m->marks[m->n_marks - 1]);
        assert_int_equal((m->depth - m->marks[m->n_marks - 1]) % 2, 0);
        m->depth = m->marks[--m->n_marks];
        break;
    case 'a':
    case 0x86:
        assert_true(m->depth >= 2);
        m->depth--;
        break;
    case 'X':
        pass(m, argument(m, 4));
        m->depth++;
        break;
    case 'K':
        pass(m, 1);
        m->depth++;
        break;
    case 'M':
        pass(m, 2);
        m->depth++;
        break;
    case 'J':
        pass(m, 4);
        m->depth++;
        break;
    case 0x8a:
        pass(m, argument(m, 1));
        m->depth++;
        break;
    case 'q': memo(m, argument(m, 1), true); break;
    case 'r': memo(m, argument(m, 4), true); break;
    case 'h': memo(m, argument(m, 1), false); break;
    case 'j': memo(m, argument(m, 4), false); break;
    case '.': return false;
    default: fail_msg("opcode %d", opcode);
    }
    return true;
}

static bool holds(const content *c, const char *part)
{
    return memmem(c->bytes, c->n, part, strlen(part)) != NULL;
}

static void test_pickle(void **state)
{
    static const char *const parts[] = { "segments",      "device_traces", "active_allocated",
                                         "segment_alloc", "alloc",         "free_completed",
                                         "snapshot",      "parameter",     "frames" };
    static machine m;
    const trained *t = *state;
    content c = written(t->f.pool, TARN_TRACE_PICKLE);
    const unsigned char *bytes = (const unsigned char *)c.bytes;
    assert_true(c.n > 2 && bytes[0] == 0x80 && bytes[1] == 2);
    m = (machine){ .at = bytes + 2, .end = bytes + c.n };
    while (run(&m)) assert_true(m.at < m.end);
    assert_true(m.at == m.end);
    assert_int_equal(m.depth, 1);
    assert_int_equal(m.n_marks, 0);
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) assert_true(holds(&c, parts[i]));
    free(c.bytes);
}

/* ---- HTML */

static void test_html(void **state)
{
    const trained *t = *state;
    check_status(tarn_pool_save_trace(t->f.pool, "trace", TARN_TRACE_HTML, "<b>\"x\" & y</b>"),
                 TARN_OK);
    content c = saved("trace");
    assert_true(is_utf8(&c));
    assert_int_equal(count(&c, "<title>&lt;b&gt;&quot;x&quot; &amp; y&lt;/b&gt;</title>"), 1);
    assert_int_equal(count(&c, "<b>\"x\""), 0);
    assert_int_equal(count(&c, "://"), 0);
    const char *data = strstr(c.bytes, "id=\"data\">"), *end = strstr(c.bytes, "</script>");
    assert_true(data != NULL && end != NULL && data < end);
    data = json_value(strchr(data, '>') + 1);
    assert_non_null(data);
    assert_ptr_equal(skip_space(data), end);
    assert_true(count(&c, "\"affine\"") > 0);
    free(c.bytes);
}

/* ---- without events */

static void test_present_state(void **state)
{
    const trained *t = *state;
    const tarn_pool_stats stats = tarn_pool_get_stats(t->f.pool);
    const replay *r = replayed(t);
    assert_true(r->early > 0);
    assert_int_equal(r->early, stats.live_blocks);
    assert_int_equal(r->lines, r->early);

    content c = written(t->f.pool, TARN_TRACE_CHROME);
    expect_chrome(&c);
    assert_int_equal(count(&c, "\"ph\":\"b\""), stats.live_blocks);
    free(c.bytes);
    c = written(t->f.pool, TARN_TRACE_HTML);
    assert_true(c.n > 0);
    free(c.bytes);
}

static void test_clearing(void **state)
{
    const trained *t = *state;
    tarn_block block;
    tarn_pool_clear_trace(NULL);
    tarn_pool_clear_trace(t->f.pool);
    test_present_state(state);
    check_status(tarn_pool_acquire(t->f.pool, 100, TARN_UNINITIALIZED, &block), TARN_OK);
    check_status(tarn_pool_release(t->f.pool, block), TARN_OK);
    const replay *r = replayed(t);
    assert_true(r->lines >= r->early + 2);
}

/* Writing is no event, and takes nothing for good. */
static void test_writing_changes_nothing(void **state)
{
    const trained *t = *state;
    const tarn_pool_stats before = tarn_pool_get_stats(t->f.pool);
    const size_t lines = replayed(t)->lines;
    for (int i = 0; i < N_FORMATS; i++) free(written(t->f.pool, formats[i]).bytes);
    const tarn_pool_stats after = tarn_pool_get_stats(t->f.pool);
    assert_int_equal(replayed(t)->lines, lines);
    assert_int_equal(after.live_blocks, before.live_blocks);
    assert_int_equal(after.in_use, before.in_use);
    assert_int_equal(after.reserved, before.reserved);
    assert_int_equal(after.allocations, before.allocations);
    check_pool(&t->f);
}

/* ---- failures */

static void test_wrong_arguments(void **state)
{
    const trained *t = *state;
    static const int unknown[] = { -1, N_FORMATS, 1000 };
    FILE *stream = tmpfile();
    assert_non_null(stream);
    check_status(tarn_pool_write_trace(NULL, stream, TARN_TRACE_CSV), TARN_EARG);
    check_status(tarn_pool_write_trace(t->f.pool, NULL, TARN_TRACE_CSV), TARN_EARG);
    check_status(tarn_pool_save_trace(NULL, "trace", TARN_TRACE_CSV, NULL), TARN_EARG);
    check_status(tarn_pool_save_trace(t->f.pool, NULL, TARN_TRACE_CSV, NULL), TARN_EARG);
    for (int i = 0; i < 3; i++) {
        const tarn_trace_format format = (tarn_trace_format)unknown[i];
        check_status(tarn_pool_write_trace(t->f.pool, stream, format), TARN_EARG);
        check_status(tarn_pool_save_trace(t->f.pool, "trace", format, NULL), TARN_EARG);
    }
    assert_int_equal(ftell(stream), 0);
    fclose(stream);
    assert_int_equal(entries(), 0);
}

static void test_full_device(void **state)
{
    const trained *t = *state;
    struct stat info;
    for (int i = 0; i < N_FORMATS; i++) {
        FILE *stream = fopen("/dev/full", "wb");
        if (stream == NULL) skip();
        check_status(tarn_pool_write_trace(t->f.pool, stream, formats[i]), TARN_EIO);
        fclose(stream);
        check_status(tarn_pool_save_trace(t->f.pool, "/dev/full", formats[i], NULL), TARN_EIO);
        assert_int_equal(stat("/dev/full", &info), 0);
        assert_true(S_ISCHR(info.st_mode));
    }
}

static void test_places_that_cannot_be(void **state)
{
    const trained *t = *state;
    assert_int_equal(symlink("nothing", "trace"), 0);
    for (int i = 0; i < N_FORMATS; i++) {
        check_status(tarn_pool_save_trace(t->f.pool, "", formats[i], NULL), TARN_EIO);
        check_status(tarn_pool_save_trace(t->f.pool, ".", formats[i], NULL), TARN_EIO);
        check_status(tarn_pool_save_trace(t->f.pool, "no/such", formats[i], NULL), TARN_EIO);
        check_status(tarn_pool_save_trace(t->f.pool, "trace", formats[i], NULL), TARN_EIO);
    }
    assert_int_equal(entries(), 1);
}

/* A disk that is full after a few bytes leaves what was there, and nothing else. */
static void test_full_disk(void **state)
{
    const trained *t = *state;
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    const struct rlimit few = { 100, limit.rlim_max };
    void (*before)(int) = signal(SIGXFSZ, SIG_IGN);
    check_status(tarn_pool_save_trace(t->f.pool, "trace", TARN_TRACE_CSV, NULL), TARN_OK);
    const content was = saved("trace");
    tarn_status status[N_FORMATS];
    for (int i = 0; i < N_FORMATS; i++) {
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &few), 0);
        status[i] = tarn_pool_save_trace(t->f.pool, "trace", formats[i], NULL);
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    }
    signal(SIGXFSZ, before);
    for (int i = 0; i < N_FORMATS; i++) check_status(status[i], TARN_EIO);
    const content is = saved("trace");
    assert_int_equal(is.n, was.n);
    assert_memory_equal(is.bytes, was.bytes, is.n);
    assert_int_equal(entries(), 1);
    free(was.bytes);
    free(is.bytes);
}

static void test_lack_of_memory(void **state)
{
    trained *t = *state;
    tarn_status status = TARN_ENOMEM;
    for (uint64_t n = 1; status != TARN_OK; n++) {
        assert_true(n < 100);
        check_system_fail(&t->f.system, n, true);
        status = tarn_pool_save_trace(t->f.pool, "trace", TARN_TRACE_CSV, NULL);
        check_system_fail(&t->f.system, 0, false);
        if (status != TARN_OK) check_status(status, TARN_ENOMEM);
        assert_int_equal(entries(), status == TARN_OK);
        check_pool(&t->f);
    }
}

static void test_saving(void **state)
{
    const trained *t = *state;
    struct stat info;
    for (int i = 0; i < N_FORMATS; i++) {
        check_status(tarn_pool_save_trace(t->f.pool, "trace", formats[i], NULL), TARN_OK);
        const content c = saved("trace");
        assert_true(c.n > 100);
        assert_int_equal(entries(), 1);
        if (formats[i] == TARN_TRACE_CHROME) expect_chrome(&c);
        free(c.bytes);
        if (i == 0) assert_int_equal(chmod("trace", 0600), 0);
    }
    assert_int_equal(stat("trace", &info), 0);
    assert_int_equal(info.st_mode & 0777, 0600); /* kept from the file that was there */
}

#define ALL(name) cmocka_unit_test_setup_teardown(name, set_up_all, tear_down)
#define FEW(name) cmocka_unit_test_setup_teardown(name, set_up_few, tear_down)
#define NONE(name) cmocka_unit_test_setup_teardown(name, set_up_none, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ALL(test_chrome),
        FEW(test_chrome_of_the_last_events),
        ALL(test_csv),
        FEW(test_csv_of_the_last_events),
        ALL(test_failures_are_events),
        ALL(test_pickle),
        ALL(test_html),
        NONE(test_present_state),
        ALL(test_clearing),
        ALL(test_writing_changes_nothing),
        ALL(test_wrong_arguments),
        ALL(test_full_device),
        ALL(test_places_that_cannot_be),
        ALL(test_full_disk),
        ALL(test_lack_of_memory),
        ALL(test_saving),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
