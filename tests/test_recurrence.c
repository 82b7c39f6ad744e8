/* SPDX-License-Identifier: MIT
 * test_recurrence.c - recurrent cells and layers, states that outlive their operations. What is
 * expected of the layers was computed by PyTorch, in double. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <tarn/tarn.h>

#include "check.h"

#define MANAGER(state) (((check_fixture *)*(state))->tm)
#define REFUSES(call, code, text)        \
    do {                                 \
        assert_null(call);               \
        check_error(tm, (code), (text)); \
    } while (0)

/* scale sin(0.7 i + phase), for element i. */
static tarn_tensor *wave(tarn_manager *tm, tarn_shape shape, double phase, double scale)
{
    tarn_tensor *t = tarn_empty(tm, TARN_F64, shape);
    double *data = tarn_data_mut(t);
    for (int64_t i = 0; i < tarn_numel(t); i++) data[i] = scale * sin(0.7 * (double)i + phase);
    return t;
}

/* Every parameter gets a wave, in the order of creation. */
static void set_parameters(tarn_module *root)
{
    for (int i = 0; i < tarn_module_parameter_count(root); i++) {
        tarn_tensor *p = tarn_module_parameter(root, i);
        tarn_tensor *w = wave(tarn_manager_of(p), tarn_get_shape(p), i, 0.5);
        const size_t bytes = (size_t)tarn_numel(p) * sizeof(double);
        check_status(tarn_copy_from(p, tarn_data(w), bytes), TARN_OK);
    }
}

/* The sum of the products of t with a wave. */
static tarn_tensor *project(tarn_tensor *t, double phase)
{
    tarn_tensor *w = wave(tarn_manager_of(t), tarn_get_shape(t), phase, 1);
    tarn_tensor *product = tarn_mul(t, w);
    return tarn_sum(product, TARN_ALL_AXES);
}

/* ---- layers against PyTorch: B = 2, T = 4, 2 inputs */

typedef struct layer_case {
    tarn_rnn_options options;
    int hidden;
    double y[32], cn[16], dx[16], dh[16], dc[16];
    double dw[36];      /* of the first weight_hh */
    double dw_last[32]; /* of the last weight_ih, if there are several layers */
} layer_case;

