// exp, expm1 and log in single and double precision.
#pragma once
//
// exp: r = x - k ln 2 with |r| <= ln 2 / 2, then 1 + r + r^2 q(r); log: x = 2^k m, then log m = 2 atanh((m - 1) / (m +
// 1)). The polynomials interpolate at Chebyshev nodes: relative errors 1e-8 and 4e-9 (single), 2e-17 and 5e-17
// (double). Over the whole range, denormals included, tests/losses/test_elementary.py holds, in units of the last
// place, for single / double: exp to 1.2 / 1.2, expm1 (x <= 0) to 1.3 / 1.3, log to 4.0 / 4.5, log1p of [0, 1] to 4.0
// / 5.5.
#include "lanes.h"

namespace counterpoise {
namespace COUNTERPOISE_ISA {
namespace {

COUNTERPOISE_INLINE Vector<float> exponential_tail(Vector<float> r) {
    const Vector<float> r2 = r * r;
    const Vector<float> a = r * 0.166665767f + 0.5f, b = r * 0.00836323288f + 0.0416665542f;
    return a + r2 * (b + r2 * 0.00139262508f);
}

COUNTERPOISE_INLINE Vector<double> exponential_tail(Vector<double> r) {
    const Vector<double> r2 = r * r, r4 = r2 * r2;
    const Vector<double> a = r * 0.166666666666666675 + 0.500000000000000103;
    const Vector<double> b = r * 0.0083333333333300382 + 0.0416666666666238205;
    const Vector<double> c = r * 0.00019841269863171556 + 0.00138888889173670806;
    const Vector<double> d = r * 2.75572682769056962e-6 + 0.0000248015210578682052;
    const Vector<double> e = r * 2.5100472505694996e-8 + 2.76202015910315488e-7;
    return (a + b * r2) + ((c + d * r2) + e * r4) * r4;
}

COUNTERPOISE_INLINE Vector<float> arctangent_series(Vector<float> z) {
    const Vector<float> z2 = z * z;
    const Vector<float> a = z * 0.333331601f + 1.0f, b = z * 0.139819052f + 0.200123375f;
    return a + z2 * (b + z2 * 0.140823644f);
}

COUNTERPOISE_INLINE Vector<double> arctangent_series(Vector<double> z) {
    const Vector<double> z2 = z * z, z4 = z2 * z2;
    const Vector<double> a = z * 0.333333333333413635 + 1.0;
    const Vector<double> b = z * 0.142857145578731277 + 0.199999999976235798;
    const Vector<double> c = z * 0.090914327843212846 + 0.111110953278901214;
    const Vector<double> d = z * 0.0679610231020507564 + 0.07681790845659;
    const Vector<double> e = z * 0.0889524871859537227 + 0.0493809879871464637;
    return (a + b * z2) + ((c + d * z2) + e * z4) * z4;
}

template <class T>
struct Power {
    Vector<T> rest;   // exp(r) - 1
    Vector<T> whole;  // k
    Ints<T> k;
};

template <class T>
COUNTERPOISE_INLINE Power<T> split_power(Vector<T> x) {
    using L = Lanes<T>;
    x = smaller(all<T>(L::most), larger(all<T>(L::least), x));  // in this order NaN stays
    const Vector<T> shifted = x * L::log2e + L::magic;
    const Vector<T> whole = shifted - L::magic;
    const Vector<T> r = (x - whole * L::ln2_high) - whole * L::ln2_low;
    return {r + r * r * exponential_tail(r), whole, bits<Ints<T>>(shifted) - bits<Int<T>>(L::magic)};
}

// v 2^k, in two steps where one factor would leave the range of normal numbers
template <class T>
COUNTERPOISE_INLINE Vector<T> scaled(Vector<T> v, const Power<T>& power) {
#if defined(__AVX512F__)
    if constexpr (sizeof(T) == 4)
        return (Vector<T>)_mm512_maskz_scalef_ps(0xffff, (__m512)v, (__m512)power.whole);
    else
        return (Vector<T>)_mm512_maskz_scalef_pd(0xff, (__m512d)v, (__m512d)power.whole);
#else
    using L = Lanes<T>;
    const Ints<T> half = power.k >> 1, other = power.k - half;
    return v * bits<Vector<T>>((half + L::bias) << L::mantissa) * bits<Vector<T>>((other + L::bias) << L::mantissa);
#endif
}

template <class T>
COUNTERPOISE_INLINE Vector<T> exponential(Vector<T> x) {
    const Power<T> power = split_power<T>(x);
    return scaled<T>(power.rest + T(1), power);
}

// exp of a difference that has been rounded already: as good as that, relative error 1e-7 (1 + |x|), in fewer steps.
template <class T>
COUNTERPOISE_INLINE Vector<T> exponential_of_gap(Vector<T> x) {
#if defined(__AVX512F__)
    if constexpr (sizeof(T) == 4) {
        const Vector<float> t = x * Lanes<float>::log2e;
        constexpr int from_floor = 1;
        const Vector<float> r = (Vector<float>)_mm512_maskz_reduce_ps(0xffff, (__m512)t, from_floor);  // 0 for -inf
        const Vector<float> r2 = r * r;
        const Vector<float> a = r * 0.240227204f + 0.693147171f, b = r * 0.00965219506f + 0.0554960236f;
        const Vector<float> c = r * 0.000208179150f + 0.00126921661f;
        const Vector<float> p = r * (a + r2 * (b + r2 * c)) + 1.0f;
        return (Vector<float>)_mm512_maskz_scalef_ps(0xffff, (__m512)p, (__m512)t);  // p 2^floor(t)
    }
#endif
    return exponential<T>(x);
}

// exp(x) - 1 for x <= 0
template <class T>
COUNTERPOISE_INLINE Vector<T> exponential_less_one(Vector<T> x) {
    const Power<T> power = split_power<T>(x);
    const Vector<T> scale = scaled<T>(all<T>(1), power);
    return scale * power.rest + (scale - T(1));
}

// log of a quotient near 1: (1 + s) / (1 - s), |s| <= 1/3
template <class T>
COUNTERPOISE_INLINE Vector<T> log_of_quotient(Vector<T> s) {
    return T(2) * s * arctangent_series(s * s);
}

// for x >= 0, denormal numbers included; log 0 is -inf, log inf is inf, NaN stays
template <class T>
COUNTERPOISE_INLINE Vector<T> logarithm(Vector<T> x) {
    using L = Lanes<T>;
    const Ints<T> small = x < L::tiny;
    const Vector<T> lifted = choose(small, x * L::lift, x);
    const Ints<T> place = bits<Ints<T>>(lifted) - bits<Int<T>>(L::sqrt_half);
    const Ints<T> k = place >> L::mantissa;
    const Vector<T> m = bits<Vector<T>>(bits<Ints<T>>(lifted) - (k << L::mantissa));
    const Vector<T> log_m = log_of_quotient<T>((m - T(1)) / (m + T(1)));
    const Vector<T> whole = __builtin_convertvector(k - (small & L::lift_bits), Vector<T>);
    const Vector<T> result = whole * L::ln2_high + (log_m + whole * L::ln2_low);
    const T infinity = T(__builtin_inf());
    return choose(x == T(0), all<T>(-infinity), choose(x < infinity, result, x));
}

}  // namespace
}  // namespace COUNTERPOISE_ISA
}  // namespace counterpoise
