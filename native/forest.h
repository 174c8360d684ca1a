// A forest that owns its trees, in the form that the kernels take.
#pragma once
#include <atomic>
#include <new>
#include <vector>

#include "kernels.h"
#include "threads.h"

namespace counterpoise {

struct OwnedForest {
    std::vector<Node> nodes;
    std::vector<Tree> trees;
    std::vector<double> values;
    Forest forest{};

    OwnedForest(int64_t features, int64_t outputs, const std::vector<int32_t>& feature,
                const std::vector<double>& threshold, const std::vector<uint64_t>& kept,
                const std::vector<int64_t>& missing_left, const std::vector<int64_t>& missing_right,
                const std::vector<int64_t>& leaves, std::vector<double> values_)
        : values(std::move(values_)) {
        for (std::size_t i = 0; i < threshold.size(); ++i) nodes.push_back({threshold[i], kept[i], feature[i]});
        for (std::size_t i = 0; i < leaves.size(); ++i) {
            const int64_t end = i + 1 < leaves.size() ? missing_left[i + 1] : int64_t(nodes.size());
            trees.push_back({missing_left[i], missing_right[i], end, leaves[i]});
        }
        forest = {features, outputs, nodes.data(), trees.data(), values.data()};
    }
    OwnedForest(const OwnedForest&) = delete;

    // The sum of the first `count` trees, those of each output apart, for so many rows.
    void add_up(const Kernels& kernels, const Team& team, int64_t count, const Table& table, int64_t rows) const {
        constexpr int64_t rows_per_task = 512;
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