/* clang-format off */
static const layer_case layer_cases[] = {
    { { .kind = TARN_RNN_TANH },
      3,
      .y = { 0.874715122652, 0.666516666164, -0.820361155742, 0.744296759885, 0.473660025469, -0.813232077882, 0.449195143686, -0.46726450878, -0.792680363359, 0.0940948077602, -0.107752059111, -0.726142686413, -0.270450953434, 0.801185934961, -0.256889706259, 0.733130697544, 0.535071198705, -0.55422699066, 0.610957506451, -0.184240849858, -0.761590459695, 0.150550442706, -0.439090601412, -0.747997711641 },
      .cn = { 0 },
      .dx = { -0.211709901775, -0.0957356298099, -0.199510202002, -0.303778573398, 0.440270396515, 0.429186287702, -0.59964230176, -0.663753089536, -0.107659118589, -0.412608354678, 0.57513915703, 0.418496785406, -0.497785468175, -0.310072547913, 0.30150798045, 0.0578431216355 },
      .dh = { 0.116302949002, 0.151030158824, 0.11472552504, -0.421342859314, -0.407903601259, -0.202620905863 },
      .dc = { 0 },
      .dw = { 0.115040780805, 1.63608749145, 1.33376381525, -0.970076677487, 0.895272387408, 0.693033943159, -0.47100606086, 0.419647755811, -0.190754957995 },
      .dw_last = { 0 } },
    { { .kind = TARN_RNN_RELU },
      3,
      .y = { 1.35281091461, 0.804449003897, 0, 1.50664966731, 0.0815569342907, 0, 0.884677182186, 0, 0, 0.776994827144, 0, 0, 0, 1.10191526914, 0, 1.28512226775, 0.385286126477, 0, 1.05560183046, 0, 0, 0.687346985732, 0, 0 },
      .cn = { 0 },
      .dx = { -0.404801172336, -0.41100673861, -0.120795575501, -0.344045388139, 0, 0.142557894859, 0, -0.268790118791, -0.174766591902, -0.153087625392, 0.499204208796, 0.70031993942, 0, 0.00982463345535, 0, -0.0591435030602 },
      .dh = { -0.0907746859639, 0.164489904938, 0.342392323321, -0.00737420737086, 0.108511185375, 0.173362072105 },
      .dc = { 0 },
      .dw = { -1.38587048119, 0.277855729452, 0.0447595052462, -0.788453684851, 0.921405248786, 0.460192354677, 0, 0, 0 },
      .dw_last = { 0 } },
    { { .kind = TARN_GRU },
      3,
      .y = { 0.851807951499, 0.144693443171, -0.259090306827, 0.714367606592, 0.365383952191, -0.0282704638928, 0.469303365896, 0.61036094313, 0.619734326379, 0.416183136571, 0.565695211427, 0.744117808553, -0.121110723669, -0.116266776337, -0.34385999366, 0.445850803207, 0.181258049682, -0.233389625638, 0.325229704908, 0.503661841158, 0.345790285347, 0.204723288093, 0.645638101145, 0.73941400948 },
      .cn = { 0 },
      .dx = { 0.266137496165, 0.320434107148, -0.215712004206, -0.078728093542, -0.0757711451304, -0.140517648554, 0.108169603483, 0.273498587116, -0.414315023323, -0.162732252418, 0.0878483154996, -0.175446857399, 0.203098464264, 0.226693082654, -0.179348381001, -0.203077494793 },
      .dh = { -0.0405770316723, -0.0579265098166, -0.24124811806, -0.102577738405, -0.155906367313, 0.240941284507 },
      .dc = { 0 },
      .dw = { -0.164661233676, -0.161925877303, -0.112596649931, -0.0596105926755, -0.016832644361, 0.00793770739615, -0.018552013752, -0.0232841417248, -0.0248571880231, -0.0533890369221, -0.0511704531384, -0.0190353715633, -0.123187856677, -0.121703427937, -0.0442970980041, 0.0619241762043, 0.0760515110018, 0.0506299185354, -0.115126742684, 0.0577962886944, 0.0132638984369, -0.440126829673, -0.216076825553, -0.0425880485876, -0.124471578291, -0.108902435909, -0.0474729205984 },
      .dw_last = { 0 } },
    { { .kind = TARN_LSTM },
      3,
      .y = { 0.387118166875, -0.095470929084, -0.103531228615, 0.320810706343, 0.187538562106, -0.0352887434913, 0.214721256129, 0.111036515856, 0.0828959754168, 0.146010475093, 0.121927933296, 0.105487889606, -0.0835633230401, 0.502526410263, 0.302358113194, 0.385792932158, 0.100517942586, 0.195759420727, 0.329138857586, 0.127300721181, 0.144753711964, 0.203739506418, 0.088167927448, 0.121695092562 },
      .cn = { 0.234678443607, 0.397008100945, 0.347097535578, 0.346159426648, 0.350368680532, 0.393836879605 },
      .dx = { 0.042361074219, 0.135657014838, -0.123466734899, -0.0921955166496, 0.0111208781642, 0.00686755727682, -0.225022171915, -0.108567603181, -0.0519559589393, -0.0167458688082, 0.0083383681089, -0.0784713403837, 0.0772009291112, 0.0475056841717, 0.245234883584, 0.0486767210524 },
      .dh = { -0.0558407610398, 0.0470244181523, 0.127773278711, -0.0356141821522, 0.0119518147964, 0.053896686494 },
      .dc = { -0.0428262554211, -0.148293418729, -0.0636500415778, -0.0121760451976, -0.0177491472524, 0.0723236737104 },
      .dw = { -0.0544990870431, 0.0549135879727, 0.0597086949182, 0.0369348152535, 0.0268382835732, 0.0354246028305, 0.04809854052, 0.0167066155369, -0.00659633133527, 0.0554084202955, 0.0129782760265, 0.0191471139595, 0.12374697027, 0.113694861053, 0.015544311273, -0.00444468632082, 0.00861245079323, -0.00958113913166, 0.0814193225742, 0.194403363899, 0.231858779531, -0.354171104487, 0.114768716797, 0.265107990858, -0.0175569907919, -0.00312026014291, -0.000683368528426, -0.076895066244, 0.0285611768161, 0.0188452006581, 0.0463893339902, 0.0996266127419, 0.0465295073311, 0.044421429178, 0.0740049799405, -0.00952125433196 },
      .dw_last = { 0 } },
    { { .kind = TARN_LSTM, .layers = 2, .bidirectional = true },
      2,
      .y = { 0.106123451877, -0.272515159724, -0.319277265155, -0.368697728005, 0.16263946042, 0.00728763377504, -0.305274548611, -0.328962852626, 0.162216081976, 0.109851952891, -0.276766425528, -0.254998254442, 0.149863708383, 0.170102350088, -0.201094356934, -0.0937662843579, -0.0876101915473, -0.0868627631353, -0.309523001351, -0.352096496946, 0.0536971631332, 0.0900045506961, -0.266543555432, -0.31389590061, 0.113814080861, 0.158755643045, -0.175234124787, -0.221294233874, 0.138291870408, 0.189349795162, 0.0510420277354, -0.0232080055083 },
      .cn = { -0.485573190489, -0.323863112713, -0.530536679431, -0.340748609486, 0.345991209997, -0.543416716511, 0.242443109627, -0.747752687961, 0.227456088653, 0.327981139497, 0.206482261848, 0.370757577294, -0.867686483214, -0.613628026095, -0.722859234407, -0.619783946844 },
      .dx = { -0.0153635022803, -0.0740583547724, -0.00187897206354, -0.115728421227, 0.0124484125515, -0.107375349166, 0.134066271616, -0.0370350728586, 0.146925525765, 0.251585426676, 0.0436002463473, 0.16762011123, 0.094497019082, 0.215759643954, -0.0593892094984, 0.131619049919 },
      .dh = { -0.0239763197381, -0.0346933436028, 0.0490427965259, 0.052040545128, -0.0520043732246, -0.043761128507, 0.121066458753, 0.0497909133703, 0.0155085363429, 0.0630500810352, 0.048669303306, -0.0572897621227, -0.0933356020724, -0.0377287781249, 0.0552428872856, 0.0289107164321 },
      .dc = { -0.0265361631352, -0.0105492457633, 0.0637183471391, 0.0391691727508, 0.121177900377, 0.0239879457836, -0.149186428432, -0.173055183599, -0.0189591439715, -0.207804943948, 0.118260875233, 0.176277166683, 0.104846888337, 0.262173650704, -0.141106925362, -0.105883073679 },
      .dw = { 0.0535453067651, 0.0395857757162, 0.107767722785, 0.0304402718784, 0.0755326051867, 0.0459525938446, 0.0413167366428, 0.0184633437812, -0.116680300592, -0.0664302261764, -0.240572311007, -0.138624922663, -0.0144468231421, 0.0127996183829, -0.0139123276834, -0.00662662048288 },
      .dw_last = { 0.114743963807, -0.0201159272137, -0.038825904224, 0.042288357147, 0.00749544085016, -0.0297991454728, -0.0162841187517, -0.0266392125125, 0.145568809029, -0.0149471112592, -0.0585626977288, 0.0513182148625, -0.00100099668185, -0.0253612842217, -0.0151624571443, -0.00960786590366, -0.288084831691, 0.0450164535004, 0.0957011189665, -0.0959798216371, -0.0121658134617, 0.0549331843736, 0.013204119953, 0.00720281684849, 0.0808929251072, 0.0270878184593, -0.0228315429833, 0.019211247524, 0.0277655855091, -0.017620883042, -0.00962937530253, 0.00106610803324 } },
    { { .kind = TARN_GRU, .layers = 2, .bidirectional = true, .no_bias = true },
      2,
      .y = { 0.411032826887, 0.43797774524, -0.412379885283, -0.11484929886, 0.166780597875, 0.155254923851, -0.331248373746, -0.411196215403, 0.190065326101, -0.0932751268792, -0.348625151211, -0.671433544534, 0.259778484889, -0.242592641186, -0.513219658085, -0.845102172215, 0.0684203911291, -0.0809626439164, 0.0133992280245, -0.1114115133, -0.122117598643, 0.0446232639696, -0.0786181128171, -0.101927422257, -0.0501695200482, 0.0523602086802, -0.136219842426, -0.201525644594, -0.00725035335386, 0.0330326286359, -0.334202077104, -0.161441850879 },
      .cn = { 0 },
      .dx = { 0.329929521892, 0.18071247051, 0.316618957159, 0.0876564417078, 0.112323071752, 0.000759780758694, 0.122023327241, -0.0234397436443, -0.0772736555209, -0.0495742298882, 0.127786066805, 0.175573309435, 0.0660511749996, 0.0600348264262, -0.0267855030701, 0.0185475818296 },
      .dh = { -0.0393379967181, -0.0372035129367, -0.149554653284, -0.0967976394843, 0.165994487536, 0.00472852606312, 0.0936191163243, 0.0303838825517, -0.0978635579883, -0.259838095753, 0.315552311701, 0.23101286026, 0.18612205664, 0.562728279029, -0.277473052825, -0.208916411759 },
      .dc = { 0 },
      .dw = { -0.0135386479514, -0.0277030748435, -0.00740020483797, -0.019994681155, -0.0134828801208, -0.0091015682995, -0.0582584972754, -0.0803528145808, -0.113672082906, -0.167245541838, -0.110186221456, -0.0649213623783 },
      .dw_last = { -0.00105200572486, -0.00613881261164, 0.00933699853124, -0.00286659787797, -0.013367327867, -0.02554593276, 0.0349979922913, -0.00631620662196, 0.0162897948188, -0.0168824478686, 0.00925476419642, 0.00223840806214, -0.0454879676163, -0.100871583231, 0.0958653290162, -0.0332012822868, -0.126196293186, 0.0693347524263, -0.0446698191501, 0.0605029993192, 0.105118333006, 0.284501078736, -0.266314419979, 0.0606549325377 } },
};
/* clang-format on */

