// A forest that owns its trees, in the form that the kernels take: checked when it is made, so that no kernel reads
// outside its arrays whatever a file held.
#pragma once
#include <atomic>
#include <new>
#include <stdexcept>
#include <vector>

#include "kernels.h"
#include "threads.h"

namespace counterpoise {

struct OwnedForest {
    std::vector<Node> nodes;
    std::vector<Tree> trees;
    std::vector<double> values;
    std::vector<Set> sets;
    std::vector<uint64_t> words;
    std::vector<uint8_t> coded;
    Forest forest{};

    // Of each tree its first node, its first that sends missing values right, its first that asks for a set, its first
    // leaf; of each set its codes, whose bits begin a new word. A node that asks for none has the set -1.
    OwnedForest(int64_t features, int64_t outputs, double zero, const std::vector<int32_t>& feature,
                const std::vector<double>& threshold, const std::vector<uint64_t>& kept,
                const std::vector<int32_t>& set, const std::vector<int64_t>& missing_left,
                const std::vector<int64_t>& missing_right, const std::vector<int64_t>& asks,
                const std::vector<int64_t>& leaves, std::vector<double> values_, const std::vector<int64_t>& codes,
                std::vector<uint64_t> words_)
        : values(std::move(values_)), words(std::move(words_)) {
        const std::size_t count = leaves.size();
        if (features < 1 || features > INT32_MAX || outputs < 1 || outputs > INT32_MAX)
            throw std::invalid_argument("a forest has at least 1 feature and 1 output, and at most 2^31 - 1 of each");
        if (feature.size() != threshold.size() || kept.size() != threshold.size() || set.size() != threshold.size() ||
            missing_left.size() != count || missing_right.size() != count || asks.size() != count)
            throw std::invalid_argument("the arrays of a forest differ in length");
        int64_t word = 0;
        for (const int64_t size : codes) {
            if (size < 0 || size > INT32_MAX) throw std::invalid_argument("a set has no such codes");
            sets.push_back({word, size});
            word += (size + 1) / 64 + 1;
        }
        if (word != int64_t(words.size())) throw std::invalid_argument("the sets of a forest have other words");
        for (const Set& one : sets)
            if (words[std::size_t(one.first_word + (one.codes + 1) / 64)] >> ((one.codes + 1) & 63) & 1)
                throw std::invalid_argument("a set holds a code that it does not have");
        coded.resize(std::size_t(features));
        for (std::size_t i = 0; i < threshold.size(); ++i) {
            if (feature[i] < 0 || feature[i] >= features) throw std::invalid_argument("a node has no such feature");
            nodes.push_back({threshold[i], kept[i], feature[i], set[i]});
        }
        for (std::size_t i = 0; i < count; ++i) {
            const bool more = i + 1 < count;
            const int64_t end = more ? missing_left[i + 1] : int64_t(nodes.size());
            trees.push_back({missing_left[i], missing_right[i], asks[i], end, leaves[i]});
            check(trees.back(), more ? leaves[i + 1] : int64_t(values.size()));
        }
        forest = {features,      outputs,     zero,         nodes.data(), trees.data(),
                  values.data(), sets.data(), words.data(), coded.data()};
    }
    OwnedForest(const OwnedForest&) = delete;

    // No node strikes out the last leaf, so that each row has one left, and it is a leaf of the tree.
    void check(const Tree& tree, int64_t end_of_leaves) {
        if (tree.missing_left < 0 || tree.missing_right < tree.missing_left || tree.sets < tree.missing_right ||
            tree.end < tree.sets || tree.end > int64_t(nodes.size()))
            throw std::invalid_argument("a tree has no such nodes");
        if (tree.leaves < 0 || end_of_leaves > int64_t(values.size()) || tree.leaves >= end_of_leaves)
            throw std::invalid_argument("a tree has no such leaves");
        const int64_t last = end_of_leaves - tree.leaves - 1;
        if (last >= most_leaves) throw std::invalid_argument("a tree has more leaves than bits");
        for (int64_t i = tree.missing_left; i < tree.end; ++i) {
            const Node& node = nodes[std::size_t(i)];
            if (!(node.kept >> last & 1)) throw std::invalid_argument("a node leaves no leaf");
            if (i >= tree.sets && (node.set < 0 || node.set >= int64_t(sets.size())))
                throw std::invalid_argument("a node asks for no such set");
            if (i >= tree.sets) coded[std::size_t(node.feature)] = 1;
        }
    }

    // The sum of the first `count` trees, those of each output apart, for so many rows.
    void add_up(const Kernels& kernels, const Team& team, int64_t count, const Table& table, int64_t rows) const {
        constexpr int64_t rows_per_task = 512;
        if (count < 0 || count > int64_t(trees.size()) || rows < 0)
            throw std::invalid_argument("count and rows are at least 0, and count is at most the number of trees");
        struct Shared {
            const Kernels& kernels;
            const Forest& forest;
            const Table& table;
            int64_t count, rows;
            std::size_t bytes;
            std::atomic<bool> failed;
        } shared{kernels, forest, table, count, rows, kernels.trees_scratch(forest), {false}};
        for_each_task(
            team, (rows + rows_per_task - 1) / rows_per_task,
            [](void* context, int64_t task) {
                Shared& all = *static_cast<Shared*>(context);
                const int64_t first = task * rows_per_task;
                const int64_t last = first + rows_per_task < all.rows ? first + rows_per_task : all.rows;
                try {
                    all.kernels.trees(all.forest, all.count, all.table, first, last, scratch(all.bytes));
                } catch (const std::bad_alloc&) {
                    all.failed.store(true);
                }
            },
            &shared);
        if (shared.failed.load()) throw std::bad_alloc();
    }
};

}  // namespace counterpoise
