// The call frame is that of XLA's foreign function interface, version 0.1 and later: plain C structures, each with its
// own size in front, which only ever grow at their ends. They are declared here as far as they are used, hence nothing
// of JAX is needed to build. What is smaller than known here, or of another major version, is refused.
#include "xla_call.h"

#include <cfenv>
#include <cstddef>
#include <cstring>
#include <exception>
#include <limits>
#include <stdexcept>
#include <vector>

#include "loss.h"
#include "recipe.h"

namespace counterpoise {
namespace xla {

enum : int32_t { invalid_argument = 3, internal = 13 };              // error codes
enum : int32_t { of_metadata = 1, buffer_kind = 1, execution = 3 };  // an extension, an operand, a stage

struct Extension {
    size_t size;
    int32_t kind;
    Extension* next;
};

struct Version {
    size_t size;
    Extension* extension;
    int32_t major, minor;
};

struct Metadata {
    size_t size;
    Version version;
    uint32_t traits;
};

struct MetadataExtension {
    Extension base;
    Metadata* metadata;
};

struct Complaint {
    size_t size;
    Extension* extension;
    const char* message;
    int32_t code;
};

struct Api {
    size_t size;
    Extension* extension;
    Version version;
    const void* internal;
    Error* (*make_error)(Complaint*);
};

struct Buffer {
    size_t size;
    Extension* extension;
    int32_t type;
    void* data;
    int64_t rank;
    const int64_t* dimensions;
};

struct Operands {
    size_t size;
    Extension* extension;
    int64_t count;
    const int32_t* kinds;
    void** each;
};

struct Attributes {
    size_t size;
    Extension* extension;
    int64_t count;
    const int32_t* kinds;
    void** names;
    void** each;
};

struct Frame {
    size_t size;
    Extension* extension;
    const Api* api;
    void* context;
    int32_t stage;
    Operands arguments, results;
    Attributes attributes;
};

static_assert(sizeof(void*) != 8 || (offsetof(Buffer, data) == 24 && sizeof(Buffer) == 48), "");
static_assert(sizeof(void*) != 8 || (offsetof(Api, make_error) == 48 && offsetof(Metadata, traits) == 32), "");
static_assert(sizeof(void*) != 8 || (offsetof(Frame, arguments) == 40 && sizeof(Frame) == 168), "");

}  // namespace xla

namespace {

using xla::Buffer;
using xla::Error;
using xla::Frame;

Error* complain(const Frame& frame, const char* message, int32_t code) {
    xla::Complaint complaint{sizeof(xla::Complaint), nullptr, message, code};
    return frame.api->make_error(&complaint);
}

struct Misfit : std::runtime_error {
    using std::runtime_error::runtime_error;
};

void require(bool holds, const char* otherwise) {
    if (!holds) throw Misfit(otherwise);
}

Type type_of(const Buffer& buffer) {
    switch (buffer.type) {
        case 4: return int32;
        case 5: return int64;
        case 10: return float16;
        case 11: return float32;
        case 12: return float64;
        case 16: return bfloat16;
        default: throw Misfit("an operand has a type that the losses do not read");
    }
}

bool is_wide(Type type) { return type != float16 && type != bfloat16; }

int64_t product(const Buffer& buffer, int64_t from, int64_t to) {
    int64_t size = 1;
    for (int64_t i = from; i < to; ++i) size *= buffer.dimensions[i];
    return size;
}

int64_t size_of(const Buffer& buffer) { return product(buffer, 0, buffer.rank); }

double number(const void* array, Type type, int64_t at) {
    switch (type) {
        case int32: return static_cast<const int32_t*>(array)[at];
        case int64: return double(static_cast<const int64_t*>(array)[at]);
        case float32: return static_cast<const float*>(array)[at];
        default: return static_cast<const double*>(array)[at];
    }
}

void put_nan(void* array, Type type, int64_t at) {
    switch (type) {
        case float16: static_cast<uint16_t*>(array)[at] = 0x7e00; break;
        case bfloat16: static_cast<uint16_t*>(array)[at] = 0x7fc0; break;
        case float32: static_cast<float*>(array)[at] = std::numeric_limits<float>::quiet_NaN(); break;
        default: static_cast<double*>(array)[at] = std::numeric_limits<double>::quiet_NaN();
    }
}

// The numbers of the settings, in order.
class Settings {
 public:
    explicit Settings(const Buffer& buffer) : at(static_cast<const char*>(buffer.data)), left(size_of(buffer) / 2) {}
    double next() {
        double value;
        require(left-- > 0, "the settings end too early");
        std::memcpy(&value, at, sizeof value);
        at += sizeof value;
        return value;
    }
    std::vector<double> next(int64_t size) {
        require(size >= 0 && left >= size, "the settings end too early");
        std::vector<double> values(static_cast<size_t>(size));
        if (size) std::memcpy(values.data(), at, size_t(size) * sizeof(double));
        at += size * int64_t(sizeof(double));
        left -= size;
        return values;
    }
    int64_t remaining() const { return left; }