static void expect(tarn_tensor *t, const double *expected)
{
    check_close(t, expected, (size_t)tarn_numel(t), 1e-10);
}

static void check_layer(tarn_manager *tm, const layer_case *e)
{
    tarn_rnn_options o = e->options;
    o.dtype = TARN_F64;
    tarn_module *root = tarn_module_create(tm);
    tarn_rnn rnn = tarn_rnn_create_with(root, "rnn", 2, e->hidden, &o);
    set_parameters(root);
    const tarn_shape states = TARN_SHAPE(rnn.layers * rnn.directions, 2, e->hidden);
    tarn_tensor *x = tarn_require_grad(wave(tm, TARN_SHAPE(2, 4, 2), 1, 1));
    tarn_rnn_state first = { .h = tarn_require_grad(wave(tm, states, 2, 1)) };
    if (o.kind == TARN_LSTM) first.c = tarn_require_grad(wave(tm, states, 4, 1));
    tarn_rnn_output out = tarn_rnn_forward(&rnn, x, first);
    expect(out.y, e->y);
    tarn_tensor *y_part = project(out.y, 3), *h_part = project(out.state.h, 5);
    tarn_tensor *loss = tarn_add(y_part, h_part);
    if (o.kind == TARN_LSTM) {
        expect(out.state.c, e->cn);
        tarn_tensor *c_part = project(out.state.c, 6);
        loss = tarn_add(loss, c_part);
    }
    check_status(tarn_backward(loss), TARN_OK);
    expect(tarn_grad_of(x), e->dx);
    expect(tarn_grad_of(first.h), e->dh);
    if (o.kind == TARN_LSTM) expect(tarn_grad_of(first.c), e->dc);
    expect(tarn_grad_of(rnn.weights[0].weight_hh), e->dw);
    if (rnn.layers > 1)
        expect(tarn_grad_of(tarn_module_find(root, "rnn.weight_ih_l1_reverse")), e->dw_last);
    check_status(tarn_module_destroy(root), TARN_OK);
}

