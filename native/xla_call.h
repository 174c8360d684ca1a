// Losses as XLA calls them: functions that read one call frame, to be registered by JAX.
#pragma once
#include <string>
#include <vector>

#include "kernels.h"

namespace counterpoise {

extern const Kernels* chosen;  // the kernels that Python chose

namespace xla {
struct Error;
struct Frame;
}  // namespace xla

// Operands: settings, logits, target, sample weight, normalizer; the last two of size 0 where there is none. Settings
// are float64 numbers as raw bytes, so that a program owns its recipe and means the same in every process: those that
// `xla_settings` names, numbers before arrays.
// Results: the loss, and the gradient of its sum by the logits if asked for.
xla::Error* softmax_of_frame(xla::Frame*);
xla::Error* sigmoid_of_frame(xla::Frame*);

constexpr int xla_settings_version = 1;  // raise it when `xla_settings` changes
std::vector<std::string> xla_settings(bool softmax);

}  // namespace counterpoise
