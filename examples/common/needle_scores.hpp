#pragma once
// How much each query head looks at an answer while the model writes it, as HeadKV scores heads (arXiv 2410.19258).
// Over the queries that write the answer's tokens; span: where the answer stands in the prompt, every occurrence.
//
//   reasoning  of the |span| most attended positions, the attention to those in the span, by |span|
//   retrieval  1 / |answer| if the most attended position lies in the span and holds the token that is written
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <vector>

namespace programs {

enum class needle_kind { reasoning, retrieval };

// Which positions of the prompt belong to an occurrence of the answer; none if there is none.
inline std::vector<bool> answer_span(std::vector<std::uint32_t> const& prompt,
                                     std::vector<std::uint32_t> const& answer) {
  std::vector<bool> span(prompt.size(), false);
  for (std::size_t i = 0; i + answer.size() <= prompt.size(); ++i)
    if (!answer.empty() && std::equal(answer.begin(), answer.end(), prompt.begin() + static_cast<std::ptrdiff_t>(i)))
      std::fill_n(span.begin() + static_cast<std::ptrdiff_t>(i), answer.size(), true);
  return span;
}

// What one query head earns by one token. attention: to every token seen; span: of the first of them; equal attention:
// the lower position.
inline double needle_score(needle_kind kind, std::vector<float> const& attention, std::vector<bool> const& span,
                           std::vector<std::uint32_t> const& prompt, std::uint32_t written, std::size_t answer) {
  auto const count = static_cast<std::size_t>(std::count(span.begin(), span.end(), true));
  std::size_t const top = kind == needle_kind::retrieval ? 1 : std::min(count, attention.size());
  std::vector<std::size_t> order(attention.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::partial_sort(
      order.begin(), order.begin() + static_cast<std::ptrdiff_t>(top), order.end(),
      [&](std::size_t i, std::size_t j) { return attention[i] != attention[j] ? attention[i] > attention[j] : i < j; });
  double earned = 0;
  for (std::size_t r = 0; r < top; ++r) {
    std::size_t const position = order[r];
    if (position >= span.size() || !span[position]) continue;
    if (kind == needle_kind::reasoning)
      earned += static_cast<double>(attention[position]) / static_cast<double>(count);
    else if (prompt[position] == written)
      earned += 1 / static_cast<double>(answer);
  }
  return earned;
}

}  // namespace programs