static void layers_are_those_of_pytorch(void **state)
{
    for (size_t i = 0; i < sizeof(layer_cases) / sizeof(layer_cases[0]); i++) {
        TARN_SCOPE(MANAGER(state));
        check_layer(MANAGER(state), &layer_cases[i]);
    }
}

/* The state is what each direction ended with. */
static void states_are_the_last_outputs(void **state)
{
    tarn_manager *tm = MANAGER(state);
    tarn_module *root = tarn_module_create(tm);
    const tarn_rnn_options o = { .kind = TARN_GRU, .dtype = TARN_F64, .bidirectional = true };
    tarn_rnn rnn = tarn_rnn_create_with(root, "rnn", 2, 3, &o);
    tarn_rnn_output out =
        tarn_rnn_forward(&rnn, wave(tm, TARN_SHAPE(1, 4, 2), 0, 1), (tarn_rnn_state){ 0 });
    const double *y = tarn_data(out.y), *h = tarn_data(out.state.h);
    assert_memory_equal(h, y + 3 * 6, 3 * sizeof(double));
    assert_memory_equal(h + 3, y + 3, 3 * sizeof(double));
    assert_null(out.state.c);
}

/* ---- cells */

/* A cell, step by step, computes what the layer does, and so do its gradients. */
static void check_cell(tarn_manager *tm, tarn_rnn_kind kind, bool no_bias, bool with_state)
{
    enum { B = 3, T = 5, I = 2, H = 4 };
    tarn_module *roots[2];
    const tarn_rnn_options o = { .kind = kind, .dtype = TARN_F64, .no_bias = no_bias };
    for (int i = 0; i < 2; i++) roots[i] = tarn_module_create(tm);
    tarn_rnn_cell cell = tarn_rnn_cell_create_with(roots[0], "cell", I, H, &o);
    tarn_rnn rnn = tarn_rnn_create_with(roots[1], "rnn", I, H, &o);
    set_parameters(roots[0]);
    set_parameters(roots[1]);
    tarn_tensor *x = wave(tm, TARN_SHAPE(B, T, I), 1, 1);
    tarn_rnn_state s = { 0 }, first = { 0 };
    if (with_state) s.h = wave(tm, TARN_SHAPE(B, H), 2, 1);
    if (with_state && kind == TARN_LSTM) s.c = wave(tm, TARN_SHAPE(B, H), 3, 1);
    if (s.h != NULL) first.h = tarn_unsqueeze(s.h, 0);
    if (s.c != NULL) first.c = tarn_unsqueeze(s.c, 0);

    tarn_tensor *outputs[T];
    for (int t = 0; t < T; t++) {
        s = tarn_rnn_cell_forward(&cell, tarn_select(x, 1, t), s);
        outputs[t] = s.h;
        assert_true((s.c != NULL) == (kind == TARN_LSTM));
    }
    tarn_tensor *y = tarn_stack(outputs, T, 1);
    tarn_rnn_output out = tarn_rnn_forward(&rnn, x, first);
    check_close(out.y, tarn_data(y), B * T * H, 1e-14);
    check_close(out.state.h, tarn_data(s.h), B * H, 1e-14);
    if (kind == TARN_LSTM) check_close(out.state.c, tarn_data(s.c), B * H, 1e-14);
    check_status(tarn_backward(project(y, 4)), TARN_OK);
    check_status(tarn_backward(project(out.y, 4)), TARN_OK);
    for (int i = 0; i < tarn_module_parameter_count(roots[0]); i++) {
        tarn_tensor *g = tarn_grad_of(tarn_module_parameter(roots[0], i));
        check_close(tarn_grad_of(tarn_module_parameter(roots[1], i)), tarn_data(g),
                    (size_t)tarn_numel(g), 1e-13);
    }
    for (int i = 0; i < 2; i++) check_status(tarn_module_destroy(roots[i]), TARN_OK);
}

