// expect: slot_column
#include <kvsift/kvsift.hpp>

struct sum_of_squares {
  using element = float;
  static constexpr bool feeds_on_attention = true;
  static constexpr std::uint32_t width() { return 1; }
  constexpr bool merge(sum_of_squares const&) { return true; }
  void admit(float* e, kvsift::arrival const&, kvsift::head_context const&) const { *e = 0; }
#ifdef MUST_COMPILE
  void observe(float* e, kvsift::mass const& m, kvsift::head_context const&) const { *e += m.squares; }
#endif
};

kvsift::column_set<sum_of_squares> const columns{};
