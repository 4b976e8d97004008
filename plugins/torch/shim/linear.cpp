// Linear layers with weights that oneDNN packed beforehand. `tch` does not wrap these operators; the dispatcher has
// them.
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/ops/empty.h>

#include "failure.h"

namespace {

using sam_mm::guarded;

using ReorderWeight = at::Tensor(const at::Tensor &, std::optional<c10::SymInt>);
using Linear = at::Tensor(const at::Tensor &, const at::Tensor &, const std::optional<at::Tensor> &, std::string_view,
                          c10::List<std::optional<at::Scalar>>, std::optional<std::string_view>);

template <class Signature>
auto operator_named(const char *name) {
  return c10::Dispatcher::singleton().findSchemaOrThrow(name, "").template typed<Signature>();
}

}  // namespace

extern "C" {

int32_t sam_mm_torch_linear_packs_bf16(int32_t *packs, sam_mm_torch_error *error) {
  return guarded(error, [&] {
    static const auto supported = operator_named<bool()>("mkldnn::_is_mkldnn_bf16_supported");
    *packs = supported.call();
  });
}

int32_t sam_mm_torch_linear_pack(const at::Tensor *weight, int64_t rows, at::Tensor **out,
                                 sam_mm_torch_error *error) {
  return guarded(error, [&] {
    static const auto reorder = operator_named<ReorderWeight>("mkldnn::_reorder_linear_weight");
    *out = new at::Tensor(reorder.call(*weight, c10::SymInt(rows)));
  });
}

int32_t sam_mm_torch_linear_run(const at::Tensor *x, const at::Tensor *packed, const at::Tensor *bias, int32_t gelu,
                                at::Tensor **out, sam_mm_torch_error *error) {
  return guarded(error, [&] {
    static const auto linear = operator_named<Linear>("mkldnn::_linear_pointwise");
    const auto optional_bias = bias ? std::optional<at::Tensor>(*bias) : std::nullopt;
    *out = new at::Tensor(linear.call(*x, *packed, optional_bias, gelu ? "gelu" : "none",
                                      c10::List<std::optional<at::Scalar>>(), "none"));
  });
}

}  // extern "C"