static void cells_are_steps_of_layers(void **state)
{
    for (int kind = TARN_RNN_TANH; kind <= TARN_LSTM; kind++)
        for (int i = 0; i < 4; i++) {
            TARN_SCOPE(MANAGER(state));
            check_cell(MANAGER(state), (tarn_rnn_kind)kind, i % 2 != 0, i / 2 != 0);
        }
}

/* ---- parameters */

static void parameters_have_names_and_bounds(void **state)
{
    tarn_manager *tm = MANAGER(state);
    tarn_module *root = tarn_module_create(tm);
    const tarn_rnn_options o = { .layers = 2, .bidirectional = true, .kind = TARN_LSTM };
    tarn_rnn rnn = tarn_rnn_create_with(root, "r", 5, 16, &o);
    tarn_rnn_cell cell = tarn_gru_cell_create(root, "c", 5, 16);
    assert_int_equal(tarn_module_parameter_count(root), 16 + 4);
    assert_ptr_equal(tarn_module_find(root, "r.weight_ih_l0"), rnn.weights[0].weight_ih);
    assert_ptr_equal(tarn_module_find(root, "r.weight_hh_l0_reverse"), rnn.weights[1].weight_hh);
    assert_ptr_equal(tarn_module_find(root, "r.bias_ih_l1"), rnn.weights[2].bias_ih);
    assert_ptr_equal(tarn_module_find(root, "r.bias_hh_l1_reverse"), rnn.weights[3].bias_hh);
    assert_ptr_equal(tarn_module_find(root, "c.weight_ih"), cell.weights.weight_ih);
    assert_int_equal(tarn_dim(rnn.weights[0].weight_ih, 1), 5);
    assert_int_equal(tarn_dim(rnn.weights[2].weight_ih, 1), 32);
    assert_int_equal(tarn_dim(cell.weights.weight_ih, 0), 48);
    double largest = tarn_item(tarn_max(tarn_abs(rnn.weights[2].weight_ih), TARN_ALL_AXES));
    assert_true(largest <= 0.25 && largest > 0.24);
}

static void refused_layers(void **state)
{
    check_fixture *f = *state;
    tarn_manager *tm = f->tm;
    tarn_module *root = tarn_module_create(tm);
    const size_t blocks = tarn_pool_get_stats(f->pool).live_blocks;
    const tarn_rnn_options many = { .layers = 33 }, two = { .layers = 2 }, kind = { .kind = 9 };
    REFUSES(tarn_rnn_create(root, "l", 0, 3).module, TARN_ESHAPE,
            "rnn \"l\": 0 inputs and 3 units; at least 1 of each is needed");
    REFUSES(tarn_gru_create(root, "l", 2, -1).module, TARN_ESHAPE,
            "gru \"l\": 2 inputs and -1 units; at least 1 of each is needed");
    REFUSES(tarn_lstm_create(root, "l", 2, INT64_MAX / 2).module, TARN_EOVERFLOW,
            "lstm \"l\": 4611686018427387903 units are too many");
    REFUSES(tarn_rnn_create_with(root, "l", 2, 3, &many).module, TARN_EARG,
            "rnn \"l\": 33 layers; 1 to 32 are possible");
    REFUSES(tarn_rnn_create_with(root, "l", 2, 3, &kind).module, TARN_EARG,
            "rnn \"l\": unknown kind 9");
    REFUSES(tarn_rnn_cell_create_with(root, "l", 2, 3, &two).module, TARN_EARG,
            "rnn \"l\": a cell is one layer");
    for (uint64_t n = 1; n <= 8; n++) {
        check_fail_acquisition(f->pool, n);
        assert_null(tarn_rnn_create_with(root, "l", 500, 500, &two).module);
        check_error_part(tm, TARN_ENOMEM, "");
        assert_int_equal(tarn_module_parameter_count(root), 0);
        assert_int_equal(tarn_pool_get_stats(f->pool).live_blocks, blocks);
    }
    check_fail_acquisition(f->pool, 0);
}