 private:
    const char* at;
    int64_t left;
};

// What both families are called with.
struct Call {
    Buffer settings_, logits, target, sample_weight, normalizer, loss, gradient;
    bool sloped;
    Settings settings;
    Work work{};
    int64_t class_axis;
    bool ignores;
    double ignored;

    explicit Call(const Frame& frame)
        : settings_(operand(frame.arguments, 0)),
          logits(operand(frame.arguments, 1)),
          target(operand(frame.arguments, 2)),
          sample_weight(operand(frame.arguments, 3)),
          normalizer(operand(frame.arguments, 4)),
          loss(operand(frame.results, 0)),
          gradient(frame.results.count > 1 ? operand(frame.results, 1) : Buffer{}),
          sloped(frame.results.count > 1),
          settings(settings_) {
        require(settings.next() == xla_settings_version, "the program is from another version of Counterpoise");
        work.kernels = chosen;
        work.reduction = Reduction(int(settings.next()));
        class_axis = int64_t(settings.next());
        work.team.threads = int(settings.next());
        ignores = settings.next() != 0;
        ignored = settings.next();
        work.fresh = true;
        work.normalizer = std::numeric_limits<double>::quiet_NaN();
        require(is_wide(type_of(target)) && is_wide(type_of(loss)), "target and loss are not of half precision");
        require(work.reduction != unreduced ? size_of(loss) == 1 : true, "a reduced loss is one number");
        require(!sloped || (size_of(gradient) == size_of(logits) && gradient.type == logits.type),
                "the gradient is like the logits");
        require(class_axis >= 0 && (class_axis < logits.rank || logits.rank == 0),
                "the class axis is one of the logits");
    }

    bool reduced() const { return work.reduction != unreduced; }

    // False for a normalizer that no loss can be divided by.
    bool read_normalizer() {
        if (size_of(normalizer) == 0) return true;
        require(is_wide(type_of(normalizer)), "the normalizer is not of half precision");
        work.normalizer = number(normalizer.data, type_of(normalizer), 0);
        return work.normalizer > 0;
    }

    template <class Batch>
    void fill(Batch* batch) {
        batch->logits = logits.data;
        batch->target = target.data;
        batch->gradient = sloped ? gradient.data : nullptr;
        batch->loss = loss.data;
        batch->logits_type = type_of(logits);
        batch->target_type = type_of(target);
        batch->gradient_type = sloped ? type_of(gradient) : nothing;
        batch->loss_type = type_of(loss);
        batch->ignores = ignores;
        batch->factor = 1;
        if (size_of(sample_weight) != 0) {
            batch->sample_weight = sample_weight.data;
            batch->weight_type = type_of(sample_weight);
            require(is_wide(batch->weight_type), "sample weights are not of half precision");
        }
    }

    void all_nan() {
        const Type of_loss = type_of(loss);
        for (int64_t i = 0; i < size_of(loss); ++i) put_nan(loss.data, of_loss, i);
        for (int64_t i = 0; sloped && i < size_of(gradient); ++i) put_nan(gradient.data, type_of(gradient), i);
    }

