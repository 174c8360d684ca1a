// phi, the shape that a loss gives to a cross-entropy, with its derivatives by the log odds o against the truth.
#pragma once
//
// The formulas are those of recipes/shape.py; n = sigmoid(o) is the probability of being wrong, p = 1 - n.
#include "exponential.h"
#include "kernels.h"

namespace counterpoise {
namespace COUNTERPOISE_ISA {
namespace {

template <class T>
struct Chances {
    Vector<T> wrong, right;  // n, p
    Vector<T> loss, gain;    // -log p, -log n

    COUNTERPOISE_INLINE Chances swapped() const { return {right, wrong, gain, loss}; }
};

template <class T>
COUNTERPOISE_INLINE Chances<T> chances(Vector<T> odds) {
    const Vector<T> t = exponential<T>(-magnitude<T>(odds));
    // one division serves 1 / (1 + t) and t / (2 + t)
    const Vector<T> one = t + T(1), two = t + T(2), inverse = T(1) / (one * two);
    const Vector<T> large = two * inverse, small = t * large, zero = {};
    const Vector<T> l = log_of_quotient<T>(t * one * inverse);
    const auto ahead = odds > zero;
    return {choose(ahead, large, small), choose(ahead, small, large), larger(odds, zero) + l, larger(-odds, zero) + l};
}

template <class T>
struct Phi {
    Vector<T> value, slope, bend;
};

template <class T>
COUNTERPOISE_INLINE Vector<T> multiplied(Vector<T> v, int times) {
    Vector<T> product = v;
    for (int i = 1; i < times; ++i) product *= v;
    return product;
}

template <class T>
COUNTERPOISE_INLINE Phi<T> unclipped(const Form& form, const Chances<T>& at, bool bent) {
    const T q = T(form.robustness), g = T(form.focus), e = T(form.poly);
    const Vector<T> n = at.wrong, p = at.right;
    Vector<T> inner = at.loss, inner_slope = n;
    if (form.robust) {
        const Vector<T> less = exponential_less_one<T>(-q * at.loss);
        inner = less * (T(-1) / q);
        inner_slope = n * (less + T(1));
        // close to p = 0 the sum has lost the digits of p^q
        inner_slope = choose(less < T(-0.5), n * exponential<T>(-q * at.loss), inner_slope);
    }
    Phi<T> phi = {inner, inner_slope, {}};
    const Vector<T> inner_bend = inner_slope * (p - q * n);
    if (!form.focused) {
        phi.bend = inner_bend;
    } else {
        const int whole = form.whole_focus;
        const Vector<T> factor = whole > 0 ? multiplied<T>(n, whole) : exponential<T>(-g * at.gain);
        const Vector<T> part = choose(p == T(0), Vector<T>{}, p * inner);  // 0 * inf where all is lost
        phi.value = factor * inner;
        phi.slope = factor * (g * part + inner_slope);
        if (bent) phi.bend = factor * (g * (g * p - n) * part + T(2) * g * p * inner_slope + inner_bend);
    }
    if (form.extra) {
        const Vector<T> np = n * p;
        phi.value += e * n;
        phi.slope += e * np;
        if (bent) phi.bend += e * np * (p - n);
    }
    return phi;
}

// The probability of being wrong less the clip, where any is left, and -log(right) = -(whole ln 2 + log of a quotient).
template <class T>
struct Shifted {
    Ints<T> counted;
    Vector<T> wrong, right, whole, top, bottom;
};

template <class T>
COUNTERPOISE_INLINE Shifted<T> shifted(const Form& form, Vector<T> wrong_before, Vector<T> right_before) {
    using L = Lanes<T>;
    const T clip = T(form.clip);
    const Vector<T> half = all<T>(0.5), left = wrong_before - clip;
    const auto counted = left > T(0);
    const Vector<T> wrong = choose(counted, left, half), right = choose(counted, right_before + clip, half);
    const auto near = wrong < T(0.5);  // then the digits are those of `wrong`
    const Ints<T> k = (bits<Ints<T>>(right) - bits<Int<T>>(L::sqrt_half)) >> L::mantissa;
    const Vector<T> m = bits<Vector<T>>(bits<Ints<T>>(right) - (k << L::mantissa));
    return {counted,
            wrong,
            right,
            choose(near, Vector<T>{}, __builtin_convertvector(k, Vector<T>)),
            choose(near, -wrong, m - T(1)),
            choose(near, T(2) - wrong, m + T(1))};
}

template <class T>
COUNTERPOISE_INLINE Vector<T> cross_entropy_of(const Shifted<T>& shift, Vector<T> log_of_quotient) {
    return -(shift.whole * T(Lanes<T>::ln2_high + Lanes<T>::ln2_low) + log_of_quotient);
}

template <class T>
COUNTERPOISE_INLINE Phi<T> clipped(const Form& form, const Chances<T>& at, const Shifted<T>& shift,
                                   Vector<T> cross_entropy, Vector<T> inverse_of_right, bool bent) {
    const T q = T(form.robustness), g = T(form.focus), e = T(form.poly);
    const Vector<T> wrong = shift.wrong, right = shift.right;
    const auto counted = shift.counted;
    Vector<T> inner, by_wrong;
    if (!form.robust) {
        inner = cross_entropy;
        by_wrong = inverse_of_right;
    } else {
        inner = exponential_less_one<T>(-q * cross_entropy) * (T(-1) / q);
        by_wrong = exponential<T>((T(1) - q) * cross_entropy);
    }
    Phi<T> phi;
    Vector<T> slope, bend = {};
    const Vector<T> by_wrong_twice = (T(1) - q) * by_wrong / right;
    if (!form.focused) {
        phi.value = inner;
        slope = by_wrong;
        bend = by_wrong_twice;
    } else {
        const int exponent = form.whole_focus;
        Vector<T> less, factor;  // wrong^(g - 1), wrong^g
        if (exponent > 0) {
            less = exponent == 1 ? all<T>(1) : multiplied<T>(wrong, exponent - 1);
            factor = less * wrong;
        } else {
            factor = exponential<T>(g * logarithm<T>(wrong));
            less = factor / wrong;
        }
        phi.value = factor * inner;
        slope = g * less * inner + factor * by_wrong;
        if (bent) bend = g * (g - T(1)) * less / wrong * inner + T(2) * g * less * by_wrong + factor * by_wrong_twice;
    }
    if (form.extra) {
        phi.value += e * wrong;
        slope += e;
    }
    const Vector<T> np = at.wrong * at.right, zero = {};
    phi.bend = bent ? choose(counted, bend * np * np + slope * np * (at.right - at.wrong), zero) : zero;
    phi.value = choose(counted, phi.value, at.wrong * T(0));  // NaN stays
    phi.slope = choose(counted, slope * np, zero);
    return phi;
}

template <class T>
COUNTERPOISE_INLINE Phi<T> clipped(const Form& form, const Chances<T>& at, bool bent) {
    const Shifted<T> shift = shifted<T>(form, at.wrong, at.right);
    const Vector<T> inverse = T(1) / (shift.bottom * shift.right);  // one division serves two quotients
    const Vector<T> log = log_of_quotient<T>(shift.top * shift.right * inverse);
    return clipped<T>(form, at, shift, cross_entropy_of<T>(shift, log), shift.bottom * inverse, bent);
}

// `right` where the mask is set, else `wrong`, which is clipped: both logarithms are one.
template <class T>
COUNTERPOISE_INLINE Phi<T> one_sided(const Form& right, const Form& wrong, Ints<T> is_right, Vector<T> odds,
                                     bool bent) {
    const Vector<T> t = exponential<T>(-magnitude<T>(odds)), zero = {}, one = all<T>(1);
    const Vector<T> large = one / (t + T(1)), small = t * large;
    const auto ahead = odds > zero;
    const Vector<T> n = choose(ahead, large, small), p = choose(ahead, small, large);
    const Shifted<T> shift = shifted<T>(wrong, n, p);
    const Vector<T> bottom = choose(is_right, t + T(2), shift.bottom), top = choose(is_right, t, shift.top);
    const Vector<T> inverse = one / (bottom * shift.right), log = log_of_quotient<T>(top * shift.right * inverse);
    const Chances<T> at = {n, p, larger(odds, zero) + log, larger(-odds, zero) + log};
    Phi<T> phi = clipped<T>(wrong, at, shift, cross_entropy_of<T>(shift, log), bottom * inverse, bent);
    const Phi<T> other = unclipped<T>(right, at, bent);
    phi.value = choose(is_right, other.value, phi.value);
    phi.slope = choose(is_right, other.slope, phi.slope);
    if (bent) phi.bend = choose(is_right, other.bend, phi.bend);
    return phi;
}

template <class T>
COUNTERPOISE_INLINE Phi<T> shaped(const Form& form, const Chances<T>& at, bool bent) {
    return !form.clipped ? unclipped<T>(form, at, bent) : clipped<T>(form, at, bent);
}

}  // namespace
}  // namespace COUNTERPOISE_ISA
}  // namespace counterpoise