static void refused_inputs(void **state)
{
    tarn_manager *tm = MANAGER(state);
    tarn_module *root = tarn_module_create(tm);
    tarn_rnn rnn = tarn_lstm_create(root, "l", 2, 3);
    tarn_rnn_cell cell = tarn_lstm_cell_create(root, "c", 2, 3);
    const tarn_rnn_state none = { 0 };
    tarn_tensor *x = tarn_ones(tm, TARN_F32, TARN_SHAPE(4, 5, 2)),
                *h = tarn_ones(tm, TARN_F32, TARN_SHAPE(4, 3));
    REFUSES(tarn_rnn_forward(&rnn, h, none).y, TARN_ESHAPE,
            "lstm \"l\": x [4,3]; x (B, T, 2) of at least one time is needed");
    REFUSES(tarn_rnn_forward(&rnn, tarn_slice(x, 1, 0, 0), none).y, TARN_ESHAPE,
            "lstm \"l\": x [4,0,2]; x (B, T, 2) of at least one time is needed");
    REFUSES(tarn_rnn_forward(&rnn, x, (tarn_rnn_state){ .h = h }).y, TARN_ESHAPE,
            "lstm \"l\": x [4,5,2], h [4,3]: a state (layers directions, B, hidden) = [1,4,3] is "
            "needed");
    REFUSES(tarn_rnn_forward(&rnn, x, (tarn_rnn_state){ .c = x }).y, TARN_ESHAPE,
            "lstm \"l\": x [4,5,2], c [4,5,2]: a state (layers directions, B, hidden) = [1,4,3] is "
            "needed");
    REFUSES(tarn_rnn_forward(&rnn, tarn_cast(x, TARN_F64), none).y, TARN_EDTYPE,
            "lstm \"l\": x is float64, w is float32; one type is needed (tarn_cast converts)");
    REFUSES(tarn_rnn_forward(&rnn, NULL, none).y, TARN_EARG, "lstm \"l\": x is NULL");
    REFUSES(tarn_rnn_forward(NULL, x, none).y, TARN_EARG,
            "rnn: the layer is NULL: was it ever made?");
    REFUSES(
        tarn_rnn_cell_forward(&cell, h, none).h, TARN_ESHAPE,
        "lstm \"c\": x [4,3], w \"c.weight_ih\" [12,2]: rows of x have 3 elements, and w takes 2");
    REFUSES(tarn_rnn_cell_forward(&cell, NULL, none).h, TARN_EARG, "lstm \"c\": x is NULL");
    REFUSES(tarn_rnn_cell_forward(&cell, tarn_select(x, 1, 0), (tarn_rnn_state){ .c = x }).h,
            TARN_ESHAPE, "lstm \"c\": x [4,2], c [4,5,2]: a state (B, hidden) = [4,3] is needed");
    REFUSES(tarn_recurrence(x, h, NULL, none, NULL), TARN_ESHAPE,
            "recurrence: x [4,5,2], w [4,3]; x (B, T, 1 H) and w (1 H, H) are needed");
    REFUSES(tarn_recurrence(x, tarn_eye(tm, TARN_F32, 2), NULL, (tarn_rnn_state){ .h = h }, NULL),
            TARN_ESHAPE, "recurrence: h [4,3]; h [4,2] is needed");
    REFUSES(tarn_recurrence(x, tarn_eye(tm, TARN_F32, 2), h, none, NULL), TARN_ESHAPE,
            "recurrence: b [4,3]; b [2] is needed");
    REFUSES(tarn_recurrence(x, tarn_eye(tm, TARN_F32, 2), NULL,
                            (tarn_rnn_state){ .c = tarn_ones(tm, TARN_F32, TARN_SHAPE(4, 2)) },
                            NULL),
            TARN_EARG, "recurrence: a state c, which only an LSTM has");
    REFUSES(tarn_recurrence(x, h, NULL, none, &(tarn_recurrence_options){ .kind = 4 }), TARN_EARG,
            "recurrence: 4 is no kind of recurrence");
    REFUSES(tarn_gru_gates(h, h, h), TARN_ESHAPE,
            "gru_gates: x [4,3], q [4,3], h [4,3]; x and q (..., 3 H) and h (..., H) are needed");
    assert_int_equal(tarn_manager_get_stats(tm).tape_length, 0);
}

/* ---- what a pass leaves */

/* Without recording, what lies between the operations is gone when the layer returns: its output
 * and state remain, however many steps and layers there are. */
static void evaluation_keeps_the_output_alone(void **state)
{
    tarn_manager *tm = MANAGER(state);
    tarn_module *root = tarn_module_create(tm);
    tarn_rnn rnn = tarn_rnn_create_with(root, "l", 8, 16,
                                        &(tarn_rnn_options){ .kind = TARN_GRU, .layers = 3 });
    const tarn_scope scope = tarn_no_grad_begin(tm);
    tarn_tensor *x = tarn_ones(tm, TARN_F32, TARN_SHAPE(4, 100, 8));
    const size_t before = tarn_manager_get_stats(tm).total_memory;
    tarn_rnn_output out = tarn_rnn_forward(&rnn, x, (tarn_rnn_state){ 0 });
    assert_non_null(out.y);
    assert_int_equal(tarn_manager_get_stats(tm).total_memory - before,
                     (4 * 100 * 16 + 3 * 4 * 16) * sizeof(float));
    tarn_scope_end(scope);
}

