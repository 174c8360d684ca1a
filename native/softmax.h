// The softmax family on blocks of rows: one vector lane is one row, and loops run over the classes.
#pragma once
#include "elements.h"
#include "form.h"

namespace counterpoise {
namespace COUNTERPOISE_ISA {
namespace {

// A target that names one class, with no other term than the expected cost.
inline bool pays_costs_only(const SoftmaxRecipe& recipe, const SoftmaxBatch& batch) {
    return recipe.costs && !recipe.weighted && batch.hard && recipe.smoothing == 0;
}

inline bool is_soft(const SoftmaxRecipe& recipe, const SoftmaxBatch& batch) {
    return (!batch.hard || recipe.smoothing != 0 || recipe.costs) && !pays_costs_only(recipe, batch);
}

// Working memory of one block: (classes, pitch) arrays, and one number per row.
template <class T>
struct Block {
    int64_t pitch;
    T* logits;                                      // becomes the gradient
    T* curvature;                                   // of each loss, if asked for
    T *share, *e, *first, *part, *second, *choice;  // of soft targets
    Int<T>* target;
    T *weight, *loss;
};

constexpr int64_t block_bytes = 16384, most_rows = 256;

template <class T>
inline int64_t rows_per_block(int64_t classes) {
    int64_t rows = block_bytes / (classes * int64_t(sizeof(T)));
    rows -= rows % width<T>;
    return rows < width<T> ? width<T> : rows > most_rows ? most_rows : rows;
}

inline int64_t aligned(int64_t bytes) { return (bytes + 63) / 64 * 64; }

// Lays the arrays of a block out from `at` on and says how many bytes they take.
template <class T>
inline size_t lay_out(Block<T>* block, char* at, int64_t classes, bool soft, bool curved, bool costs) {
    char* next = at;
    block->pitch = rows_per_block<T>(classes);
    const int64_t per_row = aligned(block->pitch * int64_t(sizeof(T))), per_class = per_row * classes;
    auto take = [&](bool needed, int64_t bytes) {
        char* here = next;
        next += needed ? bytes : 0;
        return (T*)here;
    };
    block->logits = take(true, per_class);
    block->curvature = take(curved, per_class);
    block->share = take(soft, per_class);
    block->e = take(soft, per_class);
    block->first = take(soft, per_class);
    block->part = take(soft, per_class);
    block->second = take(soft && curved, per_class);
    block->choice = take(costs, per_class);
    block->target = (Int<T>*)take(true, per_row);
    block->weight = take(true, per_row);
    block->loss = take(true, per_row);
    return size_t(next - at);
}

// The logit itself, or scale * logit + offset in double precision less `reference`, rounded once.
template <class T>
COUNTERPOISE_INLINE Vector<T> less_reference(const SoftmaxRecipe& recipe, const T* logit, int64_t k, double lowered,
                                             const Vector<T>& reference) {
    const T* at = (const T*)&reference;
    const double scale = recipe.scale[k], offset = recipe.offset[k] - lowered;
    return in_double(logit, [=](Vector<double> z, int place) {
        Vector<double> r;
        if constexpr (sizeof(T) == 4)
            r = widened(load<HalfVector>(at + place));
        else
            r = load<Vector<double>>(at);
        return (z * scale + offset) - r;
    });
}

// a x - b y rounded about once: in single precision by Kahan's method, what the products lose is added again, as is
// what a and b lose.
template <class T>
COUNTERPOISE_INLINE Vector<T> difference_of_products(double a, Vector<T> x, double b, Vector<T> y) {
    if constexpr (sizeof(T) == 8) return fused<T>(all<T>(a), x, -(b * y));
    const T high_a = T(a), high_b = T(b);
    const Vector<T> product = high_b * y, lost = fused<T>(all<T>(high_b), y, -product);
    const Vector<T> rest = x * T(a - double(high_a)) - (y * T(b - double(high_b)) + lost);
    const Vector<T> difference = fused<T>(all<T>(high_a), x, -product);
    // of infinite logits, and of products too large, nothing is lost that could be added
    return choose(magnitude<T>(rest) < T(__builtin_inf()), difference + rest, difference);
}

// Rows of two classes whose target names one; `block.logits` becomes the gradient. The log odds are one difference.
template <class T>
inline void hard_pairs(const SoftmaxRecipe& recipe, const Block<T>& block, int64_t at, double factor, bool sloped,
                       bool curved, Sums* sums) {
    const Vector<T> zero = {}, one = all<T>(1);
    T *first = block.logits + at, *second = first + block.pitch;
    const Vector<T> z0 = load<Vector<T>>(first), z1 = load<Vector<T>>(second);
    const auto is_second = load<Ints<T>>(block.target + at) == 1;
    Vector<T> odds;  // against the first class
    const T own_margin0 = T(recipe.margin[0]), own_margin1 = T(recipe.margin[1]);
    if (recipe.one_scale) {
        const T a = T(recipe.scale[0]), b = T(recipe.offset[1] - recipe.offset[0]);
        const Vector<T> difference = z1 - z0;
        odds = choose(is_second, difference * -a + (own_margin1 - b), difference * a + (own_margin0 + b));
    } else {
        const Vector<T> difference = difference_of_products<T>(recipe.scale[1], z1, recipe.scale[0], z0);
        const T b = T(recipe.offset[1] - recipe.offset[0]);
        odds = choose(is_second, own_margin1 - (difference + b), own_margin0 + (difference + b));
    }
    odds = choose(larger(z0, z1) == T(__builtin_inf()), all<T>(T(__builtin_nan(""))), odds);
    sums->odd += how_many<T>(odds != odds);  // also of rows that weigh nothing
    const Phi<T> phi = shaped<T>(recipe.form, chances<T>(odds), curved);
    Vector<T> weight = load<Vector<T>>(block.weight + at);
    weight *= choose(is_second, all<T>(T(recipe.weight[1])), all<T>(T(recipe.weight[0])));
    const auto free = (weight == zero) & (odds == odds);
    store(block.loss + at, choose(free, zero, weight * phi.value));
    if (!sloped) return;
    weight *= T(factor);
    const Vector<T> a0 = all<T>(T(recipe.scale[0])), a1 = all<T>(T(recipe.scale[1])),
                    lowest = one * -T(__builtin_inf());
    const Vector<T> slope = choose(free, zero, choose(is_second, -weight, weight) * phi.slope);
    store(first, choose(z0 == lowest, zero, -slope * a0));
    store(second, choose(z1 == lowest, zero, slope * a1));
    if (!curved) return;
    const Vector<T> bend = choose(free, zero, weight * phi.bend);
    store(block.curvature + at, choose(z0 == lowest, zero, bend * (a0 * a0)));
    store(block.curvature + at + block.pitch, choose(z1 == lowest, zero, bend * (a1 * a1)));
}

// Rows whose target names one class; `block.logits` becomes the gradient.
template <class T>
inline void hard_rows(const SoftmaxRecipe& recipe, const Block<T>& block, int64_t at, double factor, bool sloped,
                      bool curved, Sums* sums) {
    const int64_t classes = recipe.classes, pitch = block.pitch;
    const T infinity = T(__builtin_inf());
    const Ints<T> target = load<Ints<T>>(block.target + at);
    const Vector<T> zero = {}, one = all<T>(1), lowest = all<T>(-infinity);
    T* z = block.logits + at;
    Vector<T> own = lowest, reference = lowest, largest = lowest, row_weight = one;
    Ints<T> chosen = {};
    const bool even = recipe.one_scale && (recipe.affine || recipe.margined);
    const bool chooses = recipe.weight_by != by_true;
    const bool looks_up = recipe.weight_by == by_true && !recipe.uniform;
    if (recipe.uniform) row_weight = all<T>(T(recipe.weight[0]));
    for (int64_t k = 0; k < classes; ++k) {
        const Vector<T> logit = load<Vector<T>>(z + k * pitch);
        const Ints<T> is_true = target == Int<T>(k);
        Vector<T> u = logit;
        if (recipe.affine) u = logit * T(recipe.scale[k]) + T(even ? recipe.centred_offset[k] : recipe.offset[k]);
        own = choose(is_true, logit, own);
        u = choose(is_true, lowest, u);
        reference = larger(u, reference);
        if (chooses) chosen = choose(logit > largest, Ints<T>{} + Int<T>(k), chosen);
        largest = larger(logit, largest);
        if (looks_up) row_weight = choose(is_true, all<T>(T(recipe.weight[k])), row_weight);
    }
    if (chooses)
        for (int i = 0; i < width<T>; ++i)
            row_weight[i] = T(recipe.weight_by == by_predicted ? recipe.weight[chosen[i]]
                                                               : recipe.pair[target[i] * classes + chosen[i]]);
    const T common = T(recipe.scale[0]);
    // one scale for all classes is applied to differences of logits, which keep their digits
    Vector<T> origin = choose(reference == -infinity, zero, reference);
    if (even) origin *= T(1) / common;
    Vector<T> spread = zero, lead = origin - own;
    for (int64_t k = 0; k < classes; ++k) {
        const Vector<T> logit = load<Vector<T>>(z + k * pitch);
        const Ints<T> is_true = target == Int<T>(k);
        Vector<T> gap = logit - origin;
        if (even) {
            const Vector<T> difference = gap;
            gap = difference * common + T(recipe.centred_offset[k]);
            lead = choose(is_true, difference * -common + T(recipe.margin[k] - recipe.centred_offset[k]), lead);
        } else if (recipe.affine) {
            gap = less_reference<T>(recipe, z + k * pitch, k, 0.0, origin);
            const Vector<T> own_gap =
                recipe.margined ? less_reference<T>(recipe, z + k * pitch, k, recipe.margin[k], origin) : gap;
            lead = choose(is_true, -own_gap, lead);
        }
        const Vector<T> e = choose(is_true, zero, exponential_of_gap<T>(gap));
        spread += e;
        store(z + k * pitch, e);
    }
    const Ints<T> alone = spread == T(0), hidden = own == -infinity;
    Vector<T> odds = logarithm<T>(spread) + lead;
    odds = choose(alone, lowest, odds);
    odds = choose(alone & hidden, all<T>(T(__builtin_nan(""))), odds);  // with every class masked there is no answer
    odds = choose((largest == infinity) | (reference == infinity), all<T>(T(__builtin_nan(""))), odds);
    sums->odd += how_many<T>(odds != odds);  // also of rows that weigh nothing
    const Phi<T> phi = shaped<T>(recipe.form, chances<T>(odds), curved);
    const Vector<T> weight = row_weight * load<Vector<T>>(block.weight + at);
    const Ints<T> free = (weight == T(0)) & (odds == odds);
    const Vector<T> loss = choose(free, zero, weight * phi.value);
    store(block.loss + at, loss);
    if (chooses) {
        sums->weight += total<T>(weight);
        sums->nonzero += double(how_many<T>(weight != T(0)));
    }
    if (!sloped) return;
    const Vector<T> size = choose(alone, one, spread), inverse = one / size;
    const Vector<T> scaled_weight = weight * T(factor);
    const Vector<T> slope = choose(free, zero, scaled_weight * phi.slope), per_share = slope * inverse;
    const Vector<T> own_slope = choose(hidden, zero, -slope);
    Vector<T> bend = zero, rest = zero;
    Ints<T> top = {};
    if (curved) {
        bend = choose(free, zero, scaled_weight * phi.bend);
        Vector<T> most = zero;
        for (int64_t k = 0; k < classes; ++k) {
            const Vector<T> e = load<Vector<T>>(z + k * pitch);
            top = choose(e > most, Ints<T>{} + Int<T>(k), top);
            most = choose(e > most, e, most);
        }
        for (int64_t k = 0; k < classes; ++k) rest += choose(top == Int<T>(k), zero, load<Vector<T>>(z + k * pitch));
    }
    for (int64_t k = 0; k < classes; ++k) {
        const Vector<T> e = load<Vector<T>>(z + k * pitch);
        const Ints<T> is_true = target == Int<T>(k);
        const T chain = T(recipe.scale[k]);
        if (curved) {
            const Vector<T> r = e * inverse, others = choose(top == Int<T>(k), rest, spread - e) * inverse;
            Vector<T> curve = bend * r * r + slope * r * others;
            curve = choose(is_true, choose(hidden, zero, bend), curve);
            store(block.curvature + at + k * pitch, curve * (chain * chain));
        }
        store(z + k * pitch, choose(is_true, own_slope, per_share * e) * chain);
    }
}

// What class k costs each lane.
template <class T>
COUNTERPOISE_INLINE Vector<T> cost_of(const SoftmaxRecipe& recipe, const Int<T>* target, int64_t k) {
    Vector<T> cost = {};
    if (recipe.classes <= width<T> / 2) {  // then fewer steps than one look-up per lane
        const Ints<T> targets = load<Ints<T>>(target);
        for (int64_t j = 0; j < recipe.classes; ++j)
            cost = choose(targets == Int<T>(j), all<T>(T(recipe.pair[j * recipe.classes + k])), cost);
    } else {
        for (int i = 0; i < width<T>; ++i) cost[i] = T(recipe.pair[target[i] * recipe.classes + k]);
    }
    return cost;
}

// Rows that pay the expected cost alone, for a target that names one class; `block.logits` becomes the gradient.
// Written around the likeliest class, so that nothing cancels where one class is nearly certain.
template <class T>
inline void cost_rows(const SoftmaxRecipe& recipe, const Block<T>& block, int64_t at, double factor, bool sloped,
                      bool curved, Sums* sums) {
    const int64_t classes = recipe.classes, pitch = block.pitch;
    const T infinity = T(__builtin_inf());
    const Vector<T> zero = {}, one = all<T>(1), lowest = all<T>(-infinity);
    T *z = block.logits + at, *costs = block.choice + at;
    const Int<T>* target = block.target + at;
    Vector<T> reference = lowest, largest = lowest, at_top = zero, spread = zero, above = zero;
    for (int64_t k = 0; k < classes; ++k) {
        const Vector<T> logit = load<Vector<T>>(z + k * pitch);
        const Vector<T> u = recipe.affine ? logit * T(recipe.scale[k]) + T(recipe.offset[k]) : logit;
        const Vector<T> cost = cost_of<T>(recipe, target, k);
        store(costs + k * pitch, cost);
        at_top = choose(u > reference, cost, at_top);
        reference = larger(u, reference);
        largest = larger(logit, largest);
    }
    const Ints<T> impossible = (reference == -infinity) | (largest == infinity);
    for (int64_t k = 0; k < classes; ++k) {
        const Vector<T> e = exponential<T>(recipe.affine ? less_reference<T>(recipe, z + k * pitch, k, 0.0, reference)
                                                         : load<Vector<T>>(z + k * pitch) - reference);
        spread += e;
        above += e * (load<Vector<T>>(costs + k * pitch) - at_top);
        store(z + k * pitch, e);
    }
    const Vector<T> inverse = one / spread;
    above *= inverse;
    Vector<T> weight = load<Vector<T>>(block.weight + at);
    const auto free = weight == zero;
    const Vector<T> value = choose(impossible, all<T>(T(__builtin_nan(""))), at_top + above);
    store(block.loss + at, choose(free, zero, weight * value));
    sums->weight += total<T>(weight);
    sums->nonzero += double(how_many<T>(weight != zero));
    if (!sloped) return;
    weight *= T(factor);
    for (int64_t k = 0; k < classes; ++k) {
        const Vector<T> p = load<Vector<T>>(z + k * pitch) * inverse;
        const Vector<T> slope = p * ((load<Vector<T>>(costs + k * pitch) - at_top) - above) * weight;
        const T chain = T(recipe.scale[k]);
        store(z + k * pitch, choose(free, zero, slope * chain));
        if (curved)
            store(block.curvature + at + k * pitch, choose(free, zero, slope * (one - T(2) * p) * (chain * chain)));
    }
}

// The sum of all values but the own one, taken without subtracting where the own one dominates.
template <class T>
struct Others {
    Vector<T> total = {}, most = all<T>(-1), rest = {};
    Ints<T> top = {};

