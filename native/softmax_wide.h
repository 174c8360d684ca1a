// Hard targets among many classes, contiguous in memory: lanes are classes, and a row stays in cache between its
// passes.
#pragma once
#include "elements.h"
#include "form.h"
#include "softmax.h"

namespace counterpoise {
namespace COUNTERPOISE_ISA {
namespace {

constexpr int64_t rows_together = 8, bytes_together = 262144, fewest_classes = 33, vectors_per_sum = 32;

inline int64_t rows_at_once(int64_t bytes_per_row) {
    const int64_t rows = bytes_together / bytes_per_row;
    return rows < 1 ? 1 : rows > rows_together ? rows_together : rows;
}

// The first `size` numbers, and `fill` beyond.
template <class T>
COUNTERPOISE_INLINE Vector<T> load_some(const T* from, int64_t size, T fill) {
#if defined(__AVX512F__)
    const unsigned mask = (1u << size) - 1;
    if constexpr (sizeof(T) == 4)
        return (Vector<T>)_mm512_mask_loadu_ps(_mm512_set1_ps(fill), __mmask16(mask), from);
    else
        return (Vector<T>)_mm512_mask_loadu_pd(_mm512_set1_pd(fill), __mmask8(mask), from);
#else
    T some[width<T>];
    for (int i = 0; i < width<T>; ++i) some[i] = i < size ? from[i] : fill;
    return load<Vector<T>>(some);
#endif
}

template <class T>
COUNTERPOISE_INLINE void store_some(T* to, int64_t size, Vector<T> v) {
#if defined(__AVX512F__)
    const unsigned mask = (1u << size) - 1;
    if constexpr (sizeof(T) == 4)
        _mm512_mask_storeu_ps(to, __mmask16(mask), (__m512)v);
    else
        _mm512_mask_storeu_pd(to, __mmask8(mask), (__m512d)v);
#else
    for (int i = 0; i < size; ++i) to[i] = v[i];
#endif
}

template <class T>
inline Ints<T> lane_numbers() {
    Ints<T> numbers;
    for (int i = 0; i < width<T>; ++i) numbers[i] = i;
    return numbers;
}

template <class T>
COUNTERPOISE_INLINE Vector<T> shifted(const SoftmaxRecipe& recipe, Vector<T> z, int64_t k) {
    if constexpr (sizeof(T) == 4) {
        const float* offset = recipe.one_scale ? recipe.narrow_centred : recipe.narrow_offset;
        return z * load<Vector<T>>(recipe.narrow_scale + k) + load<Vector<T>>(offset + k);
    } else {
        const double* offset = recipe.one_scale ? recipe.centred_offset : recipe.offset;
        return z * load<Vector<T>>(recipe.scale + k) + load<Vector<T>>(offset + k);
    }
}

// The largest of `size` shifted logits from class `k` on; whole vectors.
template <class T>
inline Vector<T> largest_of(const SoftmaxRecipe& recipe, const T* z, int64_t k, int64_t end, Vector<T> largest) {
    Vector<T> most[4] = {largest, largest, largest, largest};
    for (; k + 4 * width<T> <= end; k += 4 * width<T>)
        for (int i = 0; i < 4; ++i) {
            Vector<T> u = load<Vector<T>>(z + k + i * width<T>);
            if (recipe.affine) u = shifted<T>(recipe, u, k + i * width<T>);
            most[i] = larger(u, most[i]);
        }
    for (; k < end; k += width<T>) {
        Vector<T> u = load<Vector<T>>(z + k);
        if (recipe.affine) u = shifted<T>(recipe, u, k);
        most[0] = larger(u, most[0]);
    }
    for (int i = 1; i < 4; ++i) most[0] = larger(most[i], most[0]);
    return most[0];
}

template <class T>
COUNTERPOISE_INLINE Vector<T> exponential_at(const SoftmaxRecipe& recipe, const T* z, int64_t k, T origin) {
    if (!recipe.affine) return exponential_of_gap<T>(load<Vector<T>>(z) - origin);
    if (recipe.one_scale) {  // applied to differences of logits, which keep their digits
        const Vector<T> difference = load<Vector<T>>(z) - origin;
        if constexpr (sizeof(T) == 4)
            return exponential_of_gap<T>(difference * T(recipe.scale[0]) + load<Vector<T>>(recipe.narrow_centred + k));
        else
            return exponential_of_gap<T>(difference * recipe.scale[0] + load<Vector<T>>(recipe.centred_offset + k));
    }
    const double *scale = recipe.scale + k, *offset = recipe.offset + k;
    const double from = origin;
    return exponential_of_gap<T>(in_double(z, [=](Vector<double> x, int place) {
        return (x * load<Vector<double>>(scale + place) + load<Vector<double>>(offset + place)) - from;
    }));
}

template <class T, bool kept>
inline void sum_exponentials(const SoftmaxRecipe& recipe, const T* z, T* e, int64_t k, int64_t end, T origin,
                             Total<T>* total) {
    while (k < end) {
        int64_t stop = k + vectors_per_sum * width<T>;
        stop = stop > end ? end : stop;
        Vector<T> sum = {};
        for (; k < stop; k += width<T>) {
            const Vector<T> v = exponential_at<T>(recipe, z + k, k, origin);
            sum += v;
            if constexpr (kept) store(e + k, v);
        }
        total->add(sum);
    }
}

struct WideRow {
    double spread, lead, weight;
    int64_t target;
    bool hidden;
};

// The sum of exp(u - origin) over all classes but the true one, stored to `e` where that is kept.
template <class T, bool kept>
inline WideRow wide_row(const SoftmaxRecipe& recipe, const T* z, T* e, int64_t target) {
    const int64_t classes = recipe.classes, w = width<T>;
    const int64_t full = classes / w * w, special = target / w * w, after = special + w;
    const T infinity = T(__builtin_inf());
    const Ints<T> lane = lane_numbers<T>();
    const T own = z[target];
    const int64_t in_special = classes - special < w ? classes - special : w;
    auto without_own = [&](int64_t from) {
        Vector<T> v = load_some<T>(z + from, classes - from < w ? classes - from : w, -infinity);
        return choose(lane + Int<T>(from) == Int<T>(target), all<T>(-infinity), v);
    };
    Vector<T> most = all<T>(-infinity);
    most = largest_of<T>(recipe, z, 0, special, most);
    if (after < full) most = largest_of<T>(recipe, z, after, full, most);
    const bool tail = full < classes && special < full;
    const int64_t apart[2] = {special, tail ? full : special};
    for (int64_t from : apart) {
        Vector<T> u = without_own(from);
        if (recipe.affine) u = shifted<T>(recipe, u, from);
        most = choose(u > most, u, most);
    }
    T origin = -infinity;
    for (int i = 0; i < width<T>; ++i) origin = most[i] > origin ? most[i] : origin;
    const bool none = origin == -infinity;
    if (none) origin = T(0);
    double level = origin;  // that the exponentials are relative to
    if (recipe.affine && recipe.one_scale) {
        origin = T(level / recipe.scale[0]);
        level = double(origin) * recipe.scale[0] + recipe.centre;
    }
    Total<T> total;
    sum_exponentials<T, kept>(recipe, z, e, 0, special, origin, &total);
    T padded[width<T>];
    const Vector<T> at_special = without_own(special), at_tail = without_own(full < classes ? full : special);
    if (after < full) sum_exponentials<T, kept>(recipe, z, e, after, full, origin, &total);
    store(padded, at_special);
    Vector<T> v = exponential_at<T>(recipe, padded, special, origin);
    total.add(v);
    if constexpr (kept) store_some<T>(e + special, in_special, v);
    if (tail) {
        store(padded, at_tail);
        v = exponential_at<T>(recipe, padded, full, origin);
        total.add(v);
        if constexpr (kept) store_some<T>(e + full, classes - full, v);
    }
    WideRow row;
    row.spread = total.value();
    row.lead = level - (double(own) * recipe.scale[target] + (recipe.offset[target] - recipe.margin[target]));
    if (own == infinity || origin == infinity) row.spread = __builtin_nan("");
    row.hidden = own == -infinity;
    row.target = target;
    return row;
}

template <class T>
inline size_t wide_scratch(const SoftmaxRecipe& recipe, const SoftmaxBatch& batch) {
    const int64_t bytes = aligned((recipe.classes + 2 * width<T>)*int64_t(sizeof(T)));
    (void)batch;
    return size_t(bytes * (rows_at_once(bytes) + 1));
}

template <class T>
void softmax_wide(const SoftmaxRecipe& recipe, const SoftmaxBatch& batch, int64_t first, int64_t last, void* scratch,
                  Sums* sums) {
    constexpr Type own_type = sizeof(T) == 4 ? float32 : float64;
    const int64_t classes = recipe.classes, bytes = aligned((classes + 2 * width<T>)*int64_t(sizeof(T)));
    const int64_t together = rows_at_once(bytes);
    const bool sloped = batch.gradient != nullptr;
    T* const converted = (T*)scratch;
    T* const kept = (T*)((char*)scratch + bytes);
    const Strides &in = batch.logits_strides, &out = batch.gradient_strides;
    const bool scaled_logits = recipe.affine;
    WideRow rows[rows_together];
    T* exponentials[rows_together];
    for (int64_t row = first; row < last; row += together) {
        const int64_t size = last - row < together ? last - row : together;
        for (int64_t i = 0; i < rows_together; ++i) rows[i] = {1.0, 0.0, 0.0, 0, false};
        for (int64_t i = 0; i < size; ++i) {
            const int64_t outer = (row + i) / batch.inner, place = (row + i) % batch.inner;
            const int64_t start = outer * in.outer + place * in.inner;
            const int64_t out_start = outer * out.outer + place * out.inner;
            const T* z = (const T*)batch.logits + start;
            if (batch.logits_type != own_type) {
                read_run<T>(converted, batch.logits, batch.logits_type, start, classes);
                z = converted;
            }
            exponentials[i] =
                batch.gradient_type == own_type ? (T*)batch.gradient + out_start : (T*)((char*)kept + i * bytes);
            int64_t target = batch.target_type == int32 ? ((const int32_t*)batch.target)[row + i]
                                                        : ((const int64_t*)batch.target)[row + i];
            double weight = 1;
            if (batch.sample_weight)
                with_type(batch.weight_type, batch.sample_weight,
                          [&](auto* from) { weight = double(widened(from[row + i])); });
            sums->odd += !is_weight(weight);
            const bool ignored = batch.ignores && target == batch.ignore_index;
            sums->kept += !ignored;
            if (ignored || target < 0 || target >= classes) {
                sums->odd += !ignored;
                target = 0;
                weight = 0;
            }
            if (weight == 0) {  // a row that is ignored or weighs nothing is not looked at
                rows[i].weight = 0;
                for (int64_t k = 0; sloped && k < classes; ++k) exponentials[i][k] = T(0);
                continue;
            }
            rows[i] = sloped ? wide_row<T, true>(recipe, z, exponentials[i], target)
                             : wide_row<T, false>(recipe, z, nullptr, target);
            rows[i].weight = weight * recipe.weight[target];
        }
        double slopes[rows_together], per_share[rows_together], losses[rows_together];
        for (int64_t i = 0; i < size; i += width<double>) {
            Vector<double> spread, lead, weight;
            Ints<double> hidden;
            for (int lane = 0; lane < width<double>; ++lane) {
                const WideRow& one = rows[i + lane < rows_together ? i + lane : 0];
                spread[lane] = one.spread;
                lead[lane] = one.lead;
                weight[lane] = i + lane < size ? one.weight : 0.0;
                hidden[lane] = one.hidden ? -1 : 0;
            }
            const double infinity = __builtin_inf();
            const Vector<double> zero = {};
            const Ints<double> alone = spread == 0.0;
            Vector<double> odds = logarithm<double>(spread) + lead;
            odds = choose(alone, all<double>(-infinity), odds);
            odds = choose(alone & hidden, all<double>(__builtin_nan("")), odds);
            const Ints<double> free = (weight == 0.0) & (odds == odds);
            const Phi<double> phi = shaped<double>(recipe.form, chances<double>(odds), false);
            const Vector<double> loss = choose(free, zero, weight * phi.value);
            sums->odd += how_many<double>(odds != odds);  // also of rows that weigh nothing
            sums->loss += total<double>(loss);
            const Vector<double> slope = choose(free, zero, (weight * batch.factor) * phi.slope);
            const Vector<double> share = slope / choose(alone, all<double>(1), spread);
            for (int lane = 0; lane < width<double> && i + lane < size; ++lane) {
                slopes[i + lane] = slope[lane];
                per_share[i + lane] = share[lane];
                losses[i + lane] = loss[lane];
            }
        }
        if (batch.loss) {
            with_floating(batch.loss_type, batch.loss, [&](auto* to) {
                for (int64_t i = 0; i < size; ++i) narrow(losses[i], to + row + i);
            });
        }
        if (!sloped) continue;
        for (int64_t i = 0; i < size; ++i) {
            T* e = exponentials[i];
            const T by = T(per_share[i]);
            if (scaled_logits) {
                const T chain = T(recipe.scale[0]);
                if (recipe.one_scale)
                    for (int64_t k = 0; k < classes; ++k) e[k] *= by * chain;
                else
                    for (int64_t k = 0; k < classes; ++k) e[k] *= by * T(recipe.scale[k]);
            } else {
                for (int64_t k = 0; k < classes; ++k) e[k] *= by;
            }
            const int64_t target = rows[i].target;
            e[target] = rows[i].hidden ? T(0) : T(-slopes[i] * recipe.scale[target]);
            if (batch.gradient_type != own_type) {
                const int64_t outer = (row + i) / batch.inner, place = (row + i) % batch.inner;
                write_run<T>(e, batch.gradient, batch.gradient_type, outer * out.outer + place * out.inner, classes);
            }
        }
    }
}

}  // namespace
}  // namespace COUNTERPOISE_ISA
}  // namespace counterpoise
