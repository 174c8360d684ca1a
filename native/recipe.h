// Recipes that own their parameters, in the form that the kernels take.
#pragma once
#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "kernels.h"

namespace counterpoise {

constexpr std::size_t beyond = 16;  // a vector may read so many numbers past the last class

inline std::vector<double> padded(std::vector<double> values) {
    values.resize(values.size() + beyond, 1.0);
    return values;
}

inline std::vector<float> rounded(const std::vector<double>& values) {
    return std::vector<float>(values.begin(), values.end());
}

inline bool varies(const std::vector<double>& values, double from) {
    for (double value : values)
        if (value != from) return true;
    return false;
}

constexpr double most_multiplied = 8;  // a focus up to here is a product

inline Form form_of(double focus, double robustness, double poly, double clip) {
    const bool whole = focus == std::floor(focus) && focus <= most_multiplied;
    return {focus,      robustness,      poly,      clip,     whole ? int32_t(focus) : -1,
            focus != 0, robustness != 0, poly != 0, clip != 0};
}

struct Softmax {
    std::vector<double> weight, scale, offset, margin, pair, centred_offset;
    std::vector<float> narrow_scale, narrow_offset, narrow_centred;
    SoftmaxRecipe recipe{};

    Softmax(std::vector<double> weight_, std::vector<double> scale_, std::vector<double> offset_,
            std::vector<double> margin_, std::vector<double> pair_, double focus, double robustness, double poly,
            double smoothing, int weight_by, bool costs) {
        recipe.classes = int64_t(weight_.size());
        recipe.affine = varies(scale_, 1) || varies(offset_, 0);
        recipe.one_scale = !varies(scale_, scale_[0]);
        recipe.margined = varies(margin_, 0);
        recipe.uniform = !varies(weight_, weight_[0]);
        recipe.weighted = varies(weight_, 0);
        const auto ends = std::minmax_element(offset_.begin(), offset_.end());
        recipe.centre = (*ends.first + *ends.second) / 2;
        for (double value : offset_) centred_offset.push_back(value - recipe.centre);
        centred_offset = padded(std::move(centred_offset));
        narrow_centred = rounded(centred_offset);
        recipe.centred_offset = centred_offset.data();
        recipe.narrow_centred = narrow_centred.data();
        weight = padded(std::move(weight_));
        scale = padded(std::move(scale_));
        offset = padded(std::move(offset_));
        margin = padded(std::move(margin_));
        pair = std::move(pair_);
        narrow_scale = rounded(scale);
        narrow_offset = rounded(offset);
        recipe.form = form_of(focus, robustness, poly, 0);
        recipe.smoothing = smoothing;
        recipe.weight_by = weight_by;
        recipe.costs = costs;
        recipe.weight = weight.data();
        recipe.scale = scale.data();
        recipe.offset = offset.data();
        recipe.margin = margin.data();
        recipe.pair = pair.data();
        recipe.narrow_scale = narrow_scale.data();
        recipe.narrow_offset = narrow_offset.data();
    }
    Softmax(const Softmax&) = delete;
};

struct Sigmoid {
    std::vector<double> positive_weight, negative_weight, scale, offset;
    SigmoidRecipe recipe{};

    Sigmoid(std::vector<double> positive_weight_, std::vector<double> negative_weight_, std::vector<double> scale_,
            std::vector<double> offset_, double positive_focus, double negative_focus, double clip, double robustness,
            double poly, double smoothing)
        : positive_weight(std::move(positive_weight_)),
          negative_weight(std::move(negative_weight_)),
          scale(std::move(scale_)),
          offset(std::move(offset_)) {
        recipe.labels = int64_t(scale.size());
        recipe.positive = form_of(positive_focus, robustness, poly, 0);
        recipe.negative = form_of(negative_focus, robustness, poly, clip);
        recipe.smoothing = smoothing;
        recipe.affine = varies(scale, 1) || varies(offset, 0);
        recipe.positive_weight = positive_weight.data();
        recipe.negative_weight = negative_weight.data();
        recipe.scale = scale.data();
        recipe.offset = offset.data();
    }
    Sigmoid(const Sigmoid&) = delete;
};

}  // namespace counterpoise