 private:
    static Buffer operand(const xla::Operands& operands, int64_t i) {
        require(i < operands.count && operands.kinds[i] == xla::buffer_kind, "an operand is missing");
        const Buffer& buffer = *static_cast<const Buffer*>(operands.each[i]);
        require(buffer.size >= sizeof(Buffer), "a buffer of an unknown layout");
        return buffer;
    }
};

bool is_weight(double weight) { return weight >= 0 && weight < std::numeric_limits<double>::infinity(); }

// The kernels count rows that cannot be, but give those a number; it becomes NaN here. Whether there were any.
bool mark_impossible(const SoftmaxRecipe& recipe, const SoftmaxBatch& batch, bool reduced) {
    bool found = false;
    for (int64_t row = 0; row < batch.outer * batch.inner; ++row) {
        const int64_t outer = row / batch.inner, inner = row % batch.inner;
        const double weight = batch.sample_weight ? number(batch.sample_weight, batch.weight_type, row) : 1;
        bool possible = is_weight(weight);
        if (batch.hard) {
            const double label = number(batch.target, batch.target_type, row);
            if (batch.ignores && label == double(batch.ignore_index)) continue;
            possible &= label >= 0 && label < double(recipe.classes);
        } else {
            const Strides& steps = batch.target_strides;
            for (int64_t k = 0; k < recipe.classes; ++k)
                possible &= is_weight(number(batch.target, batch.target_type,
                                             outer * steps.outer + inner * steps.inner + k * steps.along));
        }
        if (possible) continue;
        found = true;
        if (!reduced) put_nan(batch.loss, batch.loss_type, row);
        const Strides& steps = batch.gradient_strides;
        for (int64_t k = 0; batch.gradient && k < recipe.classes; ++k)
            put_nan(batch.gradient, batch.gradient_type, outer * steps.outer + inner * steps.inner + k * steps.along);
    }
    return found;
}

bool mark_impossible(const SigmoidRecipe&, const SigmoidBatch& batch, bool reduced) {
    bool found = false;
    for (int64_t i = 0; i < batch.size; ++i) {
        const double target = number(batch.target, batch.target_type, i);
        const double weight = batch.sample_weight ? number(batch.sample_weight, batch.weight_type, i) : 1;
        const bool nan = target != target && batch.ignore_value != batch.ignore_value;
        if (batch.ignores && (target == batch.ignore_value || nan)) continue;
        if (is_weight(weight) && target >= 0 && target <= 1) continue;
        found = true;
        if (!reduced) put_nan(batch.loss, batch.loss_type, i);
        if (batch.gradient) put_nan(batch.gradient, batch.gradient_type, i);
    }
    return found;
}

// XLA's threads flush denormals; ours do not, and a sum must not depend on which of them made it.
struct PlainArithmetic {
    std::fenv_t before;
    PlainArithmetic() {
        std::fegetenv(&before);
        std::fesetenv(FE_DFL_ENV);
    }
    ~PlainArithmetic() { std::fesetenv(&before); }
};

template <class Recipe, class Batch>
void compute(Call& call, const Recipe& recipe, const Batch& batch, Outcome (*loss)(const Work&, const Recipe&, Batch)) {
    if (!call.read_normalizer()) return call.all_nan();
    const PlainArithmetic plain;
    const Outcome outcome = loss(call.work, recipe, batch);
    if (outcome.odd && mark_impossible(recipe, batch, call.reduced()) && call.reduced())
        put_nan(batch.loss, batch.loss_type, 0);
}

void softmax_of_call(Call& call) {
    SoftmaxBatch batch{};
    call.fill(&batch);
    const int64_t axis = call.class_axis, rank = call.logits.rank;
    require(rank > 0, "logits have a class axis");
    const int64_t classes = call.logits.dimensions[axis];
    batch.outer = product(call.logits, 0, axis);
    batch.inner = product(call.logits, axis + 1, rank);
    batch.logits_strides = {classes * batch.inner, 1, batch.inner};
    if (axis + 1 == rank) {
        batch.inner = batch.outer;
        batch.outer = 1;
        batch.logits_strides = {0, classes, 1};
    }
    batch.target_strides = batch.gradient_strides = batch.logits_strides;
    batch.hard = call.target.rank < rank;
    batch.ignore_index = int64_t(call.ignored);
    const int64_t rows = batch.outer * batch.inner;
    require(size_of(call.target) == (batch.hard ? rows : rows * classes), "the target fits the logits");
    require(!batch.sample_weight || size_of(call.sample_weight) == rows, "sample weights fit the rows");
    require(call.reduced() || size_of(call.loss) == rows, "a loss for each row");
    Settings& settings = call.settings;
    const double focus = settings.next(), robustness = settings.next(), poly = settings.next();
    const double smoothing = settings.next(), weight_by = settings.next(), costs = settings.next();
    std::vector<double> weight = settings.next(classes), scale = settings.next(classes);
    std::vector<double> offset = settings.next(classes), margin = settings.next(classes);
    std::vector<double> pair = settings.next(settings.remaining());
    require(pair.size() == (costs != 0 || weight_by == by_pair ? size_t(classes) * size_t(classes) : pair.size()),
            "a weight for each pair of classes");
    const Softmax softmax(std::move(weight), std::move(scale), std::move(offset), std::move(margin), std::move(pair),
                          focus, robustness, poly, smoothing, int(weight_by), costs != 0);
    compute(call, softmax.recipe, batch, softmax_loss);
}

void sigmoid_of_call(Call& call) {
    SigmoidBatch batch{};
    call.fill(&batch);
    batch.size = size_of(call.logits);
    batch.run = call.logits.rank > 1 ? product(call.logits, call.class_axis + 1, call.logits.rank) : 1;
    batch.ignore_value = call.ignored;
    require(size_of(call.target) == batch.size, "the target fits the logits");
    require(!batch.sample_weight || size_of(call.sample_weight) == batch.size, "sample weights fit the logits");
    require(call.reduced() || size_of(call.loss) == batch.size, "a loss for each logit");
    Settings& settings = call.settings;
    const double positive_focus = settings.next(), negative_focus = settings.next(), clip = settings.next();
    const double robustness = settings.next(), poly = settings.next(), smoothing = settings.next();
    const int64_t labels = settings.remaining() / 4;
    require(labels >= 1, "the settings end too early");
    std::vector<double> positive_weight = settings.next(labels), negative_weight = settings.next(labels);
    std::vector<double> scale = settings.next(labels), offset = settings.next(labels);
    const Sigmoid sigmoid(std::move(positive_weight), std::move(negative_weight), std::move(scale), std::move(offset),
                          positive_focus, negative_focus, clip, robustness, poly, smoothing);
    compute(call, sigmoid.recipe, batch, sigmoid_loss);
}

// XLA asks each function for its version when it is registered: the one that it offers, as all of major version 0 are
// read.
void describe(const Frame& frame, xla::MetadataExtension* extension) {
    xla::Metadata* metadata = extension->metadata;
    metadata->version = {sizeof(xla::Version), nullptr, 0, frame.api ? frame.api->version.minor : 1};
    metadata->traits = 0;
}

Error* answer(Frame* frame, void (*compute)(Call&)) {
    try {
        const bool known = frame->size >= sizeof(Frame);
        for (xla::Extension* extension = frame->extension; extension; extension = extension->next)
            if (extension->kind == xla::of_metadata) {
                if (known) describe(*frame, reinterpret_cast<xla::MetadataExtension*>(extension));
                return nullptr;
            }
        require(known && frame->stage == xla::execution, "a call frame of an unknown layout or stage");
        Call call(*frame);
        compute(call);
        return nullptr;
    } catch (const Misfit& misfit) {
        return complain(*frame, misfit.what(), xla::invalid_argument);
    } catch (const std::exception& failure) {
        return complain(*frame, failure.what(), xla::internal);
    }
}

}  // namespace

// The order in which `Call`, `softmax_of_call` and `sigmoid_of_call` read them.
std::vector<std::string> xla_settings(bool softmax) {
    std::vector<std::string> names{"version", "reduction", "class_axis", "threads", "ignores", "ignore_index"};
    const std::vector<std::string> of_softmax{
        "focus",  "robustness", "poly",   "smoothing", "weight_by", "adds_expected_cost",
        "weight", "scale",      "offset", "margin",    "pair"};
    const std::vector<std::string> of_sigmoid{"pos_focus", "neg_focus",  "clip",       "robustness", "poly",
                                              "smoothing", "pos_weight", "neg_weight", "scale",      "offset"};
    const std::vector<std::string>& of_family = softmax ? of_softmax : of_sigmoid;
    names.insert(names.end(), of_family.begin(), of_family.end());
    return names;
}

Error* softmax_of_frame(Frame* frame) { return answer(frame, softmax_of_call); }
Error* sigmoid_of_frame(Frame* frame) { return answer(frame, sigmoid_of_call); }

}  // namespace counterpoise
