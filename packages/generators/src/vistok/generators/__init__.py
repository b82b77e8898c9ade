"""Generators on image tokens and latents: xAR, FAR and masked AR."""

from vistok.generators.far import FAR, FAROptions
from vistok.generators.far_presets import (
    far_base,
    far_large,
    llamagen_3b,
    llamagen_b,
    llamagen_l,
    llamagen_xl,
    llamagen_xxl,
    published_far_options,
)
from vistok.generators.flow.flow_matching import (
    FlowSample,
    data_to_velocity,
    flow_path,
    logit_normal_times,
    noise_to_velocity,
    score_to_velocity,
    velocity_to_data,
    velocity_to_noise,
    velocity_to_score,
)
from vistok.generators.flow.mean_flow import (
    MeanVelocity,
    mean_flow_loss,
    mean_flow_target,
    mean_velocity,
    solve_mean_flow,
)
from vistok.generators.flow.solvers import (
    jump_times,
    late_jump_times,
    power_times,
    solve_ode,
    solve_sde,
    uniform_times,
)
from vistok.generators.layers.attention import attention, check_attention_backend
from vistok.generators.layers.cells import block_causal_mask, cell_permutation
from vistok.generators.layers.double_stream import DoubleStreamBlock
from vistok.generators.layers.feed_forward import SwiGLU
from vistok.generators.layers.kv_cache import KVCache
from vistok.generators.layers.label_embedding import LabelEmbedding
from vistok.generators.layers.modulation import Modulation, modulate
from vistok.generators.layers.normalization import RMSNorm
from vistok.generators.layers.rotary import rotary_table_1d, rotary_table_2d, rotate
from vistok.generators.layers.time_embedding import TimeEmbedding
from vistok.generators.masked_ar import MaskedAR
from vistok.generators.masked_ar_options import MaskedAROptions
from vistok.generators.masked_presets import maskbit
from vistok.generators.masked_tokens import BitTokens, IdTokens
from vistok.generators.pretrained import PretrainedGenerator
from vistok.generators.published_checkpoints import (
    load_published_far,
    load_published_llamagen,
    load_published_maskbit,
    load_published_xar,
)
from vistok.generators.sampling._far_sampling import TokenChoice
from vistok.generators.sampling._masked_sampling import MaskedSampling
from vistok.generators.sampling.guidance import Guidance, IntervalGuidance, guide
from vistok.generators.sampling.mask_schedules import mask_ratio, masked_counts
from vistok.generators.sampling.token_sampling import draw_tokens, filter_logits
from vistok.generators.xar import XAR, XAROptions
from vistok.generators.xar_presets import xar_base, xar_huge, xar_large

__all__ = [
    "FAR",
    "XAR",
    "BitTokens",
    "DoubleStreamBlock",
    "FAROptions",
    "FlowSample",
    "Guidance",
    "IdTokens",
    "IntervalGuidance",
    "KVCache",
    "LabelEmbedding",
    "MaskedAR",
    "MaskedAROptions",
    "MaskedSampling",
    "MeanVelocity",
    "Modulation",
    "PretrainedGenerator",
    "RMSNorm",
    "SwiGLU",
    "TimeEmbedding",
    "TokenChoice",
    "XAROptions",
    "attention",
    "block_causal_mask",
    "cell_permutation",
    "check_attention_backend",
    "data_to_velocity",
    "draw_tokens",
    "far_base",
    "far_large",
    "filter_logits",
    "flow_path",
    "guide",
    "jump_times",
    "late_jump_times",
    "llamagen_3b",
    "llamagen_b",
    "llamagen_l",
    "llamagen_xl",
    "llamagen_xxl",
    "load_published_far",
    "load_published_llamagen",
    "load_published_maskbit",
    "load_published_xar",
    "logit_normal_times",
    "mask_ratio",
    "maskbit",
    "masked_counts",
    "mean_flow_loss",
    "mean_flow_target",
    "mean_velocity",
    "modulate",
    "noise_to_velocity",
    "power_times",
    "published_far_options",
    "rotary_table_1d",
    "rotary_table_2d",
    "rotate",
    "score_to_velocity",
    "solve_mean_flow",
    "solve_ode",
    "solve_sde",
    "uniform_times",
    "velocity_to_data",
    "velocity_to_noise",
    "velocity_to_score",
    "xar_base",
    "xar_huge",
    "xar_large",
]
