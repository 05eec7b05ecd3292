#pragma once
// Everything that needs no CUDA and no threads. parallel_executor has a header of its own: it pulls in <thread>.

#include <kvsift/budget/duo_attention.hpp>
#include <kvsift/budget/head_scores.hpp>
#include <kvsift/budget/layer_pattern.hpp>
#include <kvsift/budget/layers.hpp>
#include <kvsift/collective/select_rows.hpp>
#include <kvsift/evict/attention_mass.hpp>
#include <kvsift/evict/cache_image.hpp>
#include <kvsift/evict/disposal.hpp>
#include <kvsift/evict/kv_tensor.hpp>
#include <kvsift/evict/verbs.hpp>
#include <kvsift/exec/executor.hpp>
#include <kvsift/payload/quantised.hpp>
#include <kvsift/policy/any_policy.hpp>
#include <kvsift/policy/named.hpp>
#include <kvsift/position/in_cache.hpp>
#include <kvsift/position/learned_align.hpp>
#include <kvsift/position/original.hpp>
#include <kvsift/position/rerotated.hpp>
#include <kvsift/position/two_queries.hpp>
#include <kvsift/score/value_weighted.hpp>
#include <kvsift/version.hpp>