/* Frozen layers compute for other managers, and nothing of theirs changes. */
static void frozen_layers_serve_other_managers(void **state)
{
    check_fixture *f = *state;
    tarn_manager *other = tarn_manager_create(&(tarn_manager_options){ .pool = f->pool });
    tarn_module *root = tarn_module_create(f->tm);
    const tarn_rnn_options o = { .kind = TARN_LSTM, .dtype = TARN_F64 };
    tarn_rnn rnn = tarn_rnn_create_with(root, "rnn", 4, 4, &o);
    tarn_rnn_cell cell = tarn_rnn_cell_create_with(root, "cell", 4, 4, &o);
    tarn_attention a =
        tarn_attention_create_with(root, "a", 4, 2, &(tarn_attention_options){ .dtype = TARN_F64 });
    check_status(tarn_module_freeze(root), TARN_OK);
    const size_t handles = tarn_manager_get_stats(f->tm).handles;
    tarn_tensor *x = wave(other, TARN_SHAPE(2, 3, 4), 0, 1);
    tarn_tensor *y =
        tarn_attention_forward(&a, tarn_rnn_forward(&rnn, x, (tarn_rnn_state){ 0 }).y, NULL);
    assert_ptr_equal(tarn_manager_of(y), other);
    tarn_rnn_state s = tarn_rnn_cell_forward(&cell, tarn_select(y, 1, 0), (tarn_rnn_state){ 0 });
    assert_ptr_equal(tarn_manager_of(s.c), other);
    assert_int_equal(tarn_manager_get_stats(f->tm).handles, handles);
    assert_int_equal(tarn_manager_destroy(other), 0);
}

/* A dry run asks for the same memory, and computes nothing. */
static void dry_runs_reach_the_same_peak(void **state)
{
    size_t peaks[2];
    (void)state;
    for (int dry = 0; dry < 2; dry++) {
        tarn_manager *tm = tarn_manager_create(&(tarn_manager_options){ .dry_run = dry != 0 });
        tarn_module *root = tarn_module_create(tm);
        tarn_embedding_layer e = tarn_embedding_create(root, "e", 9, 4);
        tarn_batch_norm_layer bn = tarn_batch_norm_create(root, "bn", 3);
        tarn_rnn rnn = tarn_lstm_create(root, "rnn", 4, 4);
        tarn_attention a = tarn_attention_create(root, "a", 4, 2);
        tarn_rnn_state carried = { 0 };
        const tarn_scope scope = tarn_scope_begin(tm);
        tarn_tensor *x = tarn_embedding_forward(&e, tarn_zeros(tm, TARN_I64, TARN_SHAPE(2, 3)));
        tarn_rnn_output out = tarn_rnn_forward(&rnn, tarn_batch_norm_forward(&bn, x), carried);
        check_status(tarn_rnn_state_carry(&carried, out.state), TARN_OK);
        tarn_tensor *y = tarn_attention_forward(&a, out.y, NULL);
        check_status(tarn_backward(tarn_mean(y, TARN_ALL_AXES)), TARN_OK);
        tarn_scope_end(scope);
        tarn_rnn_state_release(&carried);
        peaks[dry] = tarn_manager_get_stats(tm).peak_memory;
        assert_int_equal(tarn_manager_destroy(tm), 0);
    }
    assert_int_equal(peaks[1], peaks[0]);
}

/* ---- truncated back-propagation through time */

enum { B = 2, T = 6, I = 3, H = 8 };

/* One part of a long sequence: forward, the state carried on, backward, a step. */
static void train_part(tarn_rnn *rnn, tarn_optimizer *sgd, int part, tarn_rnn_state *state)
{
    tarn_manager *tm = tarn_manager_of(rnn->weights[0].weight_ih);
    const tarn_scope scope = tarn_scope_begin(tm);
    tarn_tensor *x = tarn_random_normal(tm, TARN_F32, TARN_SHAPE(B, T, I), 0, 1, (uint64_t)part);
    tarn_rnn_output out = tarn_rnn_forward(rnn, x, *state);
    check_status(tarn_rnn_state_carry(state, out.state), TARN_OK);
    assert_false(tarn_requires_grad(state->h));
    tarn_tensor *square = tarn_square(out.y);
    check_status(tarn_backward(tarn_mean(square, TARN_ALL_AXES)), TARN_OK);
    check_status(tarn_optimizer_step(sgd), TARN_OK);
    tarn_scope_end(scope);
}

/* Nothing grew since the last call; where every block comes from the system, that cannot be told.
 */
static void expect_steady(const check_fixture *f)
{
    const tarn_status status = tarn_expect_steady(f->tm);
    if (check_is_plain(f->pool)) check_status(status, TARN_OK);
    else tarn_clear_error(f->tm);
}

static void carried_states_leave_nothing_behind(void **state)
{
    tarn_manager *tm = MANAGER(state);
    for (int kind = TARN_RNN_TANH; kind <= TARN_LSTM; kind++) {
        tarn_module *root = tarn_module_create(tm);
        const tarn_rnn_options o = { .kind = (tarn_rnn_kind)kind, .layers = 2 };
        tarn_rnn rnn = tarn_rnn_create_with(root, "rnn", I, H, &o);
        tarn_optimizer *sgd = tarn_sgd_create(root, &(tarn_sgd_options){ .lr = 0.1 });
        tarn_rnn_state carried = { 0 };
        for (int part = 0; part < 50; part++) {
            train_part(&rnn, sgd, part, &carried);
            if (part >= 3) expect_steady(*state);
            else if (tarn_expect_steady(tm) != TARN_OK) tarn_clear_error(tm); /* a new layer */
        }
        assert_int_equal(tarn_manager_get_stats(tm).retained, kind == TARN_LSTM ? 2 : 1);
        tarn_rnn_state_release(&carried);
        assert_true(carried.h == NULL && carried.c == NULL);
        assert_int_equal(tarn_manager_get_stats(tm).tape_length, 0);
        tarn_optimizer_destroy(sgd);
        check_status(tarn_module_destroy(root), TARN_OK);
    }
    assert_int_equal(tarn_manager_get_stats(tm).retained, 0);
}