    COUNTERPOISE_INLINE void look(Vector<T> v, int64_t k) {
        const Vector<T> size = magnitude<T>(v);
        top = choose(size > most, Ints<T>{} + Int<T>(k), top);
        most = choose(size > most, size, most);
        total += v;
    }
    COUNTERPOISE_INLINE void gather(Vector<T> v, int64_t k) { rest += choose(top == Int<T>(k), Vector<T>{}, v); }
    COUNTERPOISE_INLINE Vector<T> without(Vector<T> v, int64_t k) const {
        return choose(top == Int<T>(k), rest, total - v);
    }
};

// A(true, chosen) of each lane for one true class.
template <class T>
COUNTERPOISE_INLINE Vector<T> weight_of(const SoftmaxRecipe& recipe, int64_t k, Ints<T> chosen) {
    if (recipe.weight_by == by_true) return all<T>(T(recipe.weight[k]));
    Vector<T> weight;
    for (int i = 0; i < width<T>; ++i)
        weight[i] = T(recipe.weight_by == by_predicted ? recipe.weight[chosen[i]]
                                                       : recipe.pair[k * recipe.classes + chosen[i]]);
    return weight;
}

// What each choice costs, in `choice`, and what the likeliest one does.
template <class T>
inline Vector<T> cost_of_choices(const SoftmaxRecipe& recipe, const T* share, T* choice, int64_t pitch, bool one_hot,
                                 Ints<T> target, Ints<T> top) {
    Vector<T> at_top = {};
    for (int64_t j = 0; j < recipe.classes; ++j) {
        Vector<T> cost = {};
        if (one_hot)
            for (int i = 0; i < width<T>; ++i) cost[i] = T(recipe.pair[target[i] * recipe.classes + j]);
        else
            for (int64_t k = 0; k < recipe.classes; ++k)
                cost += load<Vector<T>>(share + k * pitch) * T(recipe.pair[k * recipe.classes + j]);
        store(choice + j * pitch, cost);
        at_top = choose(top == Int<T>(j), cost, at_top);
    }
    return at_top;
}

// The least numbers whose inverse, and the square of it, are finite, with room for a product.
template <class T>
constexpr T invertible = T(sizeof(T) == 4 ? 1e-30 : 1e-290);
template <class T>
constexpr T invertible_square = T(sizeof(T) == 4 ? 1e-15 : 1e-140);

// Rows whose target has a share for each class, or that pay an expected cost; `block.logits` becomes the gradient.
// Each class k contributes T_k(o_k). With r_jk = e_j / (the sum of all e but e_k), its slope by u_j is T_k' r_jk, by
// u_k -T_k'; sums that leave one class out are taken without subtracting it where it dominates.
template <class T>
inline void soft_rows(const SoftmaxRecipe& recipe, const Block<T>& block, int64_t at, bool hard, double factor,
                      bool sloped, bool curved, Sums* sums) {
    const int64_t classes = recipe.classes, pitch = block.pitch;
    const T infinity = T(__builtin_inf()), none = T(__builtin_nan(""));
    const Vector<T> zero = {}, one = all<T>(1), lowest = all<T>(-infinity);
    const Ints<T> target = load<Ints<T>>(block.target + at);
    T *z = block.logits + at, *share = block.share + at, *exponentials = block.e + at, *first = block.first + at;
    T *parts = block.part + at, *second = block.second + at, *curvature = block.curvature + at;
    Vector<T> reference = lowest, largest = lowest;
    Ints<T> top = {}, chosen = {};
    for (int64_t k = 0; k < classes; ++k) {
        const Vector<T> logit = load<Vector<T>>(z + k * pitch);
        chosen = choose(logit > largest, Ints<T>{} + Int<T>(k), chosen);
        largest = choose(logit > largest, logit, largest);
        const Vector<T> u = logit * T(recipe.scale[k]) + T(recipe.offset[k]);
        top = choose(u > reference, Ints<T>{} + Int<T>(k), top);
        reference = choose(u > reference, u, reference);
        store(z + k * pitch, u);
    }
    const Ints<T> impossible = (reference == -infinity) | (largest == infinity);
    Vector<T> rest = zero;
    for (int64_t k = 0; k < classes; ++k) {
        const Vector<T> gap = reference - load<Vector<T>>(z + k * pitch), e = exponential<T>(-gap);
        rest += choose(top == Int<T>(k), zero, e);
        store(z + k * pitch, gap);
        store(exponentials + k * pitch, e);
    }
    // a plain cross-entropy of class k is the log of the whole sum plus the gap, and its slope a quotient
    const Form& form = recipe.form;
    const bool plain = !form.focused && !form.robust && !form.extra && !recipe.margined;
    // where the inverse of `rest` (or its square) would overflow, the classes beside the top one get a reference of
    // their own
    const Ints<T> faint = rest < all<T>(curved ? invertible_square<T> : invertible<T>);
    // `faint` is read first: GCC 12 with -O1 stops with an internal error where the comparison may come after a branch
    const bool some_faint = any<T>(faint) && !plain;
    Vector<T> nearest = zero, beside_top = rest, top_part = zero, top_square = zero;
    if (some_faint) {
        Vector<T> largest_beside = lowest, sum = zero;
        for (int64_t k = 0; k < classes; ++k)
            largest_beside = larger(largest_beside, choose(top == Int<T>(k), lowest, -load<Vector<T>>(z + k * pitch)));
        nearest = choose(faint & (largest_beside != lowest), largest_beside, zero);
        for (int64_t k = 0; k < classes; ++k)
            sum += choose(top == Int<T>(k), zero, exponential<T>(-load<Vector<T>>(z + k * pitch) - nearest));
        beside_top = choose(faint, sum, rest);
    }
    const Vector<T> inverse_whole = one / (rest + one);
    const Vector<T> log_whole = chances<T>(logarithm<T>(rest)).loss;
    const T kept = T(1 - recipe.smoothing), spread = T(recipe.smoothing / double(classes));
    Vector<T> loss = zero, row_weight = zero;
    Others<T> by_size, by_square;
    for (int64_t k = 0; k < classes; ++k) {
        const Vector<T> given = hard ? choose(target == Int<T>(k), one, zero) : load<Vector<T>>(share + k * pitch);
        const Vector<T> smoothed = given * kept + spread, by_class = weight_of<T>(recipe, k, chosen);
        const Vector<T> weight = smoothed * by_class;
        row_weight += given * by_class;
        store(share + k * pitch, smoothed);
        const Ints<T> free = weight == T(0);
        const Vector<T> gap = load<Vector<T>>(z + k * pitch), e = load<Vector<T>>(exponentials + k * pitch);
        const Ints<T> is_top = top == Int<T>(k);
        const Vector<T> others = choose(is_top, beside_top, one + (rest - e));
        Phi<T> phi;
        Vector<T> inverse = inverse_whole;
        if (plain) {
            phi.value = log_whole + gap;
            phi.slope = others * inverse_whole;
            phi.bend = phi.slope * e * inverse_whole;
        } else {
            const Ints<T> alone = others == T(0);
            const Vector<T> apart = gap + choose(is_top, nearest, zero) + T(recipe.margin[k]);
            const Vector<T> odds = choose(alone, lowest, logarithm<T>(others) + apart);
            phi = shaped<T>(form, chances<T>(odds), curved);
            inverse = one / choose(alone, one, others);
        }
        loss += choose(free, zero, weight * phi.value);
        if (!sloped) continue;
        // of the slope, what a unit of another class's exponential has a share in
        const Vector<T> slope = choose(free, zero, weight * phi.slope);
        Vector<T> part = plain ? choose(free, zero, weight * inverse) : slope * inverse;
        const Ints<T> set_apart = faint & is_top;
        if (some_faint) {
            top_part = choose(set_apart, part, top_part);
            part = choose(set_apart, zero, part);
        }
        by_size.look(part, k);
        store(first + k * pitch, slope);
        store(parts + k * pitch, part);
        if (curved) {
            const Vector<T> bend = choose(free, zero, weight * phi.bend);
            Vector<T> square = plain ? -part * inverse : (bend - slope) * inverse * inverse;
            if (some_faint) {
                top_square = choose(set_apart, square, top_square);
                square = choose(set_apart, zero, square);
            }
            by_square.look(square, k);
            store(second + k * pitch, bend);
            store(curvature + k * pitch, square);
        }
    }
    Vector<T> at_top = zero, above = zero;
    if (recipe.costs) {
        T* choice = block.choice + at;
        at_top = cost_of_choices<T>(recipe, share, choice, pitch, hard && recipe.smoothing == 0, target, top);
        for (int64_t k = 0; k < classes; ++k)
            above += load<Vector<T>>(exponentials + k * pitch) * inverse_whole *
                     (load<Vector<T>>(choice + k * pitch) - at_top);
        loss += at_top + above;
        if (!recipe.weighted) row_weight += one;  // an expected cost has no class weight: each row counts alike
    }
    const Vector<T> weight = load<Vector<T>>(block.weight + at);
    loss = choose(weight == T(0), zero, weight * choose(impossible, all<T>(none), loss));
    store(block.loss + at, loss);
    row_weight *= weight;
    sums->weight += total<T>(row_weight);
    sums->nonzero += double(how_many<T>(row_weight != T(0)));
    if (!sloped) return;
    for (int64_t k = 0; k < classes; ++k) {
        by_size.gather(load<Vector<T>>(parts + k * pitch), k);
        if (curved) by_square.gather(load<Vector<T>>(curvature + k * pitch), k);
    }
    const Vector<T> by = weight * T(factor);
    const Ints<T> idle = by == T(0);
    for (int64_t k = 0; k < classes; ++k) {
        const Vector<T> gap = load<Vector<T>>(z + k * pitch), e = load<Vector<T>>(exponentials + k * pitch);
        const Ints<T> hidden = (gap == infinity) | idle;
        Vector<T> from_others = e * by_size.without(load<Vector<T>>(parts + k * pitch), k);
        Vector<T> from_top = zero;
        if (some_faint) {
            const Vector<T> beside = choose(faint & (top != Int<T>(k)), exponential<T>(-gap - nearest), zero);
            from_others += beside * top_part;
            from_top = beside * beside * top_square;
        }
        Vector<T> slope = from_others - load<Vector<T>>(first + k * pitch), bend = zero;
        if (curved)
            bend = e * e * by_square.without(load<Vector<T>>(curvature + k * pitch), k) + from_top + from_others +
                   load<Vector<T>>(second + k * pitch);
        if (recipe.costs) {
            const Vector<T> p = e * inverse_whole;
            const Vector<T> dearer = p * ((load<Vector<T>>(block.choice + at + k * pitch) - at_top) - above);
            slope += dearer;
            bend += dearer * (one - T(2) * p);
        }
        const T chain = T(recipe.scale[k]);
        store(z + k * pitch, choose(hidden, zero, by * slope * chain));
        if (curved) store(curvature + k * pitch, choose(hidden, zero, by * bend * (chain * chain)));
    }
}

// Class indices as lanes; the weight of ignored rows becomes 0. Returns how many rows are kept.
template <class T>
inline int64_t read_targets(const Block<T>& block, const SoftmaxBatch& batch, int64_t row, int64_t rows,
                            int64_t classes, Sums* sums) {
    int64_t kept = rows;
    with_type(batch.target_type, batch.target, [&](auto* from) {
        from += row;
        int64_t bad = 0, ignored = 0;
        if (batch.ignores) {
            for (int64_t i = 0; i < rows; ++i) {
                const int64_t label = int64_t(widened(from[i]));
                const bool skip = label == batch.ignore_index, valid = uint64_t(label) < uint64_t(classes);
                bad += !valid & !skip;
                ignored += skip;
                block.target[i] = Int<T>(valid & !skip ? label : 0);
                block.weight[i] = skip ? T(0) : block.weight[i];
            }
        } else {
            for (int64_t i = 0; i < rows; ++i) {
                const int64_t label = int64_t(widened(from[i]));
                const bool valid = uint64_t(label) < uint64_t(classes);
                bad += !valid;
                block.target[i] = Int<T>(valid ? label : 0);
            }
        }
        sums->odd += bad;
        kept -= ignored;
    });
    return kept;
}

// Rows that are ignored or weigh nothing are not looked at: whatever their logits hold, these become 0.
template <class T>
inline void clear_idle_rows(const Block<T>& block, int64_t rows, int64_t classes) {
    bool idle = false;
    for (int64_t i = 0; i < rows; ++i) idle |= block.weight[i] == T(0);
    if (!idle) return;
    for (int64_t k = 0; k < classes; ++k)
        for (int64_t i = 0; i < rows; ++i) {
            T* logit = block.logits + k * block.pitch + i;
            *logit = block.weight[i] == T(0) ? T(0) : *logit;
        }
}

// One row per lane; rows of a block are filled up to whole vectors with rows that weigh nothing.
template <class T>
void softmax_blocks(const SoftmaxRecipe& recipe, const SoftmaxBatch& batch, int64_t first, int64_t last, void* scratch,
                    Sums* sums) {
    const bool soft = is_soft(recipe, batch), costs_only = pays_costs_only(recipe, batch);
    const bool sloped = batch.gradient != nullptr, curved = batch.curvature != nullptr;
    const int64_t classes = recipe.classes;
    const bool pairs = !soft && !costs_only && classes == 2 && recipe.weight_by == by_true;
    Block<T> block;
    lay_out<T>(&block, (char*)scratch, classes, soft, curved, recipe.costs);
    Total<T> loss_total;
    int64_t rows = 0;
    for (int64_t row = first; row < last; row += rows) {
        const int64_t outer = row / batch.inner, place = row % batch.inner;
        rows = batch.inner - place;
        rows = rows > block.pitch ? block.pitch : rows;
        rows = rows > last - row ? last - row : rows;
        const int64_t filled = (rows + width<T> - 1) / width<T> * width<T>;
        if (filled > rows)
            for (int64_t k = 0; k < classes; ++k)
                for (int64_t i = rows; i < filled; ++i) {
                    block.logits[k * block.pitch + i] = T(0);
                    if (soft) block.share[k * block.pitch + i] = T(0);
                }
        read_rows<T>(block.logits, block.pitch, batch.logits, batch.logits_type, outer, place, batch.logits_strides,
                     rows, classes);
        for (int64_t i = 0; i < rows; ++i) block.weight[i] = T(1);
        for (int64_t i = rows; i < filled; ++i) {
            block.target[i] = 0;
            block.weight[i] = T(0);
        }
        if (batch.sample_weight) {
            read_run<T>(block.weight, batch.sample_weight, batch.weight_type, row, rows);
            int64_t bad = 0;
            for (int64_t i = 0; i < rows; ++i)
                bad += !(block.weight[i] >= T(0)) | !(block.weight[i] < T(__builtin_inf()));
            sums->odd += bad;
        }
        if (batch.hard) {
            sums->kept += double(read_targets<T>(block, batch, row, rows, classes, sums));
        } else {
            read_rows<T>(block.share, block.pitch, batch.target, batch.target_type, outer, place, batch.target_strides,
                         rows, classes);
            for (int64_t k = 0; k < classes; ++k)
                for (int64_t i = 0; i < rows; ++i) {
                    const T share = block.share[k * block.pitch + i];
                    sums->odd += !(share >= T(0) && share < T(__builtin_inf()));
                }
            sums->kept += double(rows);
        }
        if (batch.ignores || batch.sample_weight) clear_idle_rows<T>(block, rows, classes);
        for (int64_t i = 0; i < filled; i += width<T>) {
            if (pairs)
                hard_pairs<T>(recipe, block, i, batch.factor, sloped, curved, sums);
            else if (costs_only)
                cost_rows<T>(recipe, block, i, batch.factor, sloped, curved, sums);
            else if (soft)
                soft_rows<T>(recipe, block, i, batch.hard, batch.factor, sloped, curved, sums);
            else
                hard_rows<T>(recipe, block, i, batch.factor, sloped, curved, sums);
            loss_total.add(load<Vector<T>>(block.loss + i));
        }
        if (batch.loss) write_run<T>(block.loss, batch.loss, batch.loss_type, row, rows);
        if (curved && batch.newton.wanted)
            for (int64_t i = 0; i < filled; i += width<T>)
                for (int64_t k = 0; k < classes; ++k) {
                    T* curvature = block.curvature + k * block.pitch + i;
                    const Vector<T> gradient = load<Vector<T>>(block.logits + k * block.pitch + i);
                    store(curvature, fit_for_newton<T>(batch.newton, load<Vector<T>>(curvature), gradient));
                }
        if (sloped)
            write_rows<T>(block.logits, block.pitch, batch.gradient, batch.gradient_type, outer, place,
                          batch.gradient_strides, rows, classes);
        if (curved)
            write_rows<T>(block.curvature, block.pitch, batch.curvature, batch.gradient_type, outer, place,
                          batch.gradient_strides, rows, classes);
    }
    const double loss = loss_total.value();
    sums->loss += loss;
    sums->odd += loss != loss;
}

}  // namespace
}  // namespace COUNTERPOISE_ISA
}  // namespace counterpoise
