#pragma once

namespace reference_model {

/// Of which tokens of a piece the logits are computed.
enum class logits_of { last_token, every_token };

}  // namespace reference_model