/* Two parts with a carried state compute what one of double length does; their gradients end at the
 * cut. */
static void carried_states_cut_the_graph(void **state)
{
    tarn_manager *tm = MANAGER(state);
    tarn_module *root = tarn_module_create(tm);
    const tarn_rnn_options o = { .kind = TARN_LSTM, .dtype = TARN_F64 };
    tarn_rnn rnn = tarn_rnn_create_with(root, "rnn", I, H, &o);
    tarn_tensor *x = tarn_require_grad(wave(tm, TARN_SHAPE(B, 2 * T, I), 0, 1));
    tarn_rnn_output whole = tarn_rnn_forward(&rnn, x, (tarn_rnn_state){ 0 });
    tarn_rnn_output first = tarn_rnn_forward(&rnn, tarn_slice(x, 1, 0, T), (tarn_rnn_state){ 0 });
    tarn_rnn_state carried = { 0 };
    check_status(tarn_rnn_state_carry(&carried, first.state), TARN_OK);
    tarn_rnn_output second = tarn_rnn_forward(&rnn, tarn_slice(x, 1, T, 2 * T), carried);
    tarn_tensor *tail = tarn_contiguous(tarn_slice(whole.y, 1, T, 2 * T));
    check_close(second.y, tarn_data(tail), B * T * H, 1e-14);
    check_status(tarn_backward(tarn_sum(second.y, TARN_ALL_AXES)), TARN_OK);
    tarn_tensor *before = tarn_slice(tarn_grad_of(x), 1, 0, T);
    assert_true(tarn_item(tarn_sum(tarn_abs(before), TARN_ALL_AXES)) == 0);

    /* By hand: what is detached stays when its graph goes. */
    tarn_rnn_state cut = tarn_rnn_state_detach(first.state);
    (void)tarn_retain(cut.h);
    assert_false(tarn_requires_grad(cut.h));
    check_status(tarn_backward(tarn_sum(first.state.h, TARN_ALL_AXES)), TARN_OK);
    check_close(cut.h, tarn_data(carried.h), B * H, 0);
    tarn_release(cut.h);
    tarn_rnn_state_release(&carried);
}

static void states_that_cannot_be_carried(void **state)
{
    check_fixture *f = *state;
    tarn_manager *tm = f->tm;
    const tarn_rnn_state given = { tarn_ones(tm, TARN_F32, TARN_SHAPE(100, 100)),
                                   tarn_ones(tm, TARN_F32, TARN_SHAPE(100, 100)) };
    tarn_rnn_state carried = { 0 };
    check_status(tarn_rnn_state_carry(NULL, given), TARN_EARG);
    check_status(tarn_rnn_state_carry(&carried, (tarn_rnn_state){ 0 }), TARN_EARG);
    check_no_error(tm);
    check_status(tarn_rnn_state_carry(&carried, given), TARN_OK);
    tarn_tensor *h = carried.h;
    for (uint64_t n = 1; n <= 2; n++) {
        check_fail_acquisition(f->pool, n);
        check_status(tarn_rnn_state_carry(&carried, given), TARN_ENOMEM);
        check_error_part(tm, TARN_ENOMEM, "");
        assert_ptr_equal(carried.h, h);
    }
    check_fail_acquisition(f->pool, 0);
    tarn_tensor *w = tarn_require_grad(tarn_ones(tm, TARN_F32, TARN_SHAPE(3)));
    tarn_tensor *spent = tarn_square(w);
    check_status(tarn_backward(tarn_sum(spent, TARN_ALL_AXES)), TARN_OK);
    check_status(tarn_rnn_state_carry(&carried, (tarn_rnn_state){ .h = spent }), TARN_ESTALE);
    check_error_part(tm, TARN_ESTALE, "tarn_rnn_state_carry");
    tarn_rnn_state_release(&carried);
    tarn_rnn_state_release(&carried);
    tarn_rnn_state_release(NULL);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, check_setup, check_teardown)
    const struct CMUnitTest tests[] = {
        TEST(layers_are_those_of_pytorch),
        TEST(states_are_the_last_outputs),
        TEST(cells_are_steps_of_layers),
        TEST(parameters_have_names_and_bounds),
        TEST(refused_layers),
        TEST(refused_inputs),
        TEST(evaluation_keeps_the_output_alone),
        TEST(frozen_layers_serve_other_managers),
        TEST(dry_runs_reach_the_same_peak),
        TEST(carried_states_leave_nothing_behind),
        TEST(carried_states_cut_the_graph),
        TEST(states_that_cannot_be_carried),
    };
    return cmocka_run_group_tests_name("recurrence", tests, NULL, NULL);
}
